"""Giving a stored video to the object that it was made for. It can fail as often as it likes: the video stays."""

from __future__ import annotations

import logging
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import DataError, models, transaction
from django.utils import timezone

from .. import crash
from ..exceptions import GrokVideoError
from ..lifecycle import storing
from ..lifecycle.submitting import Lease
from ..models import PlannedFile, VideoRequest
from ..validation import is_attachable
from .links import permanent_url

if TYPE_CHECKING:
    from django.core.files.storage import Storage

log = logging.getLogger("grokvideo_django")


def attach(pk: int) -> bool:
    """Attach the video of a stored row to its target; False if there is nothing to do or it did not work out."""
    lease = storing.claim_attach(pk, timezone.now())
    if lease is None:
        return False
    request = VideoRequest.objects.get(pk=pk)
    try:
        return _attach(request, lease)
    except Exception as error:
        log.exception("The video of request %s could not be attached.", pk)
        words = str(error) if isinstance(error, GrokVideoError) else repr(error)
        message = f"The video could not be attached to {request.target_content_type}: {words}"
        storing.attach_failed(lease, message=message, now=timezone.now())
        return False


def _attach(request: VideoRequest, lease: Lease) -> bool:
    target = find_target(request)
    if target is None:
        message = "The object that the video was made for does not exist any more."
        storing.attach_failed(lease, message=message, now=timezone.now(), final=True)
        return False
    if not is_attachable(type(target), request.target_field):
        message = f"The object has no field {request.target_field} that can take a video."
        storing.attach_failed(lease, message=message, now=timezone.now(), final=True)
        return False
    return _attach_to(target, request, lease)


def find_target(request: VideoRequest) -> models.Model | None:
    """The object, read anew; None if it or its model is gone, or its id is no id of that model."""
    content_type = request.target_content_type
    model = None if content_type is None else content_type.model_class()
    if model is None:
        return None
    try:
        return model._base_manager.filter(pk=request.target_object_id).first()
    except (ValueError, TypeError, OverflowError, ValidationError, DataError):
        return None


def _attach_to(target: models.Model, request: VideoRequest, lease: Lease) -> bool:
    field = target._meta.get_field(request.target_field)
    if isinstance(field, models.FileField):
        return _attach_copy(target, field, request, lease)
    value = request if isinstance(field, models.ForeignKey) else permanent_url(request)
    return _save(target, request, lease, value)


def _attach_copy(target: models.Model, field: models.FileField, request: VideoRequest, lease: Lease) -> bool:
    """A copy of its own: other apps delete the file with their row."""
    storage: Storage = field.storage
    name = _own_name(target, field, request, lease)
    label = f"{target._meta.label}.{field.name}"
    written = [name]
    storing.plan(request, lease, [(PlannedFile.Place.TARGET, name)], now=timezone.now(), target_field=label)
    kept = False
    try:
        with request.video.open("rb") as video:
            actual = storage.save(name, video, max_length=field.max_length)
        if actual != name:
            written.append(actual)
            storing.plan(request, lease, [(PlannedFile.Place.TARGET, actual)], now=timezone.now(), target_field=label)
        crash.point("attach.copied")
        kept = _save(target, request, lease, actual, forget=written)
    finally:
        if not kept:
            _discard(target, field, written)
            storing.forget_plan(lease, written)
    return kept


def _own_name(target: models.Model, field: models.FileField, request: VideoRequest, lease: Lease) -> str:
    """Where the field wants its file, and nobody else's: with the lease's token, also if ``upload_to`` leaves it out.

    A planned file is deleted when it is of no use. A name that is always the same may be another one's by then.
    """
    token = lease.token.hex
    name = field.generate_filename(target, f"grokvideo-{request.pk}-{token}.mp4")
    path = PurePosixPath(name)
    return name if token in name else str(path.with_name(f"{path.stem}-{token}{path.suffix}"))


def _discard(target: models.Model, field: models.FileField, written: list[str]) -> None:
    """Delete the copies that no target has: a connection lost during a COMMIT does not tell how that ended.

    Nor is every name that a storage gives a new one: some keep equal files once.
    """
    for name in written:
        if not type(target)._base_manager.filter(**{field.name: name}).exists():
            field.storage.delete(name)


def _save(
    target: models.Model, request: VideoRequest, lease: Lease, value: Any, *, forget: list[str] | None = None
) -> bool:
    """The target, the event and the plan in one transaction; the row first, so that a lost lease changes nothing."""
    with transaction.atomic():
        words = f"Attached to {target._meta.verbose_name} {target.pk}, field {request.target_field}."
        if not storing.attached(lease, message=words):
            return False
        setattr(target, request.target_field, value)
        target.save(update_fields=[request.target_field])
        if forget:
            storing.forget_plan(lease, forget)
    crash.point("attach.saved")
    return True
