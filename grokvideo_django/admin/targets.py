"""Where a video can go: fields of models that its author may change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.apps import apps
from django.contrib.auth.models import PermissionsMixin
from django.contrib.contenttypes.models import ContentType
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from ..validation import is_attachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.contrib.admin import AdminSite
    from django.db import models
    from django.http import HttpRequest

    from ..models import VideoRequest

OWN_APP = "grokvideo"


def choices(request: HttpRequest, site: AdminSite, current: str = "") -> list[tuple[str, str]]:
    """``app.model.field`` with its words, for what the user may change; and what is chosen already."""
    found = [("", _("nothing: it stays here"))]
    for model in apps.get_models():
        if model._meta.proxy or model._meta.app_label == OWN_APP or not may_change(request, site, model):
            continue
        found += [(f"{model._meta.label_lower}.{name}", words) for name, words in _fields(model)]
    if current not in dict(found):
        found.append((current, current))
    return found


def _fields(model: type[models.Model]) -> Iterator[tuple[str, str]]:
    for field in model._meta.get_fields():
        if not field.auto_created and is_attachable(model, field.name):
            words = getattr(field, "verbose_name", field.name)
            yield field.name, f"{capfirst(model._meta.verbose_name)}: {words}"


def may_change(
    request: HttpRequest, site: AdminSite, model: type[models.Model], obj: models.Model | None = None
) -> bool:
    """Whether the user may change such an object: as its own admin says, else by the model's permission."""
    if site.is_registered(model):
        return site.get_model_admin(model).has_change_permission(request, obj)
    name = f"{model._meta.app_label}.change_{model._meta.model_name}"
    return isinstance(request.user, PermissionsMixin) and request.user.has_perm(name)


def chosen(video_request: VideoRequest) -> str:
    """The choice that a request's target is."""
    content_type = video_request.target_content_type
    if content_type is None:
        return ""
    return f"{content_type.app_label}.{content_type.model}.{video_request.target_field}"


def choose(video_request: VideoRequest, choice: str) -> None:
    """Point a request at a choice; its object's id is a field of its own."""
    if not choice:
        video_request.target_content_type, video_request.target_field = None, ""
        video_request.target_object_id = ""
        return
    app_label, model_name, field = choice.split(".", 2)
    video_request.target_content_type = ContentType.objects.get_by_natural_key(app_label, model_name)
    video_request.target_field = field
