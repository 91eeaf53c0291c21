"""What the gateway's answers to reads and cancellations do. Bucketed where many rows share an outcome."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Case, F, Q, Value, When
from django.utils import timezone

from .. import conf, signals, transactions
from ..models import VideoRequest, VideoRequestEvent
from . import expiring, money
from .starting import RING_AGAIN_SECONDS
from .submitting import Lease
from .transition import Status, alert, move

READABLE: Final = (Status.SUBMITTED, Status.IN_DOUBT)
UNKNOWN_HERE: Final = "unknown job"
"""In ``gateway_status``: the last read was a 404, so the next one is another of them in a row."""
LONGEST_WAIT_SECONDS: Final = 3600.0
"""Nobody waits longer for the next look at a row, whatever the gateway, or a clock that was wrong, has said."""
LONGEST_WAIT_IN_DOUBT_SECONDS: Final = 12 * 3600.0
"""But in doubt it is asked about ever more slowly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A finished video as the gateway reports it."""

    pk: int
    url: str
    seconds: float | None = None


def claim(pks: Collection[int], *, now: datetime, until: datetime) -> uuid.UUID:
    """Take due rows for one round of reading, with one token for all. Two queries with ``claimed``."""
    token = uuid.uuid4()
    rows = VideoRequest.objects.filter(pk__in=pks, status__in=READABLE, due_at__lte=now)
    transactions.update(rows.exclude(gateway_job_id=None), lease_token=token, due_at=until)
    return token


def claimed(token: uuid.UUID, pks: Collection[int]) -> list[VideoRequest]:
    """Which of these rows a claim really got. By their keys: SQLite takes a mostly empty column for a bad index."""
    return list(VideoRequest.objects.filter(pk__in=pks, lease_token=token, status__in=READABLE))


def renew(token: uuid.UUID, *, until: datetime) -> int:
    """The answers take their time: the rows of this round stay ours. One query."""
    return transactions.update(VideoRequest.objects.filter(lease_token=token, status__in=READABLE), due_at=until)


def look_again(
    token: uuid.UUID,
    pks: Iterable[int],
    *,
    due_at: datetime | None,
    gateway_status: str | None = None,
    seen_at: datetime | None = None,
    failures: int | None = None,
) -> int:
    """Nothing new about these rows: read them again then. One query.

    ``due_at`` None stops reading for good; ``seen_at``: they were seen unfinished then, so they are younger than that;
    ``failures``: so often in a row it could not be read now.
    """
    rows = VideoRequest.objects.filter(pk__in=list(pks), lease_token=token, status__in=READABLE)
    learned: dict[str, Any] = {} if gateway_status is None else {"gateway_status": gateway_status[:64]}
    if seen_at is not None:
        learned |= {"last_read_at": seen_at, "failed_reads": 0}
    if failures is not None:
        learned["failed_reads"] = failures
    return transactions.update(rows, due_at=due_at, lease_token=None, reads=F("reads") + 1, **learned)


def rendered(token: uuid.UUID, found: Sequence[Rendered]) -> list[int]:
    """These are done at the gateway; returns those that moved. A constant number of queries."""
    if not found:
        return []
    now = timezone.now()
    pks = [item.pk for item in found]
    urls = Case(*[When(pk=item.pk, then=Value(item.url)) for item in found])
    seconds = Case(*[When(pk=item.pk, then=Value(item.seconds)) for item in found if item.seconds is not None])
    wanted_in_vain = Q(cancel_requested_at__isnull=False, cancel_refused_at__isnull=True)
    refused_at = Case(When(wanted_in_vain, then=Value(now)), default=F("cancel_refused_at"))
    lengths = {"reported_seconds": seconds} if seconds.cases else {}

    def work() -> list[int]:
        moved: list[int] = []
        for status in READABLE:
            rows = VideoRequest.objects.filter(pk__in=pks, lease_token=token, status=status)
            if rows.update(
                status=Status.RENDERED,
                rendered_at=now,
                updated_at=now,
                due_at=now + timedelta(seconds=RING_AGAIN_SECONDS),
                gateway_status="completed",
                reads=F("reads") + 1,
                fetch_attempts=0,
                media_refusals=0,
                result_url=urls,
                cancel_refused_at=refused_at,
                **expiring.begins(now),
                **lengths,
            ):
                matched = VideoRequest.objects.filter(pk__in=pks, lease_token=token, status=Status.RENDERED)
                new = dict(matched.values_list("pk", "cancel_requested_at"))
                matched.update(lease_token=None)
                moved += new
                VideoRequestEvent.objects.bulk_create(
                    _rendered_event(pk, status, too_late=asked_at is not None) for pk, asked_at in new.items()
                )
                signals.send_all_after_commit(
                    signals.request_status_changed, VideoRequest, (_rendered_change(pk, status) for pk in new)
                )
        return moved

    return transactions.run(work)


def _rendered_event(pk: int, status: str, *, too_late: bool) -> VideoRequestEvent:
    words = "The gateway has finished the video."
    if too_late:
        words = f"{words} It was too late to cancel it: the video is kept and charged."
    return VideoRequestEvent(
        request_id=pk,
        kind="rendered",
        from_status=status,
        to_status=Status.RENDERED,
        message=words,
    )


def _rendered_change(pk: int, status: str) -> dict[str, Any]:
    return {"pk": pk, "from_status": str(status), "to_status": str(Status.RENDERED), "kind": "rendered"}


def ended_without_video(lease: Lease, *, code: str, message: str, outcome: str = "failed") -> bool:
    """The gateway says that there will be no video: failed; released, or charged by the site's policy."""
    return move(
        lease.pk,
        Status.FAILED,
        from_=READABLE,
        kind="gateway_failed",
        message=f"The gateway made no video: {message}",
        guard=lease.held,
        settle=lambda row: money.end_without_video(row, outcome, reason="The gateway made no video."),
        error_code=code,
        error_message=message,
        due_at=None,
        lease_token=None,
        finished_at=timezone.now(),
        **expiring.NOTHING_TO_LOSE,
    )


def canceled(lease: Lease, *, asked: bool) -> bool:
    """The gateway confirms that the job is canceled: released, or charged by the site's policy."""
    words = "The gateway has canceled it." if asked else "The gateway has canceled it by itself."
    return move(
        lease.pk,
        Status.CANCELED,
        from_=READABLE,
        kind="canceled",
        message=words,
        guard=lease.held,
        settle=lambda row: money.end_without_video(row, "canceled", reason="Canceled at the gateway."),
        due_at=None,
        lease_token=None,
        finished_at=timezone.now(),
        **expiring.NOTHING_TO_LOSE,
    )


def cancel_refused(lease: Lease, *, message: str, due_at: datetime) -> bool:
    """The gateway does not cancel it any more: the video will be finished, kept and charged."""
    return move(
        lease.pk,
        None,
        from_=READABLE,
        kind="cancel_refused",
        message=f"The gateway no longer cancels it, so it will be finished, kept and charged. It says: {message}",
        guard=lease.held,
        cancel_refused_at=timezone.now(),
        due_at=due_at,
        lease_token=None,
    )


def doubt(lease: Lease, *, code: str, message: str, due_at: datetime | None) -> bool:
    """Past its deadline or unknown at the gateway: the hold stays, it is read on very slowly, a person may decide."""
    moved = move(
        lease.pk,
        Status.IN_DOUBT,
        from_=[Status.SUBMITTED],
        kind="in_doubt",
        message=f"{message} Its credits stay held until the gateway or a person says what became of it.",
        guard=lease.held,
        error_code=code,
        error_message=message,
        due_at=due_at,
        lease_token=None,
        reads=F("reads") + 1,
    )
    if moved:
        alert("Request %s is in doubt: %s", lease.pk, message)
    return moved


def put_aside(lease: Lease, *, message: str, due_at: datetime) -> bool:
    """A row whose handling raised: it waits, the others go on. What was said before is not said again."""
    rows = VideoRequest.objects.filter(lease.held, pk=lease.pk, status__in=READABLE, error_message=message)
    if transactions.update(rows, due_at=due_at, lease_token=None):
        return True
    return move(
        lease.pk,
        None,
        from_=READABLE,
        kind="put_aside",
        message=message,
        guard=lease.held,
        due_at=due_at,
        lease_token=None,
        error_message=message,
    )


def ring_again(pks: Collection[int], *, now: datetime, due_at: datetime) -> int:
    """Rows in other hands that nobody took in time: their dead leases end, and their doorbell is rung again."""
    waiting = Q(status__in=[Status.QUEUED, Status.RENDERED, Status.SUCCEEDED])
    rows = VideoRequest.objects.filter(waiting, pk__in=pks, due_at__lte=now)
    return transactions.update(rows, due_at=due_at, lease_token=None)


def bring_back(now: datetime) -> int:
    """Rows that wait for longer than anything here waits: a clock was wrong when that was written.

    ``now`` is the database's, or a worker whose own clock is wrong would bring back everybody's.
    """
    longest_lease = max(conf.current().FETCH_SECONDS, conf.current().POST_TIMEOUT)
    latest = now + timedelta(seconds=max(LONGEST_WAIT_SECONDS, 2 * longest_lease))
    latest_in_doubt = now + timedelta(seconds=LONGEST_WAIT_IN_DOUBT_SECONDS)
    far = VideoRequest.objects.filter(due_at__gt=latest)
    if not far.exists():
        return 0
    in_doubt = far.filter(status=Status.IN_DOUBT, due_at__gt=latest_in_doubt).exclude(expiring.UNDELIVERED)
    moved = transactions.update(in_doubt, due_at=latest_in_doubt)
    return moved + transactions.update(far.exclude(status=Status.IN_DOUBT), due_at=latest)


def wait_on(pk: int, *, now: datetime, due_at: datetime) -> int:
    """A due row whose looking after raised: as it was, and looked at later."""
    return transactions.update(VideoRequest.objects.filter(pk=pk, due_at__lte=now), due_at=due_at)
