"""What a manager can decide about a request in doubt."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.contrib.admin.widgets import AdminTextInputWidget
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from .. import services
from . import explaining
from .telling import in_words

if TYPE_CHECKING:
    from ..credits.entries import Actor
    from ..models import VideoRequest

START_ANEW: Final = "start_anew"
DONE: Final[dict[str, Any]] = {
    "ask_again": _("The gateway is asked about it once more; its answer decides. The credits stay held until then."),
    "attach": _("The gateway is asked about this job; its answer decides. The credits stay held until then."),
    "release": _("Released: it cost nothing, and the credits are available again."),
    "charge": _("Charged: the credits are spent although there is no video."),
    START_ANEW: _(
        "Released, and made again as this new request. Nobody asks the gateway about the first one any more."
    ),
}


class ResolveForm(forms.Form):
    """One of five outcomes, with a reason that is kept."""

    outcome = forms.ChoiceField(label=_("Decision"), widget=forms.RadioSelect)
    gateway_job_id = forms.CharField(
        label=_("Gateway's job id"),
        required=False,
        max_length=200,
        widget=AdminTextInputWidget,
        help_text=_("To attach a job only: from the gateway's dashboard."),
    )
    reason = forms.CharField(
        label=_("Reason"),
        max_length=255,
        widget=AdminTextInputWidget,
        help_text=_("Kept with the decision, under your name."),
    )
    confirm = forms.BooleanField(
        label=_(
            "I have looked this request up at the gateway. Releasing or charging cannot be undone. "
            "Neither can starting anew."
        )
    )
    expected_credits = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def __init__(self, request: VideoRequest, data: Any = None, *, may_generate: bool = False) -> None:
        """``may_generate``: whether the user may start requests, and so start this one anew."""
        price = explaining.quoted(request) if may_generate and request.owner_id is not None else None
        super().__init__(data, initial={"expected_credits": price})
        self._price = price
        self.label_suffix = ""
        self.fields["outcome"].choices = list(_choices(request, price))  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """A job id where one is needed, and a price that was shown."""
        data = super().clean() or {}
        if data.get("outcome") == "attach" and not data.get("gateway_job_id"):
            self.add_error("gateway_job_id", _("Give the gateway's job id."))
        if data.get("outcome") == START_ANEW and data.get("expected_credits") != self._price:
            self.add_error("outcome", _("The price to start anew has changed, and is shown below. Please confirm it."))
            self.data = {**{name: self.data.get(name) for name in self.data}, "expected_credits": self._price}
        return data

    def resolve(self, request: VideoRequest, *, actor: Actor) -> VideoRequest:
        """Do it; returns the request to look at next: this one, or the new one.

        Raises:
            GrokVideoError: it was not done; says why.
        """
        data = self.cleaned_data
        if data["outcome"] == START_ANEW:
            expected = data["expected_credits"] or 0  # a price that was not shown is refused
            return services.start_anew(request, actor=actor, reason=data["reason"], expected_credits=expected)
        job_id = data["gateway_job_id"] if data["outcome"] == "attach" else None
        services.resolve(request, data["outcome"], actor=actor, reason=data["reason"], gateway_job_id=job_id)
        return request

    @property
    def done(self) -> str:
        """What was done, in words."""
        return str(DONE[self.cleaned_data["outcome"]])


def _choices(request: VideoRequest, price: int | None) -> Iterator[tuple[str, Any]]:
    """Each with what it does, and what it costs."""
    credits_ = request.quoted_credits or 0
    held = {"credits": credits_}
    if request.gateway_job_id:
        yield (
            "ask_again",
            _("Ask again: read job %(id)s once more. It costs nothing now; a video is charged as usual.")
            % {"id": request.gateway_job_id},
        )
    yield (
        "attach",
        _(
            "Attach a job: the gateway accepted it under the id below; read that job. "
            "It costs nothing now; a video is charged as usual."
        ),
    )
    yield (
        "release",
        ngettext(
            "Release %(credits)d credit: the gateway never accepted it, or there will be no video. "
            "It costs the owner nothing.",
            "Release %(credits)d credits: the gateway never accepted it, or there will be no video. "
            "It costs the owner nothing.",
            credits_,
        )
        % held,
    )
    yield (
        "charge",
        ngettext(
            "Charge %(credits)d credit: the gateway was paid, although there is no video here. "
            "The owner pays it; it can be refunded.",
            "Charge %(credits)d credits: the gateway was paid, although there is no video here. "
            "The owner pays them; they can be refunded.",
            credits_,
        )
        % held,
    )
    if price is not None:
        yield (
            START_ANEW,
            ngettext(
                "Start anew: release this %(credits)d credit, and make it again as a new request for %(price)s. "
                "The gateway may have been paid for the first already, and nobody asks about it any more: if it has a "
                "job id, ask again first.",
                "Start anew: release these %(credits)d credits, and make it again as a new request for %(price)s. "
                "The gateway may have been paid for the first already, and nobody asks about it any more: if it has a "
                "job id, ask again first.",
                credits_,
            )
            % {**held, "price": in_words(price)},
        )
