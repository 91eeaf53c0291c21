"""Where a request is, in sentences for its author: what is going on, what it costs, what to do."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.timesince import timesince, timeuntil
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from .. import pricing, services, weather
from ..exceptions import UnknownPrice
from ..lifecycle import expiring, reading
from ..models import VideoRequest, VideoRequestEvent
from ..polling import history

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..models import GatewayState

Status = VideoRequest.Status

SENTENCES: Final[dict[str, Any]] = {
    Status.DRAFT: gettext_lazy("A draft: nothing was sent, and nothing was charged."),
    Status.AWAITING_APPROVAL: gettext_lazy("It waits for approval. Nothing is held yet."),
    Status.SUBMITTING: gettext_lazy("A worker is sending it to the gateway."),
    Status.SUCCEEDED: gettext_lazy("The video is stored on this site."),
    Status.FAILED: gettext_lazy("It has ended without a video."),
    Status.CANCELED: gettext_lazy("It was canceled."),
}
NOBODY_TOOK_IT: Final = timedelta(minutes=2)
SAID_BEFORE: Final = timedelta(days=2)


def situation(request: VideoRequest, gateway: GatewayState, now: datetime) -> Iterator[str]:
    """What is going on with a request, in plain sentences."""
    match request.status:
        case Status.QUEUED:
            yield from _queued(request, gateway, now)
        case Status.SUBMITTED:
            yield from _submitted(request, gateway, now)
            yield from file_left(request, now)
        case Status.RENDERED:
            yield from _rendered(request, now)
            yield from file_left(request, now)
        case Status.IN_DOUBT:
            yield from in_doubt(request)
            yield from file_left(request, now)
            yield _("Please wait: another try now could be paid for twice.")
        case _:
            yield str(SENTENCES[request.status])
    if request.status in {Status.SUBMITTING, Status.SUBMITTED}:
        yield from _canceling(request)
    if request.status == Status.SUCCEEDED:
        yield from _attaching(request)


def _queued(request: VideoRequest, gateway: GatewayState, now: datetime) -> Iterator[str]:
    if gateway.is_paused_by_hand:
        yield _(
            "A site manager paused all submissions %(ago)s ago. It waits, and goes on as soon as they are resumed; "
            "you need not do anything."
        ) % {"ago": since(gateway.paused_since, now)}
    elif gateway.is_paused:
        yield _(
            "The site's submissions have been paused for %(ago)s: %(reason)s "
            "It waits, and goes on by itself as soon as the gateway accepts again; you need not do anything."
        ) % {"ago": since(gateway.paused_since, now), "reason": weather.cause(gateway)}
    elif request.submit_attempts:
        yield _("The gateway did not take it yet; a worker tries again by itself.")
    else:
        yield _("It has been waiting for a worker for %(ago)s.") % {"ago": since(request.queued_at, now)}
        if request.queued_at is not None and now - request.queued_at > NOBODY_TOOK_IT:
            yield _("That is long. If it lasts, ask the site's developer whether a worker is running.")


def _submitted(request: VideoRequest, gateway: GatewayState, now: datetime) -> Iterator[str]:
    if request.failed_reads and request.gateway_status == reading.UNKNOWN_HERE:
        yield _(
            "The gateway does not know this job (HTTP 404). If it still does not after some more questions, the "
            "request is in doubt, and a site manager decides; its credits stay held until then."
        )
        yield _asked_again(request.due_at, now)
        return
    ago = {"ago": since(request.submitted_at, now)}
    if _is_claimed_by_hand(request):
        yield (
            _("A site manager had the gateway asked about this job %(ago)s ago; it has not said yet how the job is.")
            % ago
        )
    elif request.failed_reads:
        yield _("The gateway accepted it %(ago)s ago.") % ago
    else:
        yield _("The gateway accepted it %(ago)s ago and is making the video.") % ago
        yield _usual(request, gateway)
    if request.failed_reads:
        yield _("The gateway did not say how it is when it was last asked; it is asked again, ever more slowly.")
    elif request.due_at is not None and request.cancel_requested_at is None:
        yield _next_look(request.due_at, now)


def _is_claimed_by_hand(request: VideoRequest) -> bool:
    """Whether only a person's decision says that the gateway has this job: it has not answered since. One query."""
    told_at, read_at = request.submitted_at, request.last_read_at
    if read_at is not None and (told_at is None or read_at >= told_at):
        return False
    return VideoRequestEvent.objects.filter(request=request.pk, kind="resolved").exists()


def _usual(request: VideoRequest, gateway: GatewayState) -> str:
    usual = history.usual(history.kind_of(request), gateway)
    words = {"half": round(usual.half), "most": round(usual.most), "videos": usual.videos}
    if not usual.videos:
        return _("Such a video may take about %(half)d seconds; this site has seen none yet.") % words
    return (
        _(
            "Half of such videos are ready after %(half)d seconds, nine of ten after %(most)d; "
            "this site has seen %(videos)d."
        )
        % words
    )


def _rendered(request: VideoRequest, now: datetime) -> Iterator[str]:
    """It is downloaded; or it could not be, and then when the next try is."""
    is_at_it = request.lease_token is not None and request.due_at is not None and request.due_at > now
    if request.fetch_attempts and not is_at_it:
        yield _("The video is made, but could not be stored on this site yet.")
        yield _tried_again(request.due_at, now)
    else:
        yield _("The video is made and is being downloaded to this site.")


def _asked_again(due_at: datetime | None, now: datetime) -> str:
    later, soon = _("It is asked again in %(time)s."), _("It is asked again as soon as a worker is free.")
    return _again(due_at, now, later, soon)


def _tried_again(due_at: datetime | None, now: datetime) -> str:
    later, soon = _("It is tried again in %(time)s."), _("It is tried again as soon as a worker is free.")
    return _again(due_at, now, later, soon)


def _again(due_at: datetime | None, now: datetime, later: str, soon: str) -> str:
    seconds = 0.0 if due_at is None else (due_at - now).total_seconds()
    return later % {"time": _for(seconds)} if seconds >= 1 else soon


def _next_look(due_at: datetime, now: datetime) -> str:
    """When the gateway is asked next, and why then."""
    seconds = (due_at - now).total_seconds()
    if seconds >= 1:
        return _(
            "The gateway is asked again in %(time)s: sooner, the video would hardly be ready, and each question is one "
            "that another video may need."
        ) % {"time": _for(seconds)}
    return _("The gateway is asked again as soon as this site may ask it and a worker is free.")


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
    """What it means that nobody knows; or that it is known, and cannot be had."""
    if request.error_code in expiring.UNDELIVERED_CODES:
        yield from _undelivered(request)
        return
    yield _("Nobody knows what became of it.")
    held = request.quoted_credits or 0
    yield (_held_until_told(held) if request.gateway_job_id else _held_until_decided(held)) % {"credits": held}


def _held_until_told(held: int) -> str:
    return ngettext(
        "%(credits)d credit stays held until the gateway or a site manager says what became of it; "
        "nothing more will be charged for it.",
        "%(credits)d credits stay held until the gateway or a site manager says what became of it; "
        "nothing more will be charged for it.",
        held,
    )


def _held_until_decided(held: int) -> str:
    """Without a job's id there is nothing to ask the gateway about."""
    return ngettext(
        "%(credits)d credit stays held until a site manager says what became of it; "
        "nothing more will be charged for it.",
        "%(credits)d credits stay held until a site manager says what became of it; "
        "nothing more will be charged for it.",
        held,
    )


def known_of_doubt(request: VideoRequest, now: datetime) -> Iterator[str]:
    """Since when nobody knows, the code, and how the gateway is asked. One query."""
    event = request.events.filter(to_status=Status.IN_DOUBT).exclude(from_status=Status.IN_DOUBT).last()
    if event is not None:
        moment = date_format(timezone.localtime(event.at), "SHORT_DATETIME_FORMAT")
        yield _("In doubt since %(moment)s, for %(ago)s.") % {"moment": moment, "ago": since(event.at, now)}
    if request.error_code:
        yield _("Code: %(code)s") % {"code": request.error_code}
    if request.due_at is not None and request.error_code not in expiring.UNDELIVERED_CODES:
        moment = date_format(timezone.localtime(request.due_at), "SHORT_DATETIME_FORMAT")
        yield _("A worker asks the gateway again on %(moment)s, then ever more rarely.") % {"moment": moment}
    yield from file_left(request, now)


def file_left(request: VideoRequest, now: datetime) -> Iterator[str]:
    """How long the gateway still keeps a finished video that is not stored here, from two days before its end."""
    expires_at = request.file_expires_at
    if expires_at is None or expires_at - now > SAID_BEFORE:
        return
    if expires_at <= now:
        yield _("The gateway has deleted the video by now.")
    else:
        yield _("The gateway deletes the video in %(left)s, and it is not stored here yet.") % {
            "left": timeuntil(expires_at, now, depth=1)
        }


def _undelivered(request: VideoRequest) -> Iterator[str]:
    figures = {"credits": request.quoted_credits or 0}
    yield _("The gateway has made the video, but it could not be stored on this site.")
    deleted_at = request.file_expires_at or (request.rendered_at and request.rendered_at + expiring.KEPT_FOR)
    if deleted_at is None or not pricing.has_policy("undelivered"):
        words = ngettext(
            "%(credits)d credit stays held until a site manager decides; nothing more will be charged.",
            "%(credits)d credits stay held until a site manager decides; nothing more will be charged.",
            figures["credits"],
        )
        yield words % figures
        return
    figures["charged"] = pricing.charge_without_video(quoted=figures["credits"], outcome="undelivered")
    until = {"date": date_format(timezone.localtime(deleted_at), "DATE_FORMAT")}
    words = ngettext(
        "%(credits)d credit stays held. If no site manager decides otherwise by %(date)s, when the gateway has deleted "
        "the video, it ends then and costs %(charged)d of it.",
        "%(credits)d credits stay held. If no site manager decides otherwise by %(date)s, when the gateway has deleted "
        "the video, it ends then and costs %(charged)d of them.",
        figures["credits"],
    )
    yield words % {**figures, **until}


def since(moment: datetime | None, now: datetime) -> str:
    """How long ago: ``20 seconds``, ``3 minutes``."""
    if moment is None:
        return _("a while")
    return _for((now - moment).total_seconds())


def _for(seconds: float) -> str:
    if seconds < 60:
        whole = max(0, int(seconds))
        return ngettext("%(seconds)d second", "%(seconds)d seconds", whole) % {"seconds": whole}
    now = timezone.now()
    return timesince(now - timedelta(seconds=seconds), now, depth=1)


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
