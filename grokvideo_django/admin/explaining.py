"""Where a request is, in sentences for its author: what is going on, what it costs, what to do."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .. import services
from ..exceptions import UnknownPrice
from ..models import VideoRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..models import GatewayState

Status = VideoRequest.Status

SENTENCES: Final[dict[str, Any]] = {
    Status.DRAFT: gettext_lazy("A draft: nothing was sent, and nothing was charged."),
    Status.AWAITING_APPROVAL: gettext_lazy("It waits for approval. Nothing is held yet."),
    Status.SUBMITTING: gettext_lazy("A worker is sending it to the gateway."),
    Status.RENDERED: gettext_lazy("The video is made and is being downloaded to this site."),
    Status.SUCCEEDED: gettext_lazy("The video is stored on this site."),
    Status.FAILED: gettext_lazy("It has ended without a video."),
    Status.CANCELED: gettext_lazy("It was canceled."),
}
NOBODY_TOOK_IT: Final = timedelta(minutes=2)


def situation(request: VideoRequest, gateway: GatewayState, now: datetime) -> Iterator[str]:
    """What is going on with a request, in plain sentences."""
    match request.status:
        case Status.QUEUED:
            yield from _queued(request, gateway, now)
        case Status.SUBMITTED:
            ago = {"ago": _since(request.submitted_at, now)}
            yield _("The gateway accepted it %(ago)s ago and is making the video.") % ago
        case Status.IN_DOUBT:
            yield from in_doubt(request)
            yield _("Please wait: another try now could be paid for twice.")
        case _:
            yield str(SENTENCES[request.status])
    if request.status in {Status.SUBMITTING, Status.SUBMITTED}:
        yield from _canceling(request)
    if request.status == Status.SUCCEEDED:
        yield from _attaching(request)


def _queued(request: VideoRequest, gateway: GatewayState, now: datetime) -> Iterator[str]:
    if gateway.is_paused:
        yield _(
            "The site's submissions are paused since %(ago)s because: %(reason)s "
            "It waits, and goes on by itself as soon as the gateway accepts again; you need not do anything."
        ) % {"ago": _since(gateway.paused_since, now), "reason": gateway.pause_reason}
    elif request.submit_attempts:
        yield _("The gateway did not take it yet; a worker tries again by itself.")
    else:
        yield _("It has been waiting for a worker for %(ago)s.") % {"ago": _since(request.queued_at, now)}
        if request.queued_at is not None and now - request.queued_at > NOBODY_TOOK_IT:
            yield _("That is long. If it lasts, ask the site's developer whether a worker is running.")


def _canceling(request: VideoRequest) -> Iterator[str]:
    if request.cancel_refused_at is not None:
        yield _("It can no longer be canceled: it will be finished, kept and charged.")
    elif request.cancel_requested_at is not None:
        yield _("The gateway was asked to cancel it; until it confirms, the credits stay held.")


def _attaching(request: VideoRequest) -> Iterator[str]:
    if request.target_content_type_id is None:
        return
    if request.due_at is not None:
        yield _("It is being attached to the object that it was made for.")
    else:
        yield _("Whether it was attached to the object that it was made for is in its history.")


def in_doubt(request: VideoRequest) -> Iterator[str]:
    """What it means that nobody knows."""
    yield _("Nobody knows what became of it.")
    yield _(
        "%(credits)d credits stay held until the gateway or a site manager says what became of it; "
        "nothing more will be charged for it."
    ) % {"credits": request.quoted_credits or 0}


def _since(moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return _("a while")
    seconds = (now - moment).total_seconds()
    if seconds < 60:
        return _("%(seconds)d seconds") % {"seconds": max(0, seconds)}
    return timesince(moment, now, depth=1)


def cost(request: VideoRequest) -> str:
    """What it costs, in a word or two: ``25 held``, ``20 charged``, ``nothing``."""
    if request.charged_credits is not None:
        return (
            _("%(credits)d charged") % {"credits": request.charged_credits} if request.charged_credits else _("nothing")
        )
    if request.is_draft:
        price = quoted(request)
        return _("no price") if price is None else _("%(credits)d if generated") % {"credits": price}
    if request.is_running or request.status == Status.IN_DOUBT:
        return _("%(credits)d held") % {"credits": request.quoted_credits or 0}
    if request.status == Status.AWAITING_APPROVAL:
        return _("%(credits)d if approved") % {"credits": request.quoted_credits or 0}
    return _("nothing")


def quoted(request: VideoRequest) -> int | None:
    """Today's price; None if there is none."""
    try:
        return services.quote(request)
    except UnknownPrice:
        return None


def facts(request: VideoRequest) -> str:
    """``5.0 s · 848 by 480 · 1.2 MB · with sound``: what is known of the stored file."""
    parts = []
    if request.delivered_seconds is not None:
        parts.append(_("%(seconds).1f s") % {"seconds": request.delivered_seconds})
    if request.width and request.height:
        parts.append(f"{request.width} \N{MULTIPLICATION SIGN} {request.height}")
    if request.size_bytes is not None:
        parts.append(_("%(size).1f MB") % {"size": request.size_bytes / 1e6})
    if request.has_audio is not None:
        parts.append(_("with sound") if request.has_audio else _("silent"))
    return " · ".join(parts)
