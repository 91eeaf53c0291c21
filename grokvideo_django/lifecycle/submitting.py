"""From queued to submitted: the one place where money leaves."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import IntegrityError
from django.db.models import Case, F, Q, Value, When
from django.utils import timezone

from .. import conf, transactions
from ..credits.entries import Actor
from ..models import VideoRequest
from . import money, site
from .transition import Status, alert, move, record

LEASE_MARGIN_SECONDS: Final = 30
CANCELED_EARLY: Final = "Canceled before the gateway accepted it."
AFTER_FAULT: Final = "An earlier try ended in a fault of the gateway's own; nobody knows whether it accepted that one."


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to work on a row until it runs out. Every write after it is fenced by its token."""

    pk: int
    token: uuid.UUID

    @property
    def held(self) -> Q:
        """The fence."""
        return Q(lease_token=self.token)


def claim(pk: int, now: datetime, *, tag: str = "") -> Lease | None:
    """Take a queued row for its submission, committed before the POST. None: another has it, or it is not queued."""
    lease = Lease(pk=pk, token=uuid.uuid4())
    seconds = conf.current().POST_TIMEOUT + LEASE_MARGIN_SECONDS
    claimed = move(
        pk,
        Status.SUBMITTING,
        from_=[Status.QUEUED],
        kind="submitting",
        message="A worker sends it to the gateway.",
        lease_token=lease.token,
        due_at=now + timedelta(seconds=seconds),
        submit_attempts=F("submit_attempts") + 1,
        sent_at=now,
        tag=tag,
    )
    return lease if claimed else None


def confirm(lease: Lease, now: datetime) -> bool:
    """Right before the POST: whether the lease is still ours and leaves time for the answer."""
    until = now + timedelta(seconds=conf.current().POST_TIMEOUT + LEASE_MARGIN_SECONDS)
    rows = VideoRequest.objects.filter(lease.held, pk=lease.pk, status=Status.SUBMITTING, due_at__gt=now)
    return bool(transactions.update(rows, due_at=until))


def accepted(pk: int, job_id: str, *, now: datetime, first_read_at: datetime, actor: str = "") -> bool:
    """Save the gateway's id. The one write that no fence discards: it matches the row whatever its status.

    The same id twice is nothing. A second id, or one for a row that has ended, is kept as an event, and alerts.
    Returns whether the row is (or already was) waiting for this job.
    """
    try:
        if _save_id(pk, job_id, now=now, first_read_at=first_read_at, actor=actor):
            return True
    except IntegrityError:
        message = "The gateway gave it the id of another request's job."
        move(
            pk,
            Status.IN_DOUBT,
            from_=[Status.SUBMITTING, Status.IN_DOUBT, Status.QUEUED],
            kind="in_doubt",
            message=f"{message} A site manager must decide.",
            data={"gateway_job_id": job_id},
            error_code="job_id",
            error_message=message,
            due_at=None,
            lease_token=None,
        )
        alert("The gateway gave request %s the job id %s, which belongs to another request.", pk, job_id)
        return False
    return _late_id(pk, job_id)


def _save_id(pk: int, job_id: str, *, now: datetime, first_read_at: datetime, actor: str) -> bool:
    return move(
        pk,
        Status.SUBMITTED,
        from_=[Status.SUBMITTING, Status.IN_DOUBT, Status.QUEUED],
        kind="submitted",
        message="The gateway accepted it.",
        data={"gateway_job_id": job_id},
        actor=actor,
        guard=Q(gateway_job_id__isnull=True) | Q(gateway_job_id=job_id),
        gateway_job_id=job_id,
        submitted_at=now,
        # What was to be canceled meanwhile is asked about at once: the gateway cancels a job only until it begins.
        due_at=Case(When(cancel_requested_at__isnull=False, then=Value(now)), default=Value(first_read_at)),
        error_code="",
        error_message="",
        lease_token=None,
    )


def _late_id(pk: int, job_id: str) -> bool:
    """An id for a row that has moved on: kept on the row if it has none, else as an event."""

    def work() -> str | None:
        rows = VideoRequest.objects.filter(pk=pk)
        new = rows.filter(gateway_job_id__isnull=True).update(gateway_job_id=job_id)
        row = rows.values_list("gateway_job_id").first()
        if row is None:
            return None
        kept = row[0]
        if kept == job_id and not new:
            return "known"
        kind = "late_job_id" if kept == job_id else "second_job_id"
        record(pk, kind, message=f"The gateway accepted it as job {job_id}.", data={"gateway_job_id": job_id})
        return kind

    try:
        kind = transactions.run(work)
    except IntegrityError:
        record(pk, "second_job_id", message=f"The gateway named job {job_id}.", data={"gateway_job_id": job_id})
        kind = "second_job_id"
    if kind == "known":
        return True
    alert("Gateway job %s came for request %s, which no longer waits for it (%s).", job_id, pk, kind or "deleted")
    return False


def not_accepted(lease: Lease, *, message: str, due_at: datetime, kind: str = "not_accepted") -> bool:
    """Certainly not accepted: queued again, or canceled if somebody asked for that meanwhile."""
    # The cancellation is looked at second: it may come between the two statements, and never goes away again.
    return move(
        lease.pk,
        Status.QUEUED,
        from_=[Status.SUBMITTING],
        kind=kind,
        message=message,
        guard=lease.held & Q(cancel_requested_at__isnull=True),
        due_at=due_at,
        lease_token=None,
    ) or bool(
        unaccepted(
            lease.pk,
            Status.CANCELED,
            from_=[Status.SUBMITTING],
            kind="canceled",
            message=CANCELED_EARLY,
            guard=lease.held,
        )
    )


def site_refused(lease: Lease, *, status: int, message: str) -> bool:
    """401, 402 or 403: the whole site's submissions pause, and this request waits with its hold."""
    now = timezone.now()
    site.pause(now, status=status, message=message)
    due_at = now + timedelta(seconds=site.FIRST_PROBE_SECONDS)
    words = f"{site.REASONS[status]} It waits, and nothing was charged."
    return not_accepted(lease, message=words, due_at=due_at, kind="site_refused")


def server_fault(lease: Lease, *, message: str, due_at: datetime) -> bool:
    """500: documented as retryable, so queued again a few times; then nobody knows."""
    limit = conf.current().RETRIES_AFTER_500
    again = move(
        lease.pk,
        Status.QUEUED,
        from_=[Status.SUBMITTING],
        kind="server_fault",
        message=f"The gateway had a fault of its own; it is tried again. It says: {message}",
        guard=lease.held & Q(server_faults__lt=limit, cancel_requested_at__isnull=True),
        server_faults=F("server_faults") + 1,
        due_at=due_at,
        lease_token=None,
    )
    return again or doubt(lease, code="500", message=f"The gateway had a fault of its own. It says: {message}")


def refused(lease: Lease, *, code: str, message: str) -> bool:
    """The request itself is refused: failed, with the gateway's words, and it cost nothing."""
    ended = unaccepted(
        lease.pk,
        Status.FAILED,
        from_=[Status.SUBMITTING],
        kind="refused",
        message=f"The gateway refused it: {message}",
        reason="The gateway refused the request.",
        guard=lease.held,
        error_code=code,
        error_message=message,
    )
    return ended is not None


def doubt(lease: Lease, *, code: str, message: str) -> bool:
    """The answer is lost: nobody knows, so the hold stays and the POST is never repeated."""
    moved = move(
        lease.pk,
        Status.IN_DOUBT,
        from_=[Status.SUBMITTING],
        kind="in_doubt",
        message=f"{message} Nobody knows whether the gateway accepted it, so it is not sent again.",
        guard=lease.held,
        error_code=code,
        error_message=message,
        due_at=None,
        lease_token=None,
    )
    if moved:
        alert("Request %s is in doubt: %s", lease.pk, message)
    return moved


def unsendable(pk: int, *, code: str, message: str) -> bool:
    """A queued row that cannot be sent at all (its image is gone, say): failed before anything was sent."""
    ended = unaccepted(
        pk,
        Status.FAILED,
        from_=[Status.QUEUED],
        kind="unsendable",
        message=message,
        reason="It could not be sent.",
        error_code=code,
        error_message=message,
    )
    return ended is not None


def abandoned(pk: int, now: datetime) -> bool:
    """A submission whose worker died: it may have sent the POST or not."""
    message = "The worker stopped while it was sending the request."
    moved = move(
        pk,
        Status.IN_DOUBT,
        from_=[Status.SUBMITTING],
        kind="in_doubt",
        message=f"{message} Nobody knows whether the gateway accepted it, so it is not sent again.",
        guard=Q(due_at__lte=now),
        error_code="worker_died",
        error_message=message,
        due_at=None,
        lease_token=None,
    )
    if moved:
        alert("Request %s is in doubt: %s", pk, message)
    return moved


def too_old(pk: int, now: datetime) -> bool:
    """Never accepted within MAX_QUEUE_AGE: failed, released."""
    message = "The gateway did not accept it in time."
    ended = unaccepted(
        pk,
        Status.FAILED,
        from_=[Status.QUEUED],
        kind="too_old",
        message=message,
        guard=Q(queue_expires_at__lte=now),
        error_code="queue_age",
        error_message=message,
    )
    return ended is not None


def unaccepted(
    pk: int,
    to: str,
    *,
    from_: Sequence[str],
    kind: str,
    message: str,
    reason: str = "",
    guard: Q | None = None,
    actor: Actor = None,
    **values: Any,
) -> str | None:
    """End what the gateway has not accepted, and give back what was held. The new status; None: nothing was changed.

    After a 500 nobody knows whether the gateway accepted that try: then the request is in doubt, and the hold stays.
    """
    matching = guard or Q()
    values |= {"due_at": None, "lease_token": None}

    def give_back(row: VideoRequest) -> None:
        money.release(row, reason=reason or message, actor=actor)

    if move(
        pk,
        to,
        from_=from_,
        kind=kind,
        message=f"{message} It cost nothing.",
        actor=actor,
        guard=matching & Q(server_faults=0),
        settle=give_back,
        finished_at=timezone.now(),
        **values,
    ):
        return to
    words = f"{message} {AFTER_FAULT}"
    if move(
        pk,
        Status.IN_DOUBT,
        from_=from_,
        kind="in_doubt",
        message=words,
        actor=actor,
        guard=matching & Q(server_faults__gt=0),
        **values | {"error_code": "500", "error_message": words},
    ):
        alert("Request %s is in doubt: %s", pk, words)
        return Status.IN_DOUBT
    return None
