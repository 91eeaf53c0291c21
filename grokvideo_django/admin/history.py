"""What happened to a request, as rows that nobody edits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.utils.translation import gettext_lazy

from ..models import VideoRequestEvent
from . import columns
from .bases import EventInline, ReadOnly

if TYPE_CHECKING:
    from django.http import HttpRequest


class HistoryInline(ReadOnly, EventInline):
    """The events, the oldest first."""

    model = VideoRequestEvent
    fields = readonly_fields = ("at", "event", "step", "message", "who")
    extra = 0
    can_delete = False
    ordering = ("pk",)
    classes = ("grokvideo-history",)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Whoever sees the request."""
        return True

    @admin.display(description=gettext_lazy("event"))
    def event(self, obj: VideoRequestEvent) -> str:
        """Its kind in words."""
        return columns.event_kind(obj.kind)

    @admin.display(description=gettext_lazy("status"))
    def step(self, obj: VideoRequestEvent) -> str:
        """From what to what."""
        return columns.step(obj.from_status, obj.to_status)

    @admin.display(description=gettext_lazy("who"))
    def who(self, obj: VideoRequestEvent) -> str:
        """A person, or the machine."""
        return obj.actor or "-"
