"""Cells of the lists and facts of the pages. None of them makes a query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from django.template.loader import render_to_string
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.timesince import timesince
from django.utils.timezone import template_localtime  # type: ignore[attr-defined]
from django.utils.translation import gettext as _

from .. import embed
from ..models import VideoRequest

if TYPE_CHECKING:
    from datetime import datetime

    from django.utils.safestring import SafeString

    from ..models import CreditEntry

Status = VideoRequest.Status

SYMBOLS: Final[dict[str, str]] = {
    Status.DRAFT: "✎",
    Status.AWAITING_APPROVAL: "…",
    Status.QUEUED: "…",
    Status.SUBMITTING: "↑",
    Status.SUBMITTED: "↻",
    Status.RENDERED: "↓",
    Status.SUCCEEDED: "✓",
    Status.FAILED: "✕",
    Status.CANCELED: "⊘",
    Status.IN_DOUBT: "?",
}
"""Besides the word, so that the colour says nothing that is not said otherwise."""


def badge(request: VideoRequest) -> SafeString:
    """The status as a symbol and a word."""
    return format_html(
        '<span class="grokvideo-badge grokvideo-badge-{}"><span aria-hidden="true">{}</span> {}</span>',
        request.status,
        SYMBOLS.get(request.status, ""),
        request.get_status_display(),
    )


def thumbnail(request: VideoRequest) -> SafeString:
    """The poster, or an icon while there is none."""
    return render_to_string("grokvideo/admin/thumbnail.html", {"url": embed.poster_url(request)})


def owner_name(request: VideoRequest) -> str:
    """The owner's name now, or what it was when the account still existed."""
    return request.owner.get_username() if request.owner is not None else request.owner_name


def change(entry: CreditEntry) -> str:
    """``+25``, ``+25 held``, ``-20, -25 held``: what an entry did to the balance."""
    posted = f"{entry.posted_delta:+d}"
    if not entry.held_delta:
        return posted
    held = _("%(credits)s held") % {"credits": f"{entry.held_delta:+d}"}
    return f"{posted}, {held}" if entry.posted_delta else held


def short(moment: datetime) -> str:
    """Date and time that a narrow column can hold."""
    return date_format(template_localtime(moment), "SHORT_DATETIME_FORMAT")


def age(moment: datetime) -> SafeString:
    """``3 minutes``, with the moment itself on hovering."""
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        moment.isoformat(),
        date_format(template_localtime(moment), "DATETIME_FORMAT"),
        timesince(moment, depth=1),
    )


def event_kind(kind: str) -> str:
    """``cancel_requested`` → ``cancel requested``."""
    return kind.replace("_", " ")


def step(from_status: str, to_status: str) -> str:
    """``queued → submitting``; empty if the status stayed."""
    if not to_status or from_status == to_status:
        return ""
    labels = dict(Status.choices)
    return _("%(before)s → %(after)s") % {
        "before": labels.get(from_status, from_status),
        "after": labels.get(to_status, to_status),
    }
