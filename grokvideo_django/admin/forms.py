"""The form of a draft."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.utils.translation import gettext_lazy as _

from .. import validation
from ..media.attach import find_target
from ..models import VideoRequest
from . import targets
from .fields import DurationField, ImageAddressField, ImageField, OfferedField, PromptField, user_field

if TYPE_CHECKING:
    from django.contrib.admin import AdminSite
    from django.http import HttpRequest

    RequestForm = forms.ModelForm[VideoRequest]
else:
    RequestForm = forms.ModelForm

JUDGED: Final = frozenset(
    {"prompt", "duration_seconds", "aspect_ratio", "resolution", "mode", "image", "image_url", "operation"}
)
"""What ``validation`` judges, so that nothing else does."""

DEFAULTS: Final = ("duration_seconds", "aspect_ratio", "resolution", "mode")
"""The model's, since the fields are not."""

SAME: Final = ("prompt", "duration_seconds", "aspect_ratio", "resolution", "mode", "image_url", "owner_id")
"""What makes a form that comes again the same one: a double click, and not a new wish under an old key."""

PLACES: Final = {"target_content_type": "attach_to", "target_field": "attach_to", "operation": None}
"""Where a problem is shown whose field is not on the form."""


class SentBefore(Exception):  # noqa: N818 - not an error
    """A form came that has made its request already."""

    def __init__(self, made: VideoRequest) -> None:
        self.made = made
        super().__init__()


class VideoRequestForm(RequestForm):
    """What is asked for. ``form_key`` becomes the request's own key, so that a form sent twice is one request."""

    http_request: HttpRequest
    site: AdminSite
    """Set by the admin on the class that it makes for each page."""

    prompt = PromptField()
    duration_seconds = DurationField()
    aspect_ratio = OfferedField(label=_("Aspect ratio"), choices=VideoRequest.AspectRatio.choices)
    resolution = OfferedField(label=_("Resolution"), choices=VideoRequest.Resolution.choices)
    mode = OfferedField(
        label=_("Mode"), required=False, choices=[("", _("as the gateway likes")), *VideoRequest.Mode.choices]
    )
    image = ImageField()
    image_url = ImageAddressField()
    attach_to = forms.ChoiceField(
        label=_("Attach to"), required=False, help_text=_("The field that gets the finished video.")
    )
    target_object_id = forms.CharField(
        label=_("Id of the object"), required=False, max_length=255, help_text=_("Of the object that has this field.")
    )
    form_key = forms.CharField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = VideoRequest
        fields = (
            "owner", "prompt", "duration_seconds", "aspect_ratio", "resolution", "mode", "image", "image_url",
            "target_object_id",
        )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["form_key"].initial = uuid.uuid4
        for name in DEFAULTS:
            self.initial.setdefault(name, getattr(self.instance, name))
        current = targets.chosen(self.instance) or str(self.initial.get("attach_to", ""))
        places = targets.choices(self.http_request, self.site, targets.chosen(self.instance))
        self.fields["attach_to"].choices = places  # type: ignore[attr-defined]
        self.initial["attach_to"] = current if current in dict(places) else ""
        if "owner" in self.fields:
            self.fields["owner"] = user_field(
                self.http_request, self.site, label=_("Owner"), help_text=_("Whose credits pay for it.")
            )
            if self.instance.owner_id is None:
                self.initial.setdefault("owner", self.http_request.user.pk)

    def _get_validation_exclusions(self) -> set[str]:
        return super()._get_validation_exclusions() | JUDGED  # type: ignore[misc, no-any-return]

    def _post_clean(self) -> None:
        if self.instance._state.adding and "owner" not in self.fields:
            self.instance.owner = self.http_request.user  # type: ignore[assignment]
        super()._post_clean()  # type: ignore[misc]
        self._choose_operation()
        if "attach_to" in self.cleaned_data:
            targets.choose(self.instance, self.cleaned_data["attach_to"])
        for name, sentence in validation.content_problems(self.instance):
            self.add_error(PLACES.get(name, name), sentence)
        self._check_target()

    def _choose_operation(self) -> None:
        request, operations = self.instance, VideoRequest.Operation
        if request.operation in {operations.TEXT, operations.IMAGE}:
            request.operation = operations.IMAGE if request.has_image else operations.TEXT

    def _check_target(self) -> None:
        """The object exists and is one that the user may change; what was chosen before by others may stay."""
        request = self.instance
        if request.target_content_type is None or {"attach_to", "target_object_id"} & self.errors.keys():
            return
        target = find_target(request)
        if target is None:
            self.add_error("target_object_id", _("There is no such object. Look up its id, or attach to nothing."))
        elif self.has_changed_target and not targets.may_change(self.http_request, self.site, type(target), target):
            self.add_error("target_object_id", _("You may not change this object. Choose another."))

    @property
    def has_changed_target(self) -> bool:
        """Whether it points somewhere else now."""
        return bool({"attach_to", "target_object_id"} & set(self.changed_data))

    def save(self, commit: bool = True) -> VideoRequest:
        """A new request gets the form's own key.

        Raises:
            SentBefore: this form has made a request already.
        """
        key = as_key(self.cleaned_data.get("form_key", ""))
        if self.instance._state.adding and key is not None:
            made = VideoRequest.objects.filter(uuid=key).first()
            if made is None:
                self.instance.uuid = key
            elif all(getattr(made, name) == getattr(self.instance, name) for name in SAME):
                raise SentBefore(made)
        return super().save(commit=commit)


def as_key(text: str) -> uuid.UUID | None:
    """The key in a hidden field; None if it was tampered with."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
