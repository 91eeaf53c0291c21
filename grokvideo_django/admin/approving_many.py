"""Approving and declining selected requests: a page with the total and a reason, then each decided on its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.widgets import AdminTextInputWidget
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from .. import services
from ..exceptions import GrokVideoError
from ..models import VideoRequest
from .approving import may_decide
from .bases import LONGEST_REASON, RequestModelAdmin, actor_of
from .telling import in_words, level

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse

MOST_AT_ONCE: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One of the two, in words for the page and its messages."""

    action: str
    title: Any
    button: Any
    question: Any
    hint: Any
    done: Any
    not_done: Any
    needs_reason: bool
    decide: Callable[..., None]


APPROVE: Final = Decision(
    action="approve_selected",
    title=gettext_lazy("Approve selected requests"),
    button=gettext_lazy("Approve · %(total)s"),
    question=gettext_lazy("Together %(total)s, held at once. Each is approved by itself."),
    hint=gettext_lazy("Kept in the history of each under your name."),
    done=gettext_lazy("“%(prompt)s” was approved. Held: %(price)s."),
    not_done=gettext_lazy("“%(prompt)s” was not approved. %(why)s"),
    needs_reason=False,
    decide=services.approve,
)
DECLINE: Final = Decision(
    action="decline_selected",
    title=gettext_lazy("Decline selected requests"),
    button=gettext_lazy("Decline"),
    question=gettext_lazy("Together %(total)s, which will not be spent. Each is declined by itself."),
    hint=gettext_lazy("Its owner reads it. Kept in the history of each under your name."),
    done=gettext_lazy("“%(prompt)s” was declined. It cost nothing."),
    not_done=gettext_lazy("“%(prompt)s” was not declined. %(why)s"),
    needs_reason=True,
    decide=services.decline,
)


class ReasonForm(forms.Form):
    """Why; one reason for all of them."""

    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=LONGEST_REASON, widget=AdminTextInputWidget)

    def __init__(self, decision: Decision, data: Any = None) -> None:
        super().__init__(data, label_suffix="")
        self.fields["reason"].required = decision.needs_reason
        self.fields["reason"].help_text = decision.hint


@admin.action(permissions=["approve"], description=APPROVE.title)
def approve_selected(
    modeladmin: RequestModelAdmin, request: HttpRequest, queryset: QuerySet[VideoRequest]
) -> HttpResponse | None:
    """Ask with the total, then approve each."""
    return _decide(modeladmin, request, queryset, APPROVE)


@admin.action(permissions=["approve"], description=DECLINE.title)
def decline_selected(
    modeladmin: RequestModelAdmin, request: HttpRequest, queryset: QuerySet[VideoRequest]
) -> HttpResponse | None:
    """Ask for a reason, then decline each."""
    return _decide(modeladmin, request, queryset, DECLINE)


def _decide(
    modeladmin: RequestModelAdmin, request: HttpRequest, queryset: QuerySet[VideoRequest], decision: Decision
) -> HttpResponse | None:
    rows = list(queryset.order_by("pk")[: MOST_AT_ONCE + 1])
    if len(rows) > MOST_AT_ONCE:
        words = _("At most %(limit)d requests can be decided at once. Nothing was changed; choose fewer.")
        modeladmin.message_user(request, words % {"limit": MOST_AT_ONCE}, messages.ERROR)
        return None
    if "confirmed" in request.POST:
        form = ReasonForm(decision, request.POST)
        if form.is_valid():
            _decide_all(modeladmin, request, rows, decision, form.cleaned_data["reason"])
            return None
    else:
        form = ReasonForm(decision)
    waiting = [row for row in rows if row.status == VideoRequest.Status.AWAITING_APPROVAL]
    mine = [row for row in waiting if may_decide(request, row)]
    if not mine:
        words = _("None of them awaits your decision. Nothing was changed.")
        modeladmin.message_user(request, words, messages.WARNING)
        return None
    return _page(
        modeladmin, request, decision, form, mine, own=len(waiting) - len(mine), others=len(rows) - len(waiting)
    )


def _page(
    modeladmin: RequestModelAdmin,
    request: HttpRequest,
    decision: Decision,
    form: ReasonForm,
    rows: Sequence[VideoRequest],
    *,
    own: int,
    others: int,
) -> HttpResponse:
    total = {"total": in_words(sum(row.quoted_credits or 0 for row in rows))}
    context = {
        **modeladmin.admin_site.each_context(request),
        "title": decision.title,
        "opts": modeladmin.opts,
        "media": modeladmin.media + form.media,
        "form": form,
        "action": decision.action,
        "question": decision.question % total,
        "button": decision.button % total,
        "rows": rows,
        "own": own,
        "others": others,
        "checkbox_name": ACTION_CHECKBOX_NAME,
    }
    request.current_app = modeladmin.admin_site.name
    return TemplateResponse(request, "grokvideo/admin/decide_selected.html", context)


def _decide_all(
    modeladmin: RequestModelAdmin, request: HttpRequest, rows: Sequence[VideoRequest], decision: Decision, reason: str
) -> None:
    """Each in a transaction of its own: what cannot be paid does not keep the others from going."""
    done, credits_ = 0, 0
    for row in rows:
        words: dict[str, Any] = {"prompt": row, "price": in_words(row.quoted_credits or 0)}
        try:
            decision.decide(row, actor=actor_of(request), reason=reason)
        except GrokVideoError as error:
            modeladmin.message_user(request, decision.not_done % {**words, "why": error}, level(error))
        else:
            done, credits_ = done + 1, credits_ + (row.quoted_credits or 0)
            modeladmin.message_user(request, decision.done % words, messages.SUCCESS)
    if not rows:
        modeladmin.message_user(request, services.NOT_AWAITING, messages.INFO)
    elif done and decision is APPROVE:
        summed = ngettext("%(count)d request was approved. Held: %(price)s.",
                          "%(count)d requests were approved. Held: %(price)s.", done)  # fmt: skip
        modeladmin.message_user(request, summed % {"count": done, "price": in_words(credits_)}, messages.INFO)
