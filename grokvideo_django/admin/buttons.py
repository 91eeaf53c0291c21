"""The buttons of a request: a POST each, on an address of its own. Opened with GET they change nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import F
from django.http import HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from .. import services, transactions
from ..exceptions import GrokVideoError, InvalidTransition, QuoteChanged
from ..models import VideoRequest
from . import explaining
from .bases import RequestModelAdmin, actor_of, is_theirs, may, number_of
from .resolving import ResolveForm
from .telling import price_for, tell

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase
    from django.urls import URLPattern

Status = VideoRequest.Status


class Buttons(RequestModelAdmin):
    """Generate, retry, cancel and resolve."""

    def get_urls(self) -> list[URLPattern]:
        """Before Django's own, which take any text for a key."""
        views: dict[str, Callable[[HttpRequest, str], HttpResponseBase]] = {
            "generate": self.generate_view,
            "retry": self.retry_view,
            "cancel": self.cancel_view,
            "resolve": self.resolve_view,
        }
        own = [
            path(f"<path:object_id>/{name}/", self.admin_site.admin_view(view), name=f"grokvideo_videorequest_{name}")
            for name, view in views.items()
        ]
        return own + super().get_urls()

    def change_url(self, obj: VideoRequest) -> str:
        """A request's page."""
        return reverse("admin:grokvideo_videorequest_change", args=[obj.pk], current_app=self.admin_site.name)

    def generate_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Start a draft for the price that was shown."""

        def work(obj: VideoRequest) -> str:
            return self.start_and_tell(request, obj)

        return self._press(request, object_id, self.has_add_permission(request), work)

    def retry_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """The same again as a new request, once however often it is pressed."""

        def work(obj: VideoRequest) -> str:
            check_price(obj, shown(request))
            again = retry_once(obj, request, seen=number_of(request, "retries"))
            words = _("Made again as a new request. Held: %(price)s.")
            if again.status == Status.AWAITING_APPROVAL:
                words = _("Made again as a new request of %(price)s. It waits for approval; nothing is held yet.")
            messages.success(request, words % {"price": price_for(request, again.owner, again.quoted_credits or 0)})
            return self.change_url(again)

        return self._press(request, object_id, self.has_add_permission(request), work)

    def cancel_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Cancel, or ask the gateway to."""

        def work(obj: VideoRequest) -> str:
            services.cancel(obj, actor=actor_of(request))
            if obj.status == Status.CANCELED:
                messages.success(request, _("Canceled. It cost nothing; what was held is available again."))
            elif obj.status == Status.IN_DOUBT:
                messages.warning(
                    request,
                    _(
                        "The gateway had a fault when this was sent before, so nobody knows whether it makes the "
                        "video. It is not sent again; its credits stay held until a site manager decides."
                    ),
                )
            else:
                messages.info(
                    request,
                    _(
                        "The gateway is asked to cancel it. If it agrees, it costs nothing; if it is too late, the "
                        "video is finished, kept and charged."
                    ),
                )
            return self.change_url(obj)

        return self._press(request, object_id, self.may_touch(request), work)

    def resolve_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """A manager decides about a request whose fate is unknown. GET shows what there is to decide."""
        if not self.may_resolve(request):
            raise PermissionDenied
        obj = self.get_object(request, unquote(object_id))
        if obj is None or obj.status != Status.IN_DOUBT or not self.has_view_permission(request, obj):
            return self._press(request, object_id, True, _not_in_doubt)
        data = request.POST if request.method == "POST" else None
        form = ResolveForm(obj, data, may_generate=self.has_add_permission(request))
        if not form.is_valid():
            return self._resolve_page(request, obj, form)

        def work(doubtful: VideoRequest) -> str:
            shown_next = form.resolve(doubtful, actor=actor_of(request))
            messages.success(request, form.done)
            return self.change_url(shown_next)

        return self._press(request, object_id, True, work)

    def _resolve_page(self, request: HttpRequest, obj: VideoRequest, form: ResolveForm) -> HttpResponseBase:
        context = {
            **self.admin_site.each_context(request),
            "title": _("Decide about a request in doubt"),
            "subtitle": str(obj),
            "opts": self.opts,
            "original": obj,
            "form": form,
            "media": self.media + form.media,
            "back_url": self.change_url(obj),
            "lines": [
                *explaining.in_doubt(obj),
                *explaining.known_of_doubt(obj, timezone.now()),
                obj.error_message,
                _("Gateway job: %(id)s") % {"id": obj.gateway_job_id or _("none is known")},
            ],
            "button": _("Decide"),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "grokvideo/admin/form_page.html", context)

    def _press(
        self, request: HttpRequest, object_id: str, allowed: bool, work: Callable[[VideoRequest], str]
    ) -> HttpResponseBase:
        """What every button shares: the user must see the row's page and be allowed, and the method be POST.

        ``work`` returns the address to go on to.
        """
        obj = self.get_object(request, unquote(object_id))
        if obj is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined, no-any-return]
        if not (allowed and self.has_view_permission(request, obj) and is_theirs(request, obj)):
            raise PermissionDenied
        url = self.change_url(obj)
        if request.method == "POST":
            try:
                url = work(obj)
            except GrokVideoError as error:
                tell(request, error)
        return HttpResponseRedirect(url)

    def may_touch(self, request: HttpRequest) -> bool:
        """Whether the user may change requests at all; which ones is a matter of the queryset."""
        return super().has_change_permission(request)

    def may_resolve(self, request: HttpRequest) -> bool:
        """Whether the user may decide about requests in doubt: about those that they see."""
        return may(request, "change_all") and self.may_touch(request)

    def start_and_tell(self, request: HttpRequest, obj: VideoRequest, *, before: str = "") -> str:
        """Start a draft for the price on the page, say what came of it, and return the address to go on to.

        ``before`` opens a message of refusal.
        """
        try:
            start_once(obj, request)
        except GrokVideoError as error:
            tell(request, error, before=before)
            return self.refused_url(request, obj, error)
        self.tell_started(request, obj)
        return self.change_url(obj)

    def tell_started(self, request: HttpRequest, obj: VideoRequest) -> None:
        """What is held, or that nothing is."""
        words = _("Started. Held until the video is stored: %(price)s. You can close this page.")
        if obj.status == Status.AWAITING_APPROVAL:
            words = _("It costs %(price)s and waits for approval; nothing is held yet. You can close this page.")
        messages.success(request, words % {"price": price_for(request, obj.owner, obj.quoted_credits or 0)})

    def refused_url(self, request: HttpRequest, obj: VideoRequest, error: GrokVideoError) -> str:  # noqa: ARG002
        """Where a refusal leads."""
        return self.change_url(obj)


def start_once(obj: VideoRequest, request: HttpRequest) -> None:
    """Start a draft, for the price on the page.

    Raises:
        GrokVideoError: it was not started; says why.
    """
    expected = shown(request)
    if obj.is_draft:
        check_price(obj, expected)
    services.start(obj, actor=actor_of(request), expected_credits=expected)


def check_price(obj: VideoRequest, expected: int | None) -> None:
    """Refuse a price that was not shown, also when the page showed none at all.

    Raises:
        QuoteChanged: it is another one; ``expected`` is 0 if there was none.
    """
    actual = services.quote(obj)
    if expected != actual:
        raise QuoteChanged(expected=expected or 0, actual=actual)


def retry_once(obj: VideoRequest, request: HttpRequest, *, seen: int | None) -> VideoRequest:
    """Retry, unless there are more retries by now than the page knew of.

    Raises:
        InvalidTransition: somebody was faster, or the request cannot be made again.
    """

    def work() -> VideoRequest:
        # An UPDATE that changes nothing takes the row's lock on every database: two presses come one after the other.
        VideoRequest.objects.filter(pk=obj.pk).update(updated_at=F("updated_at"))
        if obj.retries.count() != seen:
            raise InvalidTransition(
                _("It was made again already; the new request is linked below. Nothing was charged now.")
            )
        return services.retry(obj, actor=actor_of(request))

    return transactions.run(work)


def shown(request: HttpRequest) -> int | None:
    """The price that the page showed."""
    return number_of(request, "expected_credits")


def _not_in_doubt(_obj: VideoRequest) -> str:
    raise InvalidTransition(_("It is not in doubt any more, so there is nothing to decide. Nothing was changed."))
