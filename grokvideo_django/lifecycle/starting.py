"""From draft to queued, and the ways out before anything was sent."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db.models import Q

from .. import conf
from ..exceptions import InvalidTransition
from ..models import VideoRequest
from . import money
from .transition import Status, move

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

    from ..credits.entries import Actor

RING_AGAIN_SECONDS = 15.0
"""A queued or rendered row that nobody took by then gets its doorbell rung again."""
CANCEL_TRIES = 3
"""A worker may move the row on, or back, between two looks at it."""


def start(
    request: VideoRequest, owner: AbstractBaseUser, *, quoted: int, model: str, now: datetime, actor: Actor
) -> bool:
    """Hold the quote and queue a draft. False: it is no draft any more, or was edited since it was quoted.

    Raises:
        InsufficientCredits: nothing was changed.
    """
    as_quoted = Q(
        updated_at=request.updated_at,
        owner=owner,
        duration_seconds=request.duration_seconds,
        resolution=request.resolution,
        operation=request.operation,
        image=request.image.name or "",
        image_url=request.image_url,
    )
    return move(
        request.pk,
        Status.QUEUED,
        from_=[Status.DRAFT],
        kind="queued",
        message=f"Started for {quoted} credits.",
        actor=actor,
        guard=as_quoted,
        settle=lambda row: money.hold(row, owner, actor=actor),
        model=model,
        quoted_credits=quoted,
        queued_at=now,
        queue_expires_at=now + timedelta(seconds=conf.current().MAX_QUEUE_AGE),
        due_at=now + timedelta(seconds=RING_AGAIN_SECONDS),
        finished_at=None,
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
    if move(
        pk,
        Status.CANCELED,
        from_=[Status.DRAFT, Status.AWAITING_APPROVAL, Status.QUEUED],
        kind="canceled",
        message="Canceled before it was sent. It cost nothing.",
        actor=actor,
        settle=lambda row: money.release(row, reason="Canceled before it was sent.", actor=actor),
        due_at=None,
        lease_token=None,
        finished_at=now,
    ):
        return Status.CANCELED
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
            return "This request does not exist any more. Nothing was changed."
        case Status.RENDERED:
            return "The video is finished and being downloaded, so it can no longer be canceled. It will be charged."
        case Status.IN_DOUBT:
            return (
                "Nobody knows yet what became of this request, so it cannot be canceled. Its credits stay held; "
                "a site manager can resolve it."
            )
        case _:
            return "This request has already ended. Nothing was changed."
