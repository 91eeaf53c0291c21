"""Giving credits by hand."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.contrib.admin.widgets import AdminIntegerFieldWidget, AdminTextInputWidget
from django.utils.translation import gettext_lazy as _

from .. import credits
from ..exceptions import GrokVideoError
from .fields import user_field
from .forms import as_key

if TYPE_CHECKING:
    from django.contrib.admin import AdminSite
    from django.http import HttpRequest

    from ..credits.entries import Actor
    from ..models import CreditEntry

MOST: Final = 1_000_000_000
MOMENT: Final = "%Y-%m-%dT%H:%M"


class AmountForm(forms.Form):
    """How much, and why. The hidden key grants once, however often the form is sent."""

    amount = forms.IntegerField(label=_("Credits"), min_value=1, max_value=MOST, widget=AdminIntegerFieldWidget)
    reason = forms.CharField(
        label=_("Reason"), max_length=255, widget=AdminTextInputWidget, help_text=_("Shown on the user's statement.")
    )
    expires_at = forms.DateTimeField(
        label=_("Expires"),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local", "class": "vTextField"}, format=MOMENT),
        help_text=_("What is left then expires. Empty: never."),
    )
    key = forms.CharField(widget=forms.HiddenInput, required=False)

    def __init__(self, data: Any = None, *, initial: dict[str, Any] | None = None) -> None:
        super().__init__(data, initial={"key": str(uuid.uuid4()), **(initial or {})}, label_suffix="")

    def clean_key(self) -> str:
        """One of ours, whatever was sent."""
        return f"admin-grant:{as_key(self.cleaned_data['key']) or uuid.uuid4()}"


class GrantForm(AmountForm):
    """Whom, too."""

    field_order = ("user", "amount", "reason", "expires_at", "key")
    was_sent_before = False
    """Then the entry is the one that was made at that time, whatever the form says now."""

    def __init__(self, request: HttpRequest, site: AdminSite, data: Any = None, *, user: str = "") -> None:
        super().__init__(data, initial={"user": user})
        self.fields["user"] = user_field(request, site, label=_("User"))
        self.order_fields(self.field_order)

    def grant(self, *, actor: Actor) -> CreditEntry | None:
        """Do it; None if the ledger refuses, which the form then says."""
        data = self.cleaned_data
        self.was_sent_before = credits.find(data["key"]) is not None
        try:
            return credits.grant(
                data["user"],
                data["amount"],
                reason=data["reason"],
                key=data["key"],
                expires_at=data["expires_at"],
                actor=actor,
            )
        except GrokVideoError as error:
            self.add_error(None, str(error))
            return None
