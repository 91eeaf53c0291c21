"""What a transition does to the ledger. Called from inside the transition's transaction, after its UPDATE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import credits, pricing
from ..models import CreditEntry, VideoRequest
from . import limits
from .transition import alert

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.contrib.auth.base_user import AbstractBaseUser

    from ..credits.entries import Actor


def hold_key(request: VideoRequest) -> str:
    """The ledger's key of a request's hold: a request is held for once in its life."""
    return f"hold:{request.key}"


def hold(
    request: VideoRequest,
    owner: AbstractBaseUser,
    *,
    actor: Actor,
    ceilings: Sequence[credits.Ceiling],
    exceed_reason: str = "",
) -> None:
    """Set the quote aside on the owner's account, and count it under the owner's budgets.

    Raises:
        InsufficientCredits: nothing was changed.
        BudgetExceeded: nothing was changed.
    """
    assert request.quoted_credits is not None
    credits.hold(
        owner,
        request.quoted_credits,
        key=hold_key(request),
        request_key=request.key,
        reason=f"{request} (exceeds its budgets: {exceed_reason})" if exceed_reason else str(request),
        actor=actor,
        ceilings=ceilings,
        exceed=bool(exceed_reason),
    )
    if not exceed_reason:
        limits.check_running(owner, ceilings)


def open_hold(request: VideoRequest) -> CreditEntry | None:
    """The hold that waits for its resolution."""
    held = credits.find(hold_key(request))
    return held if held is not None and not CreditEntry.objects.filter(resolves=held).exists() else None


def release(request: VideoRequest, *, reason: str, actor: Actor = None) -> None:
    """Give the whole hold back and write on the request that it cost nothing."""
    held = open_hold(request)
    if held is not None:
        credits.release(held, reason=reason, actor=actor)
    VideoRequest.objects.filter(pk=request.pk).update(charged_credits=0)


def capture(request: VideoRequest, amount: int, *, reason: str, actor: Actor = None) -> int:
    """Spend the hold, up to ``amount``, and write on the request what it cost; returns that."""
    held = open_hold(request)
    if held is None:
        alert("Request %s ended with a charge of %s credits, but holds none: nothing was charged.", request.pk, amount)
        amount = 0
    else:
        amount = min(amount, held.held_delta)
        credits.capture(held, amount, reason=reason, actor=actor)
    VideoRequest.objects.filter(pk=request.pk).update(charged_credits=amount)
    return amount


def end_without_video(request: VideoRequest, outcome: str, *, reason: str) -> str:
    """Release the hold, or charge what the site's policy says for this outcome; the words for the owner."""
    amount = pricing.charge_without_video(quoted=request.quoted_credits or 0, outcome=outcome)
    if not amount:
        release(request, reason=reason)
    elif charged := capture(request, amount, reason=f"{reason} This site charges for that."):
        return f"It cost {charged} credits: this site charges for what is {outcome}."
    return "It cost nothing."


def price_of_delivered(request: VideoRequest) -> int:
    """What a request costs by the seconds that it delivered; never more than was quoted."""
    return pricing.charge(
        quoted=request.quoted_credits or 0,
        model=request.model,
        resolution=request.resolution,
        seconds=pricing.delivered_seconds(
            reported=request.reported_seconds, measured=request.delivered_seconds, asked=request.duration_seconds
        ),
        has_image=request.has_image,
    )
