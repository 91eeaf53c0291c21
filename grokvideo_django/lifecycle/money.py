"""What a transition does to the ledger. Called from inside the transition's transaction, after its UPDATE."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .. import credits, pricing, transactions
from ..models import CreditEntry, VideoRequest, VideoRequestEvent
from . import limits
from .transition import alert, because, record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.contrib.auth.base_user import AbstractBaseUser

    from ..credits.entries import Actor


HOLD_PREFIX: Final = "hold:"
"""Before a request's key: the ledger's key of its hold."""


def hold_key(request: VideoRequest) -> str:
    """The ledger's key of a request's hold: a request is held for once in its life."""
    return f"{HOLD_PREFIX}{request.key}"


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
        return f"It cost {pricing.counted(charged)}: this site charges for what is {outcome}."
    return "It cost nothing."


def in_words(request: VideoRequest, amount: int) -> str:
    """What a video that is stored costs, and why."""
    words = f"It cost {amount} of the {request.quoted_credits or 0} credits that were held"
    seconds = seconds_of_delivered(request)
    if amount < (request.quoted_credits or 0) and seconds < request.duration_seconds:
        words = f"{words}: it is {seconds} s long, and {request.duration_seconds} s were asked for"
    return f"{words}. It was too late to cancel it." if request.cancel_refused_at is not None else f"{words}."


def seconds_of_delivered(request: VideoRequest) -> int:
    """The seconds to charge for."""
    return pricing.delivered_seconds(
        reported=request.reported_seconds, measured=request.delivered_seconds, asked=request.duration_seconds
    )


def captured_for(request: VideoRequest) -> CreditEntry | None:
    """The entry by which a request was charged. What else the site captured for it is the site's own business."""
    entries = CreditEntry.objects.filter(resolves__key=hold_key(request), kind=CreditEntry.Kind.CAPTURE)
    return entries.filter(posted_delta__lt=0).select_related("account").first()


def refund(
    request: VideoRequest, captured: CreditEntry, amount: int, *, key: str, reason: str, actor: Actor
) -> CreditEntry:
    """Give back what was captured for a request, or a part of it, and say so in its history; once a key.

    Raises:
        CreditError: as ``credits.refund``; nothing was changed.
    """

    def work() -> CreditEntry:
        entry = credits.refund(captured, amount, key=key, reason=reason, actor=actor)
        told = {"kind": "refunded", "data__entry": entry.pk}
        if not VideoRequestEvent.objects.filter(request=request, **told).exists():
            words = f"Refunded: {pricing.counted(entry.posted_delta)}. {because(reason)}".strip()
            record(request.pk, "refunded", message=words, actor=actor, data={"entry": entry.pk})
        return entry

    return transactions.run(work)


def price_of_delivered(request: VideoRequest) -> int:
    """What a request costs by the seconds that it delivered; never more than was quoted."""
    return pricing.charge(
        quoted=request.quoted_credits or 0,
        model=request.model,
        resolution=request.resolution,
        seconds=seconds_of_delivered(request),
        has_image=request.has_image,
    )
