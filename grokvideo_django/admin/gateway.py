"""The gateway's state: one page that only shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from ..models import GatewayState
from .bases import GatewayModelAdmin, ReadOnly

if TYPE_CHECKING:
    from django.http import HttpRequest


@admin.register(GatewayState)
class GatewayStateAdmin(ReadOnly, GatewayModelAdmin):
    """Whether submissions are paused, why, and when somebody looked last."""

    fields = readonly_fields = (
        "paused_since", "pause_status", "pause_reason", "probe_at", "probes", "ticked_at", "updated_at",
    )  # fmt: skip

    class Media:
        css = {"all": ("grokvideo/admin.css",)}

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """The one row itself, also on a site that has none yet."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": _("Gateway state"),
            "opts": self.opts,
            "media": self.media,
            "state": GatewayState.objects.current(),
            **(extra_context or {}),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "grokvideo/admin/gateway.html", context)
