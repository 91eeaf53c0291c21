"""Giving back what a request was charged."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.admin.widgets import AdminIntegerFieldWidget, AdminTextInputWidget
from django.core.exceptions import PermissionDenied
from django.db.models import Sum
from django.http import HttpResponseRedirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .. import credits, services
from ..exceptions import GrokVideoError
from ..lifecycle.money import captured_for
from ..models import CreditEntry, VideoRequest
from .bases import actor_of, may
from .buttons import Buttons
from .forms import as_key
from .telling import in_words

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase
    from django.urls import URLPattern
    from django.utils.safestring import SafeString

    from ..credits.entries import Actor


class RefundForm(forms.Form):
    """How much, and why. The hidden key refunds once, however often the form is sent."""

    field_order = ("amount", "reason", "key")
    was_sent_before = False
    """Then the entry is the one that was made at that time, whatever the form says now."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=255,
        widget=AdminTextInputWidget,
        help_text=gettext_lazy("Shown on the user's statement."),
    )
    key = forms.CharField(widget=forms.HiddenInput, required=False)

    def __init__(self, left: int, data: Any = None, *, charged: int) -> None:
        """``left`` of what was ``charged`` is offered. The ledger refuses more, and knows what is sent twice."""
        super().__init__(data, initial={"amount": left, "key": str(uuid.uuid4())}, label_suffix="")
        self.fields["amount"] = forms.IntegerField(
            label=gettext_lazy("Credits"), min_value=1, max_value=charged, widget=AdminIntegerFieldWidget
        )
        self.order_fields(self.field_order)

    def clean_key(self) -> str:
        """One of ours, whatever was sent."""
        return f"admin-refund:{as_key(self.cleaned_data['key']) or uuid.uuid4()}"

    def refund(self, obj: VideoRequest, *, actor: Actor) -> CreditEntry | None:
        """Do it; None if the ledger refuses, which the form then says."""
        data = self.cleaned_data
        self.was_sent_before = credits.find(data["key"]) is not None
        try:
            return services.refund(obj, data["amount"], key=data["key"], reason=data["reason"], actor=actor)
        except GrokVideoError as error:
            self.add_error(None, str(error))
            return None


class Refunds(Buttons):
    """The form that refunds, and what was refunded."""

    def get_urls(self) -> list[URLPattern]:
        """Beside the other buttons."""
        view = self.admin_site.admin_view(self.refund_view)
        return [path("<path:object_id>/refund/", view, name="grokvideo_videorequest_refund"), *super().get_urls()]

    def refund_url(self, request: HttpRequest, obj: VideoRequest) -> str:
        """The form's address; empty if there is nothing to refund, or the user may not."""
        if not obj.charged_credits or not may(request, "grant"):
            return ""
        captured = captured_for(obj)
        if captured is None or not left_of(captured):
            return ""
        return reverse("admin:grokvideo_videorequest_refund", args=[obj.pk], current_app=self.admin_site.name)

    @admin.display(description=gettext_lazy("refunded"))
    def refunded(self, obj: VideoRequest) -> SafeString:
        """Each refund: when, how much, why, by whom."""
        return render_to_string("grokvideo/admin/refunds.html", {"entries": refunds_for(obj)})

    def refund_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Give credits back. GET shows the form."""
        if not may(request, "grant"):
            raise PermissionDenied
        obj = self.get_object(request, unquote(object_id))
        if obj is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined, no-any-return]
        if not self.has_view_permission(request, obj):
            raise PermissionDenied
        captured = captured_for(obj)
        left = 0 if captured is None else left_of(captured)
        if captured is None or (request.method != "POST" and not left):
            messages.info(request, _("There is nothing to refund. Nothing was changed."))
            return HttpResponseRedirect(self.change_url(obj))
        charged = -captured.posted_delta
        form = RefundForm(left, request.POST if request.method == "POST" else None, charged=charged)
        entry = form.refund(obj, actor=actor_of(request)) if form.is_valid() else None
        if entry is None:
            return self._refund_page(request, obj, form, charged=charged, left=left)
        filled = {"price": in_words(entry.posted_delta), "owner": captured.account}
        if form.was_sent_before:
            words = _(
                "This form was sent before, and %(price)s were refunded to %(owner)s then. Nothing was changed now."
            )
            messages.info(request, words % filled)
        else:
            messages.success(request, _("Refunded: %(price)s are available to %(owner)s again.") % filled)
        return HttpResponseRedirect(self.change_url(obj))

    def _refund_page(
        self, request: HttpRequest, obj: VideoRequest, form: RefundForm, *, charged: int, left: int
    ) -> HttpResponseBase:
        context = {
            **self.admin_site.each_context(request),
            "title": _("Refund credits"),
            "subtitle": str(obj),
            "opts": self.opts,
            "original": obj,
            "form": form,
            "media": self.media + form.media,
            "back_url": self.change_url(obj),
            "lines": [
                _("It cost %(price)s. At most %(left)d can still be refunded.")
                % {"price": in_words(charged), "left": left}
            ],
            "button": _("Refund"),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "grokvideo/admin/form_page.html", context)


def left_of(captured: CreditEntry) -> int:
    """What can still be refunded."""
    refunded = CreditEntry.objects.filter(refunds=captured).aggregate(sum=Sum("posted_delta"))["sum"] or 0
    return -captured.posted_delta - int(refunded)


def refunds_for(obj: VideoRequest) -> list[CreditEntry]:
    """What was refunded, the oldest first."""
    return list(CreditEntry.objects.filter(request_key=obj.key, kind=CreditEntry.Kind.REFUND).order_by("pk"))
