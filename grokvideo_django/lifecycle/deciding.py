"""What a person decides about a request whose fate is unknown."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from django.db import IntegrityError
from django.db.models import Q
from django.utils.translation import gettext as _

from .. import pricing
from ..exceptions import InvalidRequest, InvalidTransition
from ..models import VideoRequest
from . import expiring, money
from .transition import Status, because, move

if TYPE_CHECKING:
    from ..credits.entries import Actor

Outcome = Literal["ask_again", "attach", "release", "charge"]
LONGEST_ID: Final = 200
OUTCOMES: Final[tuple[Outcome, ...]] = ("ask_again", "attach", "release", "charge")


def resolve(
    pk: int,
    outcome: Outcome,
    *,
    actor: Actor,
    reason: str,
    now: datetime,
    gateway_job_id: str | None = None,
    afterwards: str = "",
) -> None:
    """Resolve a request that is in doubt.

    ``ask_again`` reads its job once more; ``attach`` gives it a gateway job id to read; ``release`` gives the credits
    back; ``charge`` spends them although there is no video. ``afterwards`` says what else is done, in the history.

    Raises:
        InvalidTransition: it is not in doubt. Nothing was changed.
        InvalidRequest: no reason, no such outcome, or a job id is missing or belongs to another request.
    """
    if not reason.strip():
        raise InvalidRequest(_("Say why: the reason is kept with the decision. Nothing was changed."))
    match outcome:
        case "ask_again":
            moved = _ask(pk, actor=actor, reason=reason, now=now, job_id=None, guard=Q(gateway_job_id__isnull=False))
            if not moved and VideoRequest.objects.filter(pk=pk, status=Status.IN_DOUBT).exists():
                raise InvalidRequest(
                    _(
                        "The gateway never named a job for this request, so it cannot be asked. Nothing was changed; "
                        "attach a job id from the gateway's dashboard, or release or charge the credits."
                    )
                )
        case "attach":
            job_id = _checked_id(gateway_job_id)
            same = Q(gateway_job_id=job_id)  # then its file is as old as it was
            moved = _ask(pk, actor=actor, reason=reason, now=now, job_id=None, guard=same) or _ask(
                pk, actor=actor, reason=reason, now=now, job_id=job_id
            )
        case "release" | "charge":
            moved = _end(pk, outcome, actor=actor, reason=reason, now=now, afterwards=afterwards)
        case _:
            raise InvalidRequest(f"{outcome!r} is no outcome; choose one of {', '.join(OUTCOMES)}.")
    if not moved:
        raise InvalidTransition(
            _("Only a request that is in doubt can be resolved. Nothing was changed; reload the page.")
        )


def _checked_id(gateway_job_id: str | None) -> str:
    job_id = (gateway_job_id or "").strip()
    if not job_id or len(job_id) > LONGEST_ID or not job_id.isprintable():
        raise InvalidRequest(
            _("Give the gateway's job id, of at most %(limit)d characters. Nothing was changed.")
            % {"limit": LONGEST_ID}
        )
    return job_id


def _ask(pk: int, *, actor: Actor, reason: str, now: datetime, job_id: str | None, guard: Q | None = None) -> bool:
    """Read the job (again): submitted, due now. ``job_id``: another one, of whose video nothing is known yet."""
    named: dict[str, Any] = {"submitted_at": now}
    if job_id:
        named |= {"gateway_job_id": job_id, "reported_seconds": None, **expiring.NOTHING_TO_LOSE}
    try:
        return move(
            pk,
            Status.SUBMITTED,
            from_=[Status.IN_DOUBT],
            kind="resolved",
            message=f"Asked the gateway about it. {because(reason)}",
            actor=actor,
            data={"gateway_job_id": job_id} if job_id else {},
            guard=guard,
            due_at=now,
            lease_token=None,
            error_code="",
            error_message="",
            failed_reads=0,
            **named,
        )
    except IntegrityError:
        raise InvalidRequest(_("This job id belongs to another request. Nothing was changed.")) from None


def _end(pk: int, outcome: Outcome, *, actor: Actor, reason: str, now: datetime, afterwards: str) -> bool:
    def settle(row: VideoRequest) -> str:
        if outcome == "charge":
            charged = money.capture(row, row.quoted_credits or 0, reason=reason, actor=actor)
            return f"It cost {pricing.counted(charged)}. {because(reason)}"
        money.release(row, reason=reason, actor=actor)
        return f"It cost nothing. {because(reason)} {afterwards}".strip()

    return move(
        pk,
        Status.FAILED,
        from_=[Status.IN_DOUBT],
        kind="resolved",
        message="Charged by decision." if outcome == "charge" else "Released by decision.",
        actor=actor,
        settle=settle,
        error_code="resolved",
        due_at=None,
        lease_token=None,
        finished_at=now,
        **expiring.NOTHING_TO_LOSE,
    )
