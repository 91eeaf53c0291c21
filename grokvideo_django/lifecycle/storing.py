"""From rendered to succeeded: files planned before their first byte, then captured, then attached."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import F, Q
from django.utils import timezone

from .. import conf, pricing, signals, transactions
from ..models import PlannedFile, VideoRequest
from . import expiring, money
from .submitting import Lease
from .transition import Status, alert, move

FETCH_MARGIN_SECONDS: Final = 60
ATTACH_LEASE_SECONDS: Final = 300
FETCH_ENDS: Final = ("fetch_failed", "fetch_lost", "media_refused")
"""The events of downloads that did not work out, and of whose workers nobody killed."""
MEDIA_TRIES: Final = 3
MEDIA_RETRY_SECONDS: Final = 20
"""Three tries within 2 minutes."""
ATTACH_TRIES: Final = 5
GIVE_UP_AFTER: Final = timedelta(days=6)
"""The gateway deletes a file 7 days after the job: one day is left for a person."""
LOOK_AGAIN: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What was stored: names in the result storage, and what the file says of itself."""

    video: str
    poster: str
    seconds: float
    width: int
    height: int
    has_audio: bool
    size_bytes: int
    sha256: str


def fetch_lease_seconds() -> float:
    """How long a download may take, with a margin."""
    return conf.current().FETCH_SECONDS + FETCH_MARGIN_SECONDS


def claim(pk: int, now: datetime) -> Lease | None:
    """Take a rendered row for its download. None: another has it."""
    return _claim(pk, Status.RENDERED, now, fetch_lease_seconds(), fetch_attempts=F("fetch_attempts") + 1)


def claim_attach(pk: int, now: datetime) -> Lease | None:
    """Take a stored row whose video is to be attached. None: another has it, or there is nothing to attach."""
    return _claim(pk, Status.SUCCEEDED, now, ATTACH_LEASE_SECONDS, attach_attempts=F("attach_attempts") + 1)


def _claim(pk: int, status: str, now: datetime, seconds: float, **values: Any) -> Lease | None:
    lease = Lease(pk=pk, token=uuid.uuid4())
    free = Q(lease_token__isnull=True) | Q(due_at__lte=now)
    rows = VideoRequest.objects.filter(free, pk=pk, status=status, due_at__isnull=False)
    until = now + timedelta(seconds=seconds)
    claimed = transactions.update(rows, lease_token=lease.token, due_at=until, **values)
    return lease if claimed else None


def holds(lease: Lease, now: datetime) -> bool:
    """Whether the lease is still ours. A read."""
    return VideoRequest.objects.filter(lease.held, pk=lease.pk, due_at__gt=now).exists()


def plan(
    request: VideoRequest, lease: Lease, names: Sequence[tuple[str, str]], *, now: datetime, target_field: str = ""
) -> None:
    """Commit the names of files before their first byte. ``names`` are pairs of place and name."""
    until = now + timedelta(seconds=max(fetch_lease_seconds(), ATTACH_LEASE_SECONDS))
    PlannedFile.objects.bulk_create(
        PlannedFile(
            request_key=request.key,
            lease_token=lease.token,
            place=place,
            name=name,
            host=socket.gethostname() if place == PlannedFile.Place.TEMPORARY else "",
            target_field=target_field,
            expires_at=until,
        )
        for place, name in names
    )


def forget_plan(lease: Lease, names: Sequence[str]) -> None:
    """These files are gone, or something refers to them now."""
    PlannedFile.objects.filter(lease_token=lease.token, name__in=names).delete()


def succeed(lease: Lease, stored: Stored) -> bool:
    """Stored: capture by the seconds delivered, and the row refers to its files. One transaction."""
    now = timezone.now()
    request = VideoRequest.objects.get(pk=lease.pk)
    request.delivered_seconds = stored.seconds
    amount = money.price_of_delivered(request)
    return move(
        lease.pk,
        Status.SUCCEEDED,
        from_=[Status.RENDERED],
        kind="succeeded",
        message=f"Stored. {money.in_words(request, amount)}",
        data=_differences(request, stored),
        guard=lease.held,
        settle=lambda row: _captured(row, amount, lease, stored),
        video=stored.video,
        poster=stored.poster,
        delivered_seconds=stored.seconds,
        width=stored.width,
        height=stored.height,
        has_audio=stored.has_audio,
        size_bytes=stored.size_bytes,
        sha256=stored.sha256,
        error_code="",
        error_message="",
        due_at=now if request.target_content_type_id else None,
        lease_token=None,
        finished_at=now,
        **expiring.NOTHING_TO_LOSE,
    )


def _captured(row: VideoRequest, amount: int, lease: Lease, stored: Stored) -> None:
    row.charged_credits = money.capture(row, amount, reason=f"Video of {stored.seconds:.1f} s.")
    signals.send_after_commit(signals.video_ready, VideoRequest, request=row)
    forget_plan(lease, [name for name in (stored.video, stored.poster) if name])


def _differences(request: VideoRequest, stored: Stored) -> dict[str, Any]:
    """Gateway and file may disagree: recorded, never a failure."""
    details: dict[str, Any] = {"measured_seconds": stored.seconds}
    if request.reported_seconds is not None:
        details["reported_seconds"] = request.reported_seconds
        if abs(request.reported_seconds - stored.seconds) > 0.5:
            details["disagree"] = True
    return details


def is_referred_to(name: str) -> bool:
    """Whether a row has this file, any: some storages keep equal files once. A read."""
    return VideoRequest.objects.filter(Q(video=name) | Q(poster=name)).exists()


def end_dead_leases(tokens: Collection[uuid.UUID], now: datetime) -> int:
    """Before files of dead leases are deleted: whoever comes back to one of them finds that it has lost it."""
    rows = VideoRequest.objects.filter(lease_token__in=tokens, due_at__lte=now)
    return transactions.update(rows, lease_token=None)


def fetch_again(lease: Lease, *, message: str, due_at: datetime) -> bool:
    """A passing fault: the video stays at the gateway and is tried again."""
    return move(
        lease.pk,
        None,
        from_=[Status.RENDERED],
        kind="fetch_failed",
        message=message,
        guard=lease.held,
        due_at=due_at,
        lease_token=None,
        error_message=message,
    )


def fetch_lost(pk: int) -> bool:
    """A worker finds that its lease is lost, though it lives: noted, so that it does not count as killed."""
    message = "A worker was too late with its download, or a clock is wrong. It is downloaded anew."
    return move(pk, None, from_=[Status.RENDERED], kind="fetch_lost", message=message)


def media_refused(lease: Lease, *, message: str, now: datetime) -> bool:
    """What came is no acceptable video: the job is read again and tried 3 times, then a person must decide."""
    again = move(
        lease.pk,
        None,
        from_=[Status.RENDERED],
        kind="media_refused",
        message=message,
        guard=lease.held & Q(media_refusals__lt=MEDIA_TRIES - 1),
        media_refusals=F("media_refusals") + 1,
        due_at=now + timedelta(seconds=MEDIA_RETRY_SECONDS),
        lease_token=None,
        error_message=message,
    )
    return again or doubt(lease, code="media", message=message)


def doubt(lease: Lease, *, code: str, message: str, warns: bool = False) -> bool:
    """It is finished there and cannot be stored here: the hold stays, a person must decide, or in time the policy.

    ``warns``: the message says already that the gateway deletes the file soon.
    """
    warned = {"file_warn_at": None} if warns else {}
    until = " or the gateway has deleted it" if pricing.has_policy("undelivered") else ""
    moved = move(
        lease.pk,
        Status.IN_DOUBT,
        from_=[Status.RENDERED],
        kind="in_doubt",
        message=f"{message} Its credits stay held until a person says what to do{until}.",
        guard=lease.held,
        error_code=code,
        error_message=message,
        due_at=expiring.DELETED_AT,
        lease_token=None,
        **warned,
    )
    if moved:
        alert("Request %s is in doubt: %s", lease.pk, message)
    return moved


def undelivered(pk: int, now: datetime) -> bool:
    """The gateway has deleted what could not be stored here: failed, and paid for as the site's policy says.

    Without such a policy it stays in doubt until a person decides, and is looked at once a day.
    """
    due, gone = expiring.UNDELIVERED & Q(due_at__lte=now), expiring.deleted(now)
    rows = VideoRequest.objects.filter(due, pk=pk)
    if transactions.update(rows.exclude(gone), due_at=expiring.DELETED_AT):
        return False
    if not pricing.has_policy("undelivered"):
        transactions.update(rows, due_at=now + LOOK_AGAIN)
        return False
    return move(
        pk,
        Status.FAILED,
        from_=[Status.IN_DOUBT],
        kind="undelivered",
        message="The video was made, but could not be stored here, and the gateway has deleted it by now.",
        guard=due & gone,
        settle=lambda row: money.end_without_video(row, "undelivered", reason="The video could not be delivered."),
        due_at=None,
        lease_token=None,
        finished_at=now,
        **expiring.NOTHING_TO_LOSE,
    )


def new_url(lease: Lease, url: str) -> bool:
    """The job was read again and names another address."""
    rows = VideoRequest.objects.filter(lease.held, pk=lease.pk, status=Status.RENDERED)
    return bool(rows.update(result_url=url))


def attached(lease: Lease, *, message: str) -> bool:
    """The target has the video. Called inside the transaction that saves the target, before it."""
    return move(
        lease.pk,
        None,
        from_=[Status.SUCCEEDED],
        kind="attached",
        message=message,
        guard=lease.held,
        due_at=None,
        lease_token=None,
    )


def attach_failed(lease: Lease, *, message: str, now: datetime, final: bool = False) -> bool:
    """The video stays on the request. Tried again with growing pauses, 5 times; a vanished target is final."""
    attempts = VideoRequest.objects.filter(pk=lease.pk).values_list("attach_attempts", flat=True).first() or 0
    last = final or attempts >= ATTACH_TRIES
    due_at = None if last else now + timedelta(seconds=30 * 4 ** min(attempts, 6))
    ending = " The video stays here and can be attached by hand." if last else " It is tried again."
    return move(
        lease.pk,
        None,
        from_=[Status.SUCCEEDED],
        kind="attach_failed",
        message=message + ending,
        guard=lease.held,
        due_at=due_at,
        lease_token=None,
    )
