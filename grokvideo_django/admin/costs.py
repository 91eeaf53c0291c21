"""What a request that has ended cost, and why, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ..lifecycle import money
from ..models import VideoRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

Status = VideoRequest.Status


def why(request: VideoRequest, *, refunded: int) -> Iterator[str]:
    """Nothing for one that goes on. ``refunded`` is the sum of its refunds, in credits."""
    match request.status:
        case Status.SUCCEEDED:
            yield from _succeeded(request)
        case Status.FAILED:
            yield _failed(request)
        case Status.CANCELED:
            yield _canceled(request)
        case _:
            return
    if refunded and refunded >= (request.charged_credits or 0):
        yield _("All of it was refunded.")
    elif refunded:
        words = ngettext("%(credits)d credit was refunded.", "%(credits)d credits were refunded.", refunded)
        yield words % {"credits": refunded}


def _figures(request: VideoRequest) -> dict[str, int]:
    return {
        "charged": request.charged_credits or 0,
        "quoted": request.quoted_credits or 0,
        "seconds": money.seconds_of_delivered(request),
        "asked": request.duration_seconds,
    }


def _succeeded(request: VideoRequest) -> Iterator[str]:
    figures = _figures(request)
    if figures["charged"] >= figures["quoted"]:
        words = ngettext(
            "It cost %(charged)d credit, the price that was shown.",
            "It cost %(charged)d credits, the price that was shown.",
            figures["charged"],
        )
        yield words % figures
    elif figures["seconds"] < figures["asked"]:
        yield (
            _(
                "It cost %(charged)d of the %(quoted)d credits that were held: it is %(seconds)d s long, and "
                "%(asked)d s were asked for."
            )
            % figures
        )
    else:
        yield _("It cost %(charged)d of the %(quoted)d credits that were held: the price list has changed.") % figures
    if request.cancel_refused_at is not None:
        yield _("It was too late to cancel it, so it was finished, kept and charged.")


def _failed(request: VideoRequest) -> str:
    figures = _figures(request)
    if not figures["charged"]:
        return _("It cost nothing; what was held is available again.")
    if request.error_code == "resolved":
        words = ngettext(
            "It cost %(charged)d credit, by a site manager's decision; the reason is in its history.",
            "It cost %(charged)d credits, by a site manager's decision; the reason is in its history.",
            figures["charged"],
        )
        return words % figures
    return (
        _("It cost %(charged)d of the %(quoted)d credits that were held: this site charges for videos that end so.")
        % figures
    )


def _canceled(request: VideoRequest) -> str:
    figures = _figures(request)
    if figures["charged"]:
        return (
            _(
                "It cost %(charged)d of the %(quoted)d credits that were held: this site charges for what is canceled "
                "late."
            )
            % figures
        )
    if request.queued_at is None and request.events.filter(kind="declined").exists():
        return _("It was not approved, and cost nothing; the reason is in its history.")
    return _("It cost nothing; what was held is available again.") if request.queued_at else _("It cost nothing.")
