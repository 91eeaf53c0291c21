"""Deleting planned files whose worker died and that nothing refers to."""

from __future__ import annotations

import logging
import socket
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.db.models import Q

from ..lifecycle import storing
from ..models import PlannedFile, VideoRequest
from ..models.requests import result_storage

log = logging.getLogger("grokvideo_django")

BITE: Final = 100
OTHER_HOST_AFTER: Final = timedelta(days=7)
"""A temporary file on a host that never came back: its plan is given up."""
TRY_AGAIN_AFTER: Final = timedelta(hours=1)


def sweep(now: datetime) -> int:
    """Delete the files of dead leases; returns how many plans ended. A bounded bite at a time.

    Not before a plan expires: until then its worker may come back, stopped for a while, and write the file. Then its
    job's time is over.
    """
    alive = VideoRequest.objects.filter(lease_token__isnull=False, due_at__gt=now).values("lease_token")
    ours = ~Q(place=PlannedFile.Place.TEMPORARY) | Q(host=socket.gethostname())
    forgotten = Q(expires_at__lt=now - OTHER_HOST_AFTER)
    dead = (
        PlannedFile.objects.filter(ours | forgotten, expires_at__lt=now)
        .exclude(lease_token__in=alive)
        .order_by("expires_at", "pk")
    )
    plans = list(dead[:BITE])
    if plans:
        storing.end_dead_leases({plan.lease_token for plan in plans}, now)
    return sum(_sweep_one(plan, now) for plan in plans)


def _sweep_one(plan: PlannedFile, now: datetime) -> bool:
    try:
        if not _is_referred_to(plan):
            _delete_file(plan)
    except Exception:
        log.exception("The forgotten file %s could not be deleted yet.", plan.name)
        PlannedFile.objects.filter(pk=plan.pk).update(expires_at=now + TRY_AGAIN_AFTER)  # behind all others
        return False
    plan.delete()
    return True


def _is_referred_to(plan: PlannedFile) -> bool:
    match plan.place:
        case PlannedFile.Place.RESULT:
            return storing.is_referred_to(plan.name)
        case PlannedFile.Place.TARGET:
            target = _target(plan)
            return target is not None and target[0]._base_manager.filter(**{target[1].name: plan.name}).exists()
        case _:
            return False


def _delete_file(plan: PlannedFile) -> None:
    match plan.place:
        case PlannedFile.Place.RESULT:
            result_storage().delete(plan.name)
        case PlannedFile.Place.TARGET:
            target = _target(plan)
            if target is None:
                log.warning("The file %s stays: the field %s that it was for is gone.", plan.name, plan.target_field)
            else:
                target[1].storage.delete(plan.name)
        case _:
            if plan.host == socket.gethostname():
                Path(plan.name).unlink(missing_ok=True)


def _target(plan: PlannedFile) -> tuple[type[models.Model], models.FileField] | None:
    """The field that the file was copied for; None if the site has it no more."""
    label, _dot, name = plan.target_field.rpartition(".")
    try:
        model = apps.get_model(label)
        field = model._meta.get_field(name)
    except (LookupError, ValueError, FieldDoesNotExist):
        return None
    return (model, field) if isinstance(field, models.FileField) else None
