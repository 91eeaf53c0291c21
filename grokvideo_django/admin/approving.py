"""Approval: the queue, the two buttons with a reason, and starting beyond a budget by those who may."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.contrib.admin.widgets import AdminTextInputWidget
from django.core.exceptions import PermissionDenied
from django.http import HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .. import conf, services
from ..exceptions import BudgetExceeded, GrokVideoError, InvalidRequest
from ..models import CreditAccount, VideoRequest
from . import explaining
from .bases import LONGEST_REASON, actor_of, is_theirs, may, reason_of
from .buttons import Buttons, check_price, shown
from .telling import in_words, level, price_for, tell

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase
    from django.urls import URLPattern

Status = VideoRequest.Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """What the page of a request that waits shows to somebody who may approve."""

    words: str
    approve_url: str = ""
    decline_url: str = ""

    @property
    def is_allowed(self) -> bool:
        """Whether there is anything to press."""
        return bool(self.approve_url)


class ExceedForm(forms.Form):
    """Why the budgets are exceeded; kept on the record."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=LONGEST_REASON,
        widget=AdminTextInputWidget,
        help_text=gettext_lazy("Kept in the history and on the statement, under your name."),
    )
    expected_credits = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, price: int | None, data: Any = None) -> None:
        super().__init__(data, initial={"expected_credits": "" if price is None else price}, label_suffix="")


class Approvals(Buttons):
    """Approve, decline, and exceed."""

    def get_urls(self) -> list[URLPattern]:
        """Beside the other buttons."""
        views: dict[str, Callable[[HttpRequest, str], HttpResponseBase]] = {
            "approve": self.approve_view,
            "decline": self.decline_view,
            "exceed": self.exceed_view,
        }
        own = [
            path(f"<path:object_id>/{name}/", self.admin_site.admin_view(view), name=f"grokvideo_videorequest_{name}")
            for name, view in views.items()
        ]
        return own + super().get_urls()

    # What the pages show

    def queue_url(self) -> str:
        """The list of what awaits approval."""
        url = reverse("admin:grokvideo_videorequest_changelist", current_app=self.admin_site.name)
        return f"{url}?status__exact={Status.AWAITING_APPROVAL}"

    def approval_of(self, request: HttpRequest, obj: VideoRequest) -> Approval | None:
        """The panel on a request's page; None if there is nothing to approve, or the user may not."""
        if obj.status != Status.AWAITING_APPROVAL or not may(request, "approve"):
            return None
        if not may_decide(request, obj):
            return Approval(words=_("Nobody approves their own requests here; another site manager can."))
        account = CreditAccount.objects.filter(user_key=str(obj.owner_id)).first()
        words = _("Held at once if you approve it: %(price)s. Available to %(owner)s: %(available)d.") % {
            "price": in_words(obj.quoted_credits or 0),
            "available": 0 if account is None else account.available,
            "owner": obj.owner_name,
        }
        return Approval(words=words, approve_url=self._url("approve", obj), decline_url=self._url("decline", obj))

    def after(self, request: HttpRequest, obj: VideoRequest) -> str:
        """The request's page, or the queue for those who do not see it any more."""
        seen = self.get_queryset(request).filter(pk=obj.pk).exists()
        return self.change_url(obj) if seen else self.queue_url()

    def refused_url(self, request: HttpRequest, obj: VideoRequest, error: GrokVideoError) -> str:
        """Where a refusal leads: to the page, or to the form of those who may exceed a budget."""
        if isinstance(error, BudgetExceeded) and self._may_exceed(request, obj):
            return self._url("exceed", obj)
        return super().refused_url(request, obj, error)

    # What the buttons do

    def approve_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Hold the price, and let the request go."""

        def work(obj: VideoRequest) -> None:
            services.approve(obj, actor=actor_of(request), reason=reason_of(request))
            words = _("Approved, and a worker sends it. Held: %(price)s.")
            messages.success(request, words % {"price": price_for(request, obj.owner, obj.quoted_credits or 0)})

        return self._decide(request, object_id, work, before=_("It was not approved and goes on waiting."))

    def decline_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """End the request, with a reason for its owner."""

        def work(obj: VideoRequest) -> None:
            reason = reason_of(request)
            if not reason:
                raise InvalidRequest(_("Give a reason, which its owner reads."))
            services.decline(obj, actor=actor_of(request), reason=reason)
            messages.success(request, _("Declined. It cost nothing; its owner finds the reason on its page."))

        return self._decide(request, object_id, work, before=_("It was not declined and goes on waiting."))

    def _decide(
        self, request: HttpRequest, object_id: str, work: Callable[[VideoRequest], None], *, before: str
    ) -> HttpResponseBase:
        if not may(request, "approve"):
            raise PermissionDenied
        obj = self.get_object(request, unquote(object_id))
        if obj is None:
            messages.info(request, _("It does not await approval any more. Nothing was changed."))
            return HttpResponseRedirect(self.queue_url())
        if request.method != "POST":
            return HttpResponseRedirect(self.change_url(obj))
        try:
            work(obj)
        except GrokVideoError as error:
            obj.refresh_from_db()
            waits = obj.status == Status.AWAITING_APPROVAL
            messages.add_message(request, level(error), f"{before} {error}" if waits else str(error))
            url = self.refused_url(request, obj, error) if waits else self.after(request, obj)
            return HttpResponseRedirect(url)
        return HttpResponseRedirect(self.after(request, obj))

    def exceed_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Start, or approve, although a budget does not allow it, with a reason. GET shows the form."""
        obj = self.get_object(request, unquote(object_id))
        if obj is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined, no-any-return]
        if not may(request, "exceed") or not self.has_view_permission(request, obj):
            raise PermissionDenied
        if obj.status not in {Status.DRAFT, Status.AWAITING_APPROVAL}:
            messages.info(request, _("It was started before. Nothing was charged again."))
            return HttpResponseRedirect(self.change_url(obj))
        if not self._may_exceed(request, obj):
            raise PermissionDenied
        price = explaining.quoted(obj) if obj.is_draft else obj.quoted_credits
        form = ExceedForm(price, request.POST if request.method == "POST" else None)
        if not form.is_valid():
            return self._exceed_page(request, obj, form, price)
        try:
            self._exceed(request, obj, form.cleaned_data["reason"])
        except GrokVideoError as error:
            tell(request, error)
        return HttpResponseRedirect(self.after(request, obj))

    def _exceed(self, request: HttpRequest, obj: VideoRequest, reason: str) -> None:
        actor = actor_of(request)
        if obj.status == Status.AWAITING_APPROVAL:
            services.approve(obj, actor=actor, exceed_reason=reason)
        else:
            check_price(obj, shown(request))
            services.start(obj, actor=actor, expected_credits=shown(request), exceed_reason=reason)
        self.tell_started(request, obj)

    def _exceed_page(
        self, request: HttpRequest, obj: VideoRequest, form: ExceedForm, price: int | None
    ) -> HttpResponseBase:
        context = {
            **self.admin_site.each_context(request),
            "title": _("Exceed the budget"),
            "subtitle": str(obj),
            "opts": self.opts,
            "original": obj,
            "form": form,
            "media": self.media + form.media,
            "back_url": self.change_url(obj),
            "lines": [
                _("The budgets do not allow this request now. You may start it nevertheless; it counts under them."),
                "" if price is None else _("It costs %(price)s.") % {"price": price_for(request, obj.owner, price)},
            ],
            "button": _("Start nevertheless"),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "grokvideo/admin/form_page.html", context)

    def _may_exceed(self, request: HttpRequest, obj: VideoRequest) -> bool:
        if not may(request, "exceed"):
            return False
        if obj.status == Status.AWAITING_APPROVAL:
            return may_decide(request, obj)
        return obj.is_draft and self.has_add_permission(request) and is_theirs(request, obj)

    def _url(self, name: str, obj: VideoRequest) -> str:
        return reverse(f"admin:grokvideo_videorequest_{name}", args=[obj.pk], current_app=self.admin_site.name)


def may_decide(request: HttpRequest, obj: VideoRequest) -> bool:
    """As ``services`` will judge."""
    return may(request, "approve") and (obj.owner_id != request.user.pk or conf.current().APPROVE_OWN)
