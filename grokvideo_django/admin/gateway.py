"""The gateway's state: a page that says why, since when and until when, with a switch for those who may."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.http import HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from .. import services, weather
from ..exceptions import GrokVideoError
from ..models import GatewayState
from .bases import GatewayModelAdmin, ReadOnly, actor_of, may, reason_of
from .telling import level

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase
    from django.urls import URLPattern

SHOWN: Final = 10
"""Of those who paused and resumed."""


@admin.register(GatewayState)
class GatewayStateAdmin(ReadOnly, GatewayModelAdmin):
    """Whether submissions are paused, why, and when somebody looked last."""

    fields = readonly_fields = (
        "paused_since", "paused_by", "pause_status", "pause_reason", "probe_at", "probes", "let_one_through",
        "resumed_at", "balance_usd", "balance_at", "ticked_at", "updated_at",
    )  # fmt: skip

    class Media:
        css = {"all": ("grokvideo/admin.css",)}

    def get_urls(self) -> list[URLPattern]:
        """Before Django's own, which take any text for a key."""
        views: dict[str, Callable[[HttpRequest], HttpResponseBase]] = {
            "try": self.try_view,
            "pause": self.pause_view,
            "resume": self.resume_view,
        }
        own = [
            path(f"{name}/", self.admin_site.admin_view(view), name=f"grokvideo_gatewaystate_{name}")
            for name, view in views.items()
        ]
        return own + super().get_urls()

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """The one row itself, also on a site that has none yet."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        report = weather.report(timezone.now())
        context = {
            **self.admin_site.each_context(request),
            "title": _("Gateway state"),
            "opts": self.opts,
            "media": self.media,
            "state": report.state,
            "report": report,
            "reason": weather.reason(report.state),
            "may_switch": _may_switch(request),
            "switched": _switched(),
            "urls": {name: self._url(name) for name in ("try", "pause", "resume")},
            "doubt_url": self._requests("in_doubt"),
            "queue_url": self._requests("queued"),
            **(extra_context or {}),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "grokvideo/admin/gateway.html", context)

    def has_view_permission(self, request: HttpRequest, obj: GatewayState | None = None) -> bool:
        """Also for those who may switch."""
        return super().has_view_permission(request, obj) or _may_switch(request)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """As for the page."""
        return super().has_module_permission(request) or _may_switch(request)

    # What the buttons do

    def try_view(self, request: HttpRequest) -> HttpResponseBase:
        """Let a worker look at once whether the gateway accepts again."""

        def work() -> str:
            services.probe_now(actor_of(request))
            return _("A worker looks within seconds whether the gateway accepts again. Reload this page to see.")

        return self._press(request, work)

    def pause_view(self, request: HttpRequest) -> HttpResponseBase:
        """Stop all spending, with a reason."""

        def work() -> str:
            services.pause(actor_of(request), reason_of(request))
            self._log(request, "Paused")
            return _("Paused. Nothing is sent until somebody resumes; what was sent before is finished.")

        return self._press(request, work)

    def resume_view(self, request: HttpRequest) -> HttpResponseBase:
        """End a pause by hand."""

        def work() -> str:
            services.resume(actor_of(request), reason_of(request))
            self._log(request, "Resumed")
            return _("Resumed. What waits is sent now.")

        return self._press(request, work)

    def _press(self, request: HttpRequest, work: Callable[[], str]) -> HttpResponseBase:
        """What every button shares: allowed, and a POST; opened with GET it changes nothing."""
        if not _may_switch(request):
            raise PermissionDenied
        if request.method == "POST":
            try:
                messages.success(request, work())
            except GrokVideoError as error:
                messages.add_message(request, level(error), str(error))
        return HttpResponseRedirect(self._url("changelist"))

    def _log(self, request: HttpRequest, done: str) -> None:
        """For whoever asks later. In one language, as all that is kept."""
        reason = reason_of(request)
        self.log_change(request, GatewayState.objects.current(), f"{done}: {reason}" if reason else done)

    def _url(self, name: str) -> str:
        return reverse(f"admin:grokvideo_gatewaystate_{name}", current_app=self.admin_site.name)

    def _requests(self, status: str) -> str:
        url = reverse("admin:grokvideo_videorequest_changelist", current_app=self.admin_site.name)
        return f"{url}?status__exact={status}"


def _switched() -> QuerySet[LogEntry]:
    """Who paused and resumed here, the newest first."""
    rows = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(GatewayState))
    return rows.select_related("user").order_by("-pk")[:SHOWN]


def _may_switch(request: HttpRequest) -> bool:
    return may(request, "change_gatewaystate")
