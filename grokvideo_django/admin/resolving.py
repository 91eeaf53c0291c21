"""What a manager can decide about a request in doubt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib.admin.widgets import AdminTextInputWidget
from django.utils.translation import gettext_lazy as _

from .. import services

if TYPE_CHECKING:
    from ..credits.entries import Actor
    from ..lifecycle.deciding import Outcome
    from ..models import VideoRequest

DONE: dict[Outcome, Any] = {
    "ask_again": _("The gateway is asked about it once more; its answer decides. The credits stay held until then."),
    "attach": _("The gateway is asked about this job; its answer decides. The credits stay held until then."),
    "release": _("Released: it cost nothing, and the credits are available again."),
    "charge": _("Charged: the credits are spent although there is no video."),
}


class ResolveForm(forms.Form):
    """One of four outcomes, with a reason that is kept."""

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
        label=_("I have looked this request up at the gateway. Releasing or charging cannot be undone.")
    )

    def __init__(self, request: VideoRequest, data: Any = None) -> None:
        super().__init__(data)
        self.label_suffix = ""
        self._job_id = request.gateway_job_id
        credits_ = {"credits": request.quoted_credits or 0}
        choices = [
            ("attach", _("Attach a job: the gateway accepted it under the id below; read that job.")),
            (
                "release",
                _("Release %(credits)d credits: the gateway never accepted it, or there will be no video.") % credits_,
            ),
            (
                "charge",
                _("Charge %(credits)d credits: the gateway was paid, although there is no video here.") % credits_,
            ),
        ]
        if request.gateway_job_id:
            again = _("Ask again: read job %(id)s once more.") % {"id": request.gateway_job_id}
            choices.insert(0, ("ask_again", again))
        self.fields["outcome"].choices = choices  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """A job id where one is needed."""
        data = super().clean() or {}
        if data.get("outcome") == "attach" and not data.get("gateway_job_id"):
            self.add_error("gateway_job_id", _("Give the gateway's job id."))
        return data

    def resolve(self, request: VideoRequest, *, actor: Actor) -> None:
        """Do it.

        Raises:
            GrokVideoError: it was not done; says why.
        """
        data = self.cleaned_data
        job_id = data["gateway_job_id"] if data["outcome"] == "attach" else None
        services.resolve(request, data["outcome"], actor=actor, reason=data["reason"], gateway_job_id=job_id)

    @property
    def done(self) -> str:
        """What was done, in words."""
        outcome: Outcome = self.cleaned_data["outcome"]
        return str(DONE[outcome])
