"""The public API: what a site's own code calls. Keyword-only after the first argument; raises ``exceptions``.

Each call is one transaction that either happens whole or leaves everything as it was. Nothing here waits for the
network: workers do that.
"""

from __future__ import annotations

from django.utils import timezone

from . import conf, pricing, queue, transactions, validation
from .credits.entries import Actor
from .exceptions import InvalidRequest, InvalidTransition, QuoteChanged
from .lifecycle import deciding, starting
from .lifecycle.deciding import Outcome
from .models import VideoRequest

__all__ = ["cancel", "quote", "resolve", "retry", "start"]

Status = VideoRequest.Status

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


def start(request: VideoRequest, *, actor: Actor = None, expected_credits: int | None = None) -> None:
    """Hold the price and queue a saved draft; a worker sends it. Succeeds while Redis is down: the row waits.

    Args:
        request: a saved draft; brought up to date on success, left as it was otherwise.
        actor: who starts it, for the record.
        expected_credits: the price that was shown; another one refuses.

    Raises:
        InvalidTransition: it is no draft, or was changed meanwhile.
        InvalidRequest: it cannot be sent as it is; says what to do.
        UnknownPrice: there is no price for it.
        QuoteChanged: the price is not ``expected_credits``.
        InsufficientCredits: the owner's account has not enough.
    """
    saved = _reread(request)
    if saved.status != Status.DRAFT:
        raise InvalidTransition(
            f"This request is {saved.get_status_display()} and was started before. Nothing was charged again."
        )
    validation.check(saved)
    quoted = quote(saved)
    if expected_credits is not None and expected_credits != quoted:
        raise QuoteChanged(expected=expected_credits, actual=quoted)
    owner = saved.owner
    if owner is None:
        raise InvalidRequest({"owner": "A request needs an owner, whose credits pay for it."})

    def work() -> None:
        model, now = conf.current().MODEL, timezone.now()
        if not starting.start(saved, owner, quoted=quoted, model=model, now=now, actor=actor or owner):
            raise InvalidTransition(
                "This request was started or changed in the meantime. Nothing was charged now; reload the page."
            )
        queue.submit_on_commit(saved.pk)

    transactions.run(work)
    request.refresh_from_db()


def cancel(request: VideoRequest, *, actor: Actor = None) -> None:
    """Cancel at once what was not sent; ask the gateway to cancel what was. ``request`` is brought up to date.

    ``cancel_requested_at`` tells that the gateway was asked; it may refuse, then the video is kept and charged.

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
            f"This request is {saved.get_status_display()}; only one that has ended can be made again. "
            "Nothing was charged."
        )

    def work() -> VideoRequest:
        again = VideoRequest(retry_of=saved, **{name: getattr(saved, name) for name in COPIED_FIELDS})
        again.save()
        start(again, actor=actor)
        return again

    return transactions.run(work)


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


def _reread(request: VideoRequest) -> VideoRequest:
    """The row as it is in the database: what a worker will send, whatever the instance in hand says."""
    saved = VideoRequest.objects.select_related("owner", "target_content_type").filter(pk=request.pk).first()
    if saved is None:
        raise InvalidTransition("This request is not saved, or was deleted. Nothing was charged; save it first.")
    return saved
