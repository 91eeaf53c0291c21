"""Form fields that leave the judgement to ``validation``, so that its sentences are the ones that people read."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.contrib.admin.widgets import AdminFileWidget, AdminTextareaWidget, AutocompleteSelect
from django.contrib.auth import get_user_model
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _

from ..models import VideoRequest
from ..models.requests import MAX_DURATION_SECONDS, MIN_DURATION_SECONDS
from ..validation import image_format

if TYPE_CHECKING:
    from django.contrib.admin import AdminSite, ModelAdmin
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.http import HttpRequest

SUFFIXES: Final = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}


class PromptField(forms.CharField):
    """The prompt."""

    def __init__(self, **kwargs: Any) -> None:
        widget = AdminTextareaWidget(attrs={"rows": 6, "dir": "auto"})
        help_text = _("Subject, action, scene, camera, sound.")
        super().__init__(**{"label": _("Prompt"), "help_text": help_text, "widget": widget, **kwargs})

    def validate(self, value: Any) -> None:
        """Judged with the whole request."""

    def run_validators(self, value: Any) -> None:
        """Judged with the whole request."""


class DurationField(forms.IntegerField):
    """Seconds."""

    def __init__(self, **kwargs: Any) -> None:
        limits = {"min": MIN_DURATION_SECONDS, "max": MAX_DURATION_SECONDS, "class": "vIntegerField"}
        help_text = _("Seconds, 1 to 15.")
        widget = forms.NumberInput(attrs=limits)
        super().__init__(**{"label": _("Duration"), "help_text": help_text, "widget": widget, **kwargs})

    def validate(self, value: Any) -> None:
        """Judged with the whole request."""


class OfferedField(forms.ChoiceField):
    """One of what the gateway offers."""

    def validate(self, value: Any) -> None:
        """Judged with the whole request."""


class ImageField(forms.FileField):
    """An upload that is kept under a name that fits its bytes, so that no server takes it for a page."""

    def __init__(self, **kwargs: Any) -> None:
        widget = AdminFileWidget(attrs={"accept": "image/jpeg,image/png,image/webp"})
        help_text = _("The first frame, for a video from an image: JPEG, PNG or WebP.")
        super().__init__(**{"label": _("Image"), "required": False, "help_text": help_text, "widget": widget, **kwargs})

    def clean(self, data: Any, initial: Any = None) -> Any:
        """Named by what it is; what is no image is refused with the whole request."""
        file = super().clean(data, initial)
        if isinstance(file, UploadedFile):
            suffix = SUFFIXES.get(image_format(file) or "")
            if suffix is not None:
                file.name = f"{PurePath(file.name or '').stem[:100] or 'image'}{suffix}"
        return file


class ImageAddressField(forms.URLField):
    """The public address of an image."""

    default_validators = []

    def __init__(self, **kwargs: Any) -> None:
        help_text = _("Instead of an upload: the public address of an image.")
        defaults = {"label": _("Image's address"), "required": False, "max_length": 2000, "assume_scheme": "https"}
        widget = forms.URLInput(attrs={"class": "vURLField"})
        super().__init__(**{**defaults, "help_text": help_text, "widget": widget, **kwargs})


def user_field(request: HttpRequest, site: AdminSite, **kwargs: Any) -> forms.ModelChoiceField[AbstractBaseUser]:
    """A choice of users: searched as one types where their admin offers that, else a plain list."""
    model = get_user_model()
    users = model._default_manager.all()
    widget: forms.Widget = forms.Select()
    if site.is_registered(model) and _is_searchable(site.get_model_admin(model), request):
        widget = AutocompleteSelect(VideoRequest._meta.get_field("owner"), site)
    return forms.ModelChoiceField(queryset=users, widget=widget, **kwargs)


def _is_searchable(admin: ModelAdmin[Any], request: HttpRequest) -> bool:
    return bool(admin.get_search_fields(request)) and admin.has_view_permission(request)
