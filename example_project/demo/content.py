"""What a visitor finds: users with credits, and articles that want a film. As often as you like: nothing doubles."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Final

from content.models import Article
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser, Permission

from grokvideo_django import credits

from .people import ADMIN, CREDITS, EDITOR, PASSWORD

ARTICLES: Final = Path(__file__).with_name("articles.toml")
EDITORS_MAY: Final = (
    "content.view_article", "content.change_article", "content.add_article",
    "grokvideo.view_videorequest", "grokvideo.add_videorequest", "grokvideo.change_videorequest",
    "grokvideo.delete_videorequest",
)  # fmt: skip


def make() -> None:
    """Users, credits, articles."""
    admin = _user(ADMIN, is_superuser=True)
    editor = _user(EDITOR, is_superuser=False)
    editor.user_permissions.set(
        Permission.objects.filter(content_type__app_label__in=["content", "grokvideo"]).filter(
            codename__in=[name.partition(".")[2] for name in EDITORS_MAY]
        )
    )
    for user in (admin, editor):
        credits.grant(user, CREDITS, key=f"demo:{user.pk}", reason="To try it out")
    for article in reversed(tomllib.loads(ARTICLES.read_text(encoding="utf-8"))["articles"]):
        body = "\n\n".join(paragraph.replace("\n", " ") for paragraph in article["body"].strip().split("\n\n"))
        Article.objects.get_or_create(slug=article["slug"], defaults={**article, "body": body})


def _user(name: str, *, is_superuser: bool) -> AbstractUser:
    user, created = get_user_model().objects.get_or_create(
        username=name, defaults={"is_staff": True, "is_superuser": is_superuser}
    )
    if created:
        user.set_password(PASSWORD)
        user.save()
    return user
