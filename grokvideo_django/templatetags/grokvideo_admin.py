"""``{% load grokvideo_admin %}{% grokvideo_weather %}``: a banner for the admin while submissions are paused.

The pages of this app have it. For a site's own admin pages put the tag into their templates.
"""

from __future__ import annotations

from typing import Any

from django import template
from django.template import RequestContext

from .. import weather

register = template.Library()

SHOWN = "_grokvideo_weather"


@register.inclusion_tag("grokvideo/admin/weather.html", takes_context=True)
def grokvideo_weather(context: RequestContext) -> dict[str, Any]:
    """The banner, once a page however often the tag is there; nothing while nothing is paused. One query."""
    request = getattr(context, "request", None)
    if request is None or getattr(request, SHOWN, False) or context.get("is_popup"):
        return {"notice": None}
    setattr(request, SHOWN, True)
    notice = weather.notice(request)
    return {"notice": notice, "reason": weather.reason(notice.state) if notice else ""}
