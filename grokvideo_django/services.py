"""The public API: what a site's own code calls. Keyword-only after the first argument; raises ``exceptions``.

Each call is one transaction that either happens whole or leaves everything as it was. Nothing here waits for the
network: workers do that.
"""

from __future__ import annotations

import uuid

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import PermissionsMixin
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from . import conf, credits, pricing, queue, transactions, validation
from .credits.entries import Actor
from .exceptions import InvalidRequest, InvalidTransition, NotAllowed, QuoteChanged
from .lifecycle import deciding, limits, money, site, starting
from .lifecycle.deciding import Outcome
from .models import CreditEntry, VideoRequest

__all__ = [
    "approve",
    "cancel",
    "decline",
    "pause",
    "probe_now",
    "quote",
    "refund",
    "resolve",
    "resume",
    "retry",
    "start",
    "start_anew",
]

Status = VideoRequest.Status

NOT_AWAITING = gettext_lazy("This request does not await approval any more. Nothing was changed; reload the page.")

COPIED_FIELDS = (
    "owner", "owner_name", "prompt", "operation", "mode", "duration_seconds", "aspect_ratio", "resolution", "image",
    "image_url", "source", "target_content_type", "target_object_id", "target_field",
)  # fmt: skip


def quote(request: VideoRequest) -> int:
    """What this request costs at most, in whole credits: the number on the button, and the one that is held.

    Raises:
        UnknownPrice: there is no price for its model and resolution.
    """
    return pricing.price(
        model=conf.current().MODEL,
        resolution=request.resolution,
        seconds=request.duration_seconds,
        has_image=request.has_image,
    )


def start(
    request: VideoRequest, *, actor: Actor = None, expected_credits: int | None = None, exceed_reason: str = ""
) -> None:
    """Hold the price and queue a saved draft; a worker sends it. Succeeds while Redis is down: the row waits.

    A draft that costs more than its owner's limit awaits approval instead, and holds nothing yet; one that is started
    by somebody who may approve it does not wait (by its own owner only if APPROVE_OWN is set).

    Args:
        request: a saved draft; brought up to date on success, left as it was otherwise.
        actor: who starts it, for the record; the owner, if nobody is named.
        expected_credits: the price that was shown; another one refuses.
        exceed_reason: why the budgets may be exceeded; needs the permission ``exceed``, and is kept on the record.

    Raises:
        InvalidTransition: it is no draft, or was changed meanwhile.
        InvalidRequest: it cannot be sent as it is; says what to do.
        UnknownPrice: there is no price for it.
        QuoteChanged: the price is not ``expected_credits``.
        InsufficientCredits: the owner's account has not enough.
        BudgetExceeded: a budget does not allow it now; says which, what is left, and when it begins anew.
        NotAllowed: the actor may not exceed budgets.
    """
    saved = _reread(request)
    if saved.status != Status.DRAFT:
        raise InvalidTransition(
            _("This request is %(status)s and was started before. Nothing was charged again.")
            % {"status": saved.get_status_display()}
        )
    validation.check(saved)
    quoted = quote(saved)
    if expected_credits is not None and expected_credits != quoted:
        raise QuoteChanged(expected=expected_credits, actual=quoted)
    owner = _owner(saved)
    terms = _terms(saved, owner, quoted, conf.current().MODEL, actor or owner, exceed_reason)
    limit = limits.approval_limit(terms.ceilings)
    waits = limit is not None and quoted > limit and not _may_approve(terms.actor, saved)

    def work() -> None:
        if waits:
            moved = starting.ask_for_approval(saved, terms, limit=limit or 0)
        else:
            moved = starting.start(saved, terms, now=timezone.now())
            queue.submit_on_commit(saved.pk)
        if not moved:
            raise InvalidTransition(
                _("This request was started or changed in the meantime. Nothing was charged now; reload the page.")
            )

    transactions.run(work)
    request.refresh_from_db()


def approve(request: VideoRequest, *, actor: Actor, reason: str = "", exceed_reason: str = "") -> None:
    """Let a request that awaits approval go: the hold happens now. ``request`` is brought up to date.

    Raises:
        NotAllowed: the actor lacks the permission ``approve``, or the request is their own and APPROVE_OWN is not set.
        InvalidTransition: it does not await approval.
        InsufficientCredits: the owner's account has not enough; it goes on waiting.
        BudgetExceeded: a budget does not allow it now; it goes on waiting.
    """
    saved = _awaiting(request)
    _check_approver(actor, saved)
    validation.check(saved)
    quoted = saved.quoted_credits or quote(saved)
    terms = _terms(saved, _owner(saved), quoted, saved.model, actor, exceed_reason)

    def work() -> None:
        if not starting.approve(saved, terms, reason=reason, now=timezone.now()):
            raise InvalidTransition(str(NOT_AWAITING))
        queue.submit_on_commit(saved.pk)

    transactions.run(work)
    request.refresh_from_db()


def decline(request: VideoRequest, *, actor: Actor, reason: str = "") -> None:
    """End a request that awaits approval; it cost nothing. ``request`` is brought up to date.

    Raises:
        NotAllowed: as ``approve``.
        InvalidTransition: it does not await approval.
    """
    saved = _awaiting(request)
    _check_approver(actor, saved)
    if not starting.decline(saved.pk, actor=actor, reason=reason, now=timezone.now()):
        raise InvalidTransition(str(NOT_AWAITING))
    request.refresh_from_db()


def cancel(request: VideoRequest, *, actor: Actor = None) -> None:
    """Cancel at once what was not sent; ask the gateway to cancel what was. ``request`` is brought up to date.

    ``cancel_requested_at`` tells that the gateway was asked; it may refuse, then the video is kept and charged. What
    waits to be sent again after a 500 is in doubt then: the gateway may have accepted it.

    Raises:
        InvalidTransition: the video is finished, the request has ended, or its fate is unknown.
    """

    def work() -> None:
        if starting.cancel(request.pk, now=timezone.now(), actor=actor) != Status.CANCELED:
            queue.ring_on_commit()

    transactions.run(work)
    request.refresh_from_db()


def retry(request: VideoRequest, *, actor: Actor = None) -> VideoRequest:
    """The same again as a new request that points back, created and started in one transaction.

    Raises:
        InvalidTransition: the request has not ended yet. Nobody pays twice for one that is under way or in doubt.
        GrokVideoError: as ``start``; then no new request remains.
    """
    saved = _reread(request)
    if not saved.is_ended:
        raise InvalidTransition(
            _("This request is %(status)s; only one that has ended can be made again. Nothing was charged.")
            % {"status": saved.get_status_display()}
        )

    def work() -> VideoRequest:
        again = VideoRequest(retry_of=saved, **{name: getattr(saved, name) for name in COPIED_FIELDS})
        again.save()
        start(again, actor=actor)
        return again

    return transactions.run(work)


def refund(
    request: VideoRequest, amount: int | None = None, *, actor: Actor, reason: str, key: str | None = None
) -> CreditEntry:
    """Give back what a request was charged, or a part of it; its history says so.

    Args:
        request: charged.
        amount: whole credits; everything that was charged, if none is named.
        actor: who refunds.
        reason: shown on the statement and in the history.
        key: the same key refunds once, however often it is called.

    Raises:
        InvalidTransition: it was not charged.
        InvalidAmount, RefundExceedsCapture, KeyConflict: as ``credits.refund``. Nothing was changed.
    """
    captured = money.captured_for(request)
    if captured is None:
        raise InvalidTransition(_("This request was not charged, so there is nothing to refund. Nothing was changed."))
    whole = -captured.posted_delta
    key = key or f"refund:{uuid.uuid4()}"
    return money.refund(request, captured, whole if amount is None else amount, key=key, reason=reason, actor=actor)


def resolve(
    request: VideoRequest, outcome: Outcome, *, actor: Actor, reason: str, gateway_job_id: str | None = None
) -> None:
    """Decide about a request that is in doubt; ``request`` is brought up to date.

    Args:
        request: in doubt.
        outcome: ``ask_again`` reads its job once more, ``attach`` gives it a job id to read, ``release`` gives the
            credits back, ``charge`` spends them.
        actor: who decides.
        reason: why; kept on the record.
        gateway_job_id: for ``attach``.

    Raises:
        InvalidTransition: it is not in doubt.
        InvalidRequest: the reason or the job id is missing, or the job belongs to another request.
    """

    def work() -> None:
        now = timezone.now()
        deciding.resolve(request.pk, outcome, actor=actor, reason=reason, now=now, gateway_job_id=gateway_job_id)
        queue.ring_on_commit()

    transactions.run(work)
    request.refresh_from_db()


def start_anew(
    request: VideoRequest, *, actor: Actor, reason: str, expected_credits: int | None = None
) -> VideoRequest:
    """Release a request that is in doubt, and make it again as a new one that points back, in one transaction.

    The gateway may have been paid for the first nevertheless, and nobody asks about it any more: where it has a job id,
    ``resolve(request, "ask_again", …)`` comes first. A job id that still arrives alerts.
    ``request`` is brought up to date.

    Args:
        request: in doubt.
        actor: who decides.
        reason: why; kept on the record of the first.
        expected_credits: the price that was shown; another one refuses.

    Raises:
        InvalidTransition: it is not in doubt.
        InvalidRequest: the reason is missing, or it cannot be sent as it is.
        GrokVideoError: as ``start``, for lack of credits, say. Then nothing was changed, and it stays in doubt.
    """

    def work() -> VideoRequest:
        now, afterwards = timezone.now(), "It was made again as a new request."
        deciding.resolve(request.pk, "release", actor=actor, reason=reason, now=now, afterwards=afterwards)
        saved = _reread(request)
        if expected_credits is not None and expected_credits != quote(saved):
            raise QuoteChanged(expected=expected_credits, actual=quote(saved))
        return retry(saved, actor=actor)

    again = transactions.run(work)
    request.refresh_from_db()
    return again


def pause(actor: Actor, reason: str) -> None:
    """Stop all spending: no request is sent until ``resume``, whatever the gateway says.

    What was sent is finished, and so is what a worker is sending at this moment. Requests can be started meanwhile:
    they hold their credits and wait, and the pause does not age them.

    Raises:
        NotAllowed: the actor lacks the permission ``change_gatewaystate``.
        InvalidRequest: there is no reason.
        InvalidTransition: it is paused by hand already.
    """
    _check_switch(actor)
    if not reason.strip():
        raise InvalidRequest(_("Say why: the reason is shown until somebody resumes. Nothing was changed."))
    if not site.pause_by_hand(timezone.now(), actor=actor, reason=reason.strip()):
        raise InvalidTransition(_("Submissions are paused by hand already. Nothing was changed."))


def resume(actor: Actor, reason: str = "") -> None:
    """End a pause by hand: what waits is sent now. If the gateway still refuses, it pauses again by itself.

    Raises:
        NotAllowed: the actor lacks the permission ``change_gatewaystate``.
        InvalidTransition: there is no pause by hand; one of the gateway's ends by itself (see ``probe_now``).
    """
    _check_switch(actor)

    def work() -> None:
        if not site.resume_by_hand(timezone.now(), actor=actor, reason=reason.strip()):
            raise InvalidTransition(_("Submissions are not paused by hand. Nothing was changed."))
        queue.ring_on_commit()

    transactions.run(work)


def probe_now(actor: Actor) -> None:
    """Let a worker look at once whether the gateway accepts again.

    Raises:
        NotAllowed: the actor lacks the permission ``change_gatewaystate``.
        InvalidTransition: the gateway has not paused this site.
    """
    _check_switch(actor)

    def work() -> None:
        if not site.probe_now(timezone.now()):
            raise InvalidTransition(_("The gateway has not paused this site, so there is nothing to try."))
        queue.ring_on_commit()

    transactions.run(work)


def _check_switch(actor: Actor) -> None:
    if not _may(actor, "grokvideo.change_gatewaystate"):
        raise NotAllowed(_("You may not pause or resume submissions. Nothing was changed; ask a site manager."))


def _owner(saved: VideoRequest) -> AbstractBaseUser:
    if saved.owner is None:
        raise InvalidRequest({"owner": _("A request needs an owner, whose credits pay for it.")})
    return saved.owner


def _terms(
    saved: VideoRequest, owner: AbstractBaseUser, quoted: int, model: str, actor: Actor, exceed_reason: str
) -> starting.Terms:
    """The terms of a start, with the budgets that apply; counters of new periods are opened here, before the hold.

    Raises:
        NotAllowed: the actor may not exceed budgets.
        BudgetExceeded: the video is longer or larger than a budget allows.
    """
    exceed_reason = exceed_reason.strip()
    if exceed_reason and not _may(actor, "grokvideo.exceed"):
        raise NotAllowed(_("You may not exceed budgets. Nothing was charged; ask a site manager."))
    ceilings = credits.ceilings(owner, timezone.now())
    if not exceed_reason:
        limits.check_size(saved, ceilings)
    return starting.Terms(
        owner=owner, quoted=quoted, model=model, actor=actor, ceilings=ceilings, exceed_reason=exceed_reason
    )


def _may(actor: Actor, permission: str) -> bool:
    """Whether an actor has a permission. A name, or nobody, stands for code of the site, which may."""
    if actor is None or isinstance(actor, str):
        return True
    return isinstance(actor, PermissionsMixin) and actor.has_perm(permission)


def _may_approve(actor: Actor, request: VideoRequest) -> bool:
    own = isinstance(actor, AbstractBaseUser) and actor.pk == request.owner_id
    return _may(actor, "grokvideo.approve") and (not own or conf.current().APPROVE_OWN)


def _check_approver(actor: Actor, request: VideoRequest) -> None:
    if not _may(actor, "grokvideo.approve"):
        raise NotAllowed(_("You may not approve or decline requests. Nothing was changed; ask a site manager."))
    if not _may_approve(actor, request):
        raise NotAllowed(_("Nobody approves their own requests here. Nothing was changed; ask another site manager."))


def _awaiting(request: VideoRequest) -> VideoRequest:
    saved = _reread(request)
    if saved.status != Status.AWAITING_APPROVAL:
        raise InvalidTransition(str(NOT_AWAITING))
    return saved


def _reread(request: VideoRequest) -> VideoRequest:
    """The row as it is in the database: what a worker will send, whatever the instance in hand says."""
    saved = VideoRequest.objects.select_related("owner", "target_content_type").filter(pk=request.pk).first()
    if saved is None:
        raise InvalidTransition(_("This request is not saved, or was deleted. Nothing was charged; save it first."))
    return saved
