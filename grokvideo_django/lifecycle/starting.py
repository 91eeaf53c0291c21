"""From draft to queued, and the ways out before anything was sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.db.models import Q
from django.utils.translation import gettext as _

from .. import conf, credits, pricing
from ..credits.entries import Actor
from ..exceptions import InvalidTransition
from ..models import VideoRequest
from . import money, submitting
from .transition import Status, because, move

RING_AGAIN_SECONDS = 15.0
"""A queued or rendered row that nobody took by then gets its doorbell rung again."""
CANCEL_TRIES = 3
"""A worker may move the row on, or back, between two looks at it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On which terms a request starts: who pays, who wants it, and under which budgets it counts."""

    owner: AbstractBaseUser
    quoted: int
    model: str
    actor: Actor
    ceilings: Sequence[credits.Ceiling] = ()
    exceed_reason: str = ""


def start(request: VideoRequest, terms: Terms, *, now: datetime) -> bool:
    """Hold the quote and queue a draft. False: it is no draft any more, or was edited since it was quoted.

    Raises:
        InsufficientCredits: nothing was changed.
        BudgetExceeded: nothing was changed.
    """
    message = f"Started for {pricing.counted(terms.quoted)}."
    return _queue(request, Status.DRAFT, terms, guard=_as_quoted(request, terms), message=message, now=now)


def approve(request: VideoRequest, terms: Terms, *, reason: str, now: datetime) -> bool:
    """Hold the quote of a request that waited for approval, and queue it. False: it waits no more, or was changed.

    Raises:
        InsufficientCredits: nothing was changed.
        BudgetExceeded: nothing was changed.
    """
    message = f"Approved for {pricing.counted(terms.quoted)}. {because(reason)}".strip()
    return _queue(request, Status.AWAITING_APPROVAL, terms, guard=_as_quoted(request, terms), message=message, now=now)


def _queue(request: VideoRequest, from_: str, terms: Terms, *, guard: Q, message: str, now: datetime) -> bool:
    if terms.exceed_reason:
        message = f"{message} It may exceed its budgets. {because(terms.exceed_reason)}"
    return move(
        request.pk,
        Status.QUEUED,
        from_=[from_],
        kind="queued",
        message=message,
        actor=terms.actor,
        guard=guard,
        settle=lambda row: money.hold(
            row, terms.owner, actor=terms.actor, ceilings=terms.ceilings, exceed_reason=terms.exceed_reason
        ),
        model=terms.model,
        quoted_credits=terms.quoted,
        queued_at=now,
        queue_expires_at=now + timedelta(seconds=conf.current().MAX_QUEUE_AGE),
        due_at=now + timedelta(seconds=RING_AGAIN_SECONDS),
        finished_at=None,
    )


def _as_quoted(request: VideoRequest, terms: Terms) -> Q:
    """That nobody has edited the row since it was read and priced."""
    return Q(
        updated_at=request.updated_at,
        owner=terms.owner,
        duration_seconds=request.duration_seconds,
        resolution=request.resolution,
        operation=request.operation,
        image=request.image.name or "",
        image_url=request.image_url,
    )


def ask_for_approval(request: VideoRequest, terms: Terms, *, limit: int) -> bool:
    """Above its owner's limit: it waits for somebody who may approve it, and holds nothing yet."""
    price = pricing.counted(terms.quoted)
    message = f"It costs {price}, more than {limit}: it waits for approval. Nothing is held yet."
    if terms.exceed_reason:
        message = f"{message} It should exceed its budgets. {because(terms.exceed_reason)}"
    return move(
        request.pk,
        Status.AWAITING_APPROVAL,
        from_=[Status.DRAFT],
        kind="approval_asked",
        message=message,
        actor=terms.actor,
        guard=_as_quoted(request, terms),
        model=terms.model,
        quoted_credits=terms.quoted,
    )


def decline(pk: int, *, actor: Actor, reason: str, now: datetime) -> bool:
    """Not approved: it ends, and cost nothing."""
    return move(
        pk,
        Status.CANCELED,
        from_=[Status.AWAITING_APPROVAL],
        kind="declined",
        message=f"Declined. It cost nothing. {because(reason)}".strip(),
        actor=actor,
        charged_credits=0,
        finished_at=now,
    )


def cancel(pk: int, *, now: datetime, actor: Actor) -> str:
    """Cancel what can be canceled at once, or ask the gateway to; returns the row's status after it.

    Raises:
        InvalidTransition: it is too late, or the fate of the request is unknown. Nothing was changed.
    """
    current: str | None = None
    for _try in range(CANCEL_TRIES):
        status = _cancel(pk, now=now, actor=actor)
        if status is not None:
            return status
        row = VideoRequest.objects.filter(pk=pk).values_list("status", "cancel_requested_at").first()
        current, asked_at = row or (None, None)
        if current not in {Status.QUEUED, Status.SUBMITTING, Status.SUBMITTED}:
            break
        if asked_at is not None:
            return str(current)  # asked before: nothing new to say
    raise InvalidTransition(_why_not_canceled(current))


def _cancel(pk: int, *, now: datetime, actor: Actor) -> str | None:
    """One try, in the order in which a row moves on. None: it is, or was just then, in none of these states."""
    ended = submitting.unaccepted(
        pk,
        Status.CANCELED,
        from_=[Status.DRAFT, Status.AWAITING_APPROVAL, Status.QUEUED],
        kind="canceled",
        message=submitting.CANCELED_EARLY,
        actor=actor,
    )
    if ended is not None:
        return ended
    if _ask_gateway(pk, Status.SUBMITTING, now=now, actor=actor):
        return Status.SUBMITTING
    # The lease of a read that is under way ends: what it would write would put the DELETE off.
    if _ask_gateway(pk, Status.SUBMITTED, now=now, actor=actor, due_at=now, lease_token=None):
        return Status.SUBMITTED
    return None


def _ask_gateway(pk: int, status: str, *, now: datetime, actor: Actor, **values: Any) -> bool:
    return move(
        pk,
        None,
        from_=[status],
        kind="cancel_requested",
        message="The gateway is asked to cancel it.",
        actor=actor,
        guard=Q(cancel_requested_at__isnull=True),
        cancel_requested_at=now,
        **values,
    )


def _why_not_canceled(status: str | None) -> str:
    match status:
        case None:
            return _("This request does not exist any more. Nothing was changed.")
        case Status.RENDERED:
            return _("The video is finished and being downloaded, so it can no longer be canceled. It will be charged.")
        case Status.IN_DOUBT:
            return _(
                "Nobody knows yet what became of this request, so it cannot be canceled. Its credits stay held; "
                "a site manager can resolve it."
            )
        case _:
            return _("This request has already ended. Nothing was changed.")
