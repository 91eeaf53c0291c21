"""The gateway deletes files: a warning in time for those that are finished there and not stored here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Case, DateTimeField, F, Q, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from .. import transactions
from ..models import VideoRequest, VideoRequestEvent
from .transition import Status, alert

KEPT_FOR: Final = timedelta(days=7)
"""By the gateway, from the end of the job."""
WARN_BEFORE: Final = timedelta(hours=23)
"""Within a day, and after a storage that fails has put the request in doubt, which is a warning already."""
AT_RISK: Final = (Status.SUBMITTED, Status.RENDERED, Status.IN_DOUBT)
"""Submitted: finished before, and asked about again."""
AT_ONCE: Final = 500
DELETED_AT: Final = Coalesce("file_expires_at", F("rendered_at") + KEPT_FOR, output_field=DateTimeField())
"""Counted from when the video was first seen finished, also if it was asked about again since."""
UNDELIVERED_CODES: Final = ("media", "not_stored")
UNDELIVERED: Final = Q(status=Status.IN_DOUBT, error_code__in=UNDELIVERED_CODES)
"""Made there, and not to be had: nothing is asked about these any more."""

NOTHING_TO_LOSE: Final[dict[str, Any]] = {"file_expires_at": None, "file_warn_at": None}
"""For whoever stores the file, gives it up, or waits for another one."""
MESSAGE: Final = "The gateway deletes its video within a day, and it is not stored here yet."


def begins(now: datetime) -> dict[str, Any]:
    """The columns of a row that is finished at the gateway now. Asked about again, its file is as old as it was.

    Their order counts: MariaDB computes a column from those before it as they are after the UPDATE.
    """
    warn_at = Case(
        When(file_expires_at__isnull=True, then=Value(now + KEPT_FOR - WARN_BEFORE)),
        default=F("file_warn_at"),
        output_field=DateTimeField(),
    )
    expires_at = Coalesce(F("file_expires_at"), Value(now + KEPT_FOR), output_field=DateTimeField())
    return {"file_warn_at": warn_at, "file_expires_at": expires_at}


def deleted(now: datetime) -> Q:
    """Which rows' files are gone for certain."""
    unknown = Q(file_expires_at__isnull=True, rendered_at__lte=now - KEPT_FOR)
    return Q(file_expires_at__lte=now) | unknown


def warn(now: datetime) -> list[int]:
    """Warn of files that are deleted within a day, once each, with one alert for all. A constant number of queries."""
    due = VideoRequest.objects.filter(file_warn_at__lte=now).order_by("file_warn_at")
    found = dict(due.values_list("pk", "status")[:AT_ONCE])
    if not found:
        return []
    warned = sorted(pk for status in AT_RISK for pk in _warn([k for k, v in found.items() if v == status], status, now))
    if warned:
        alert(
            "The gateway deletes the videos of these requests within a day, and they are not stored here: %s. "
            "Each says on its page how long is left.",
            ", ".join(map(str, warned)),
        )
    moved_on = VideoRequest.objects.filter(pk__in=list(found), file_warn_at__lte=now).exclude(status__in=AT_RISK)
    transactions.update(moved_on, file_warn_at=None)
    return warned


def _warn(pks: Sequence[int], status: str, now: datetime) -> list[int]:
    """Together; one by one if another worker was faster with some."""
    if not pks:
        return []
    rows = VideoRequest.objects.filter(pk__in=pks, status=status, file_warn_at__lte=now)

    def work() -> bool:
        if rows.update(file_warn_at=None, updated_at=timezone.now()) != len(pks):
            raise _FasterError
        VideoRequestEvent.objects.bulk_create(
            VideoRequestEvent(
                request_id=pk, kind="file_expiring", from_status=status, to_status=status, message=MESSAGE
            )
            for pk in pks
        )
        return True

    try:
        transactions.run(work)
    except _FasterError:
        return [] if len(pks) == 1 else [done for pk in pks for done in _warn([pk], status, now)]
    return list(pks)


class _FasterError(Exception):
    """Another worker has some of them: rolled back."""
