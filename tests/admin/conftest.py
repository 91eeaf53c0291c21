"""People before the admin: an editor with the usual permissions, another one, and a manager."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from grokvideo_django import credits
from grokvideo_django.models import VideoRequest

EDITING = ("add_videorequest", "change_videorequest", "view_videorequest", "delete_videorequest")
MANAGING = (*EDITING, "change_all", "grant", "view_usage", "view_gatewaystate", "view_creditgrant")

LIST = "/admin/grokvideo/videorequest/"
ADD = f"{LIST}add/"
ACCOUNTS = "/admin/grokvideo/creditaccount/"
ENTRIES = "/admin/grokvideo/creditentry/"


def person(name: str, *permissions: str, amount: int = 0) -> User:
    user = User.objects.create_user(name, password="pw", is_staff=True)
    allow(user, *permissions)
    if amount:
        credits.grant(user, amount)
    return user


def allow(user: User, *permissions: str) -> None:
    for name in permissions:
        user.user_permissions.add(Permission.objects.get(codename=name))


@pytest.fixture
def editor(db: None) -> User:
    """100 credits."""
    return person("editor", *EDITING, amount=100)


@pytest.fixture
def colleague(db: None) -> User:
    return person("colleague", *EDITING, amount=100)


@pytest.fixture
def manager(db: None) -> User:
    return person("manager", *MANAGING, amount=100)


def as_(user: User, **options: Any) -> Client:
    client = Client(**options)
    client.force_login(user)
    return client


@pytest.fixture
def client(editor: User) -> Client:
    """The editor's browser."""
    return as_(editor)


def page(request: VideoRequest, name: str = "change") -> str:
    return f"{LIST}{request.pk}/{name}/"


def text_of(response: Any) -> str:
    """What a page says, without its markup."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", response.content.decode())).split())


def said(response: Any) -> list[tuple[str, str]]:
    """The messages on a page: level and words."""
    return [(message.level_tag, str(message)) for message in response.context["messages"]]


def form_of(response: Any, **changes: Any) -> dict[str, Any]:
    """What a browser would send: the form as it is on the page, with its hidden fields, and the changes."""
    form = response.context["adminform"].form
    data = {name: form[name].value() for name in form.fields}
    price = response.context.get("grokvideo_price")
    if price is not None and price.credits is not None:
        data["expected_credits"] = price.credits
    inlines = response.context["inline_admin_formsets"]
    assert not inlines
    data.update(changes)
    return {name: "" if value is None else value for name, value in data.items() if name != "image" or value}


def press(response: Any, name: str) -> tuple[str, dict[str, int]]:
    """Where a button of the page posts to, and what."""
    button = next(button for button in response.context["grokvideo_buttons"] if button.name == name)
    assert f'form="grokvideo-{name}"' in response.content.decode()
    return button.url, button.hidden


def generate(client: Client, draft: VideoRequest, **changes: Any) -> Any:
    """The button of a draft's form pressed, and the page where that leads."""
    return client.post(page(draft), form_of(client.get(page(draft)), _generate=1, **changes), follow=True)


def buttons_of(response: Any) -> list[str]:
    return [button.name for button in response.context["grokvideo_buttons"]]
