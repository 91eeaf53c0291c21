"""The same wish again by mistake: "Save and generate", Back, and "Save and generate" once more.

The form is a new one then, so its key tells nothing. The second request stays a draft, and its page asks.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from django.db.models import Q
from django.utils.html import format_html
from django.utils.translation import gettext as _

from .. import conf
from ..models import VideoRequest
from . import explaining

if TYPE_CHECKING:
    from django.utils.safestring import SafeString

LATELY: Final = timedelta(minutes=10)

SAME: Final = (
    "owner_id", "prompt", "operation", "mode", "duration_seconds", "aspect_ratio", "resolution", "image_url",
    "target_content_type_id", "target_object_id", "target_field",
)  # fmt: skip
"""The content, but for an uploaded image: that is kept anew under each request, and compared by its name."""


def started_lately(saved: VideoRequest, now: datetime) -> VideoRequest | None:
    """What the same owner started with the same content in the last minutes, unless it ended and cost nothing.

    One query.
    """
    since = now - LATELY
    started = Q(queued_at__gte=since) | Q(status=VideoRequest.Status.AWAITING_APPROVAL, created_at__gte=since)
    alike = {name: getattr(saved, name) for name in SAME}
    image = f"/{PurePath(saved.image.name or '').name}" if saved.image else ""
    rows = VideoRequest.objects.filter(started, image__endswith=image, model=conf.current().MODEL, **alike)
    rows = rows if image else rows.filter(image="")
    return rows.exclude(charged_credits=0).order_by("-pk").first()


def question(before: VideoRequest, url: str, now: datetime) -> SafeString:
    """What was started, what it costs, and how to make another nevertheless."""
    moment = before.queued_at or before.created_at
    words = _(
        "The same was started {ago} ago: {link} ({cost}). So this one was not started, and nothing was charged for it; "
        "it is saved as a draft. To make and pay for another one, press “Save and generate” here."
    )
    link = format_html('<a href="{}">#{}</a>', url, before.pk)
    return format_html(words, ago=explaining.since(moment, now), link=link, cost=explaining.cost(before))
