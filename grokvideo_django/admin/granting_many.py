"""Credits for all selected accounts: a form, a page that says who and how much together, and one POST."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from .. import credits
from ..exceptions import GrokVideoError
from ..models import CreditAccount, CreditEntry
from .bases import AccountModelAdmin, actor_of
from .granting import AmountForm
from .telling import in_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse

MOST_AT_ONCE: Final = 500
"""Each is a field of the form that confirms; Django reads a thousand."""


class GrantManyForm(AmountForm):
    """How much each gets, and why."""

    def clean_expires_at(self) -> Any:
        """Refused here, before anybody was granted anything."""
        expires_at = self.cleaned_data["expires_at"]
        if expires_at is not None and expires_at <= timezone.now():
            self.add_error("expires_at", _("Choose a time in the future."))
        return expires_at


@admin.action(permissions=["grant"], description=gettext_lazy("Grant credits to selected accounts"))
def grant_selected(
    modeladmin: AccountModelAdmin, request: HttpRequest, queryset: QuerySet[CreditAccount]
) -> HttpResponse | None:
    """Ask how much, show who and the total, and grant."""
    accounts = list(queryset.order_by("user_name", "pk")[: MOST_AT_ONCE + 1])
    if len(accounts) > MOST_AT_ONCE:
        words = _("At most %(limit)d accounts can be granted at once. Nothing was granted; choose fewer.")
        modeladmin.message_user(request, words % {"limit": MOST_AT_ONCE}, messages.ERROR)
        return None
    step = request.POST.get("step")
    form = GrantManyForm(request.POST if step in {"ask", "do"} else None)
    if step not in {"ask", "do"} or not form.is_valid():
        return _page(modeladmin, request, accounts, form, step="ask")
    if step == "ask":
        return _page(modeladmin, request, accounts, form, step="do")
    _grant_all(modeladmin, request, accounts, form.cleaned_data)
    return None


def _page(
    modeladmin: AccountModelAdmin,
    request: HttpRequest,
    accounts: Sequence[CreditAccount],
    form: GrantManyForm,
    *,
    step: str,
) -> HttpResponse:
    """``step`` is what comes next: ``ask`` shows the form, ``do`` what it said."""
    total = form.cleaned_data["amount"] * len(accounts) if step == "do" else 0
    context = {
        **modeladmin.admin_site.each_context(request),
        "title": _("Grant credits to selected accounts"),
        "opts": modeladmin.opts,
        "media": modeladmin.media + form.media,
        "form": form,
        "accounts": accounts,
        "step": step,
        "total": in_words(total),
        "checkbox_name": ACTION_CHECKBOX_NAME,
    }
    request.current_app = modeladmin.admin_site.name
    return TemplateResponse(request, "grokvideo/admin/grant_selected.html", context)


def _grant_all(
    modeladmin: AccountModelAdmin, request: HttpRequest, accounts: Sequence[CreditAccount], data: dict[str, Any]
) -> None:
    """Each account by itself, under a key of its own: what was cut short is finished by sending it again."""
    keys = {account.pk: f"{data['key']}:{account.pk}" for account in accounts}
    before = set(CreditEntry.objects.filter(key__in=keys.values()).values_list("key", flat=True))
    granted, known = 0, 0
    for account in accounts:
        try:
            credits.grant(
                account,
                data["amount"],
                reason=data["reason"],
                key=keys[account.pk],
                expires_at=data["expires_at"],
                actor=actor_of(request),
            )
        except GrokVideoError as error:
            words = _("Nothing was granted to %(account)s. %(error)s") % {"account": account, "error": error}
            modeladmin.message_user(request, words, messages.ERROR)
        else:
            if keys[account.pk] in before:
                known += 1
            else:
                granted += 1
    if known:
        words = ngettext(
            "This form was sent before, and %(count)d account was granted its credits then. It got nothing now.",
            "This form was sent before, and %(count)d accounts were granted their credits then. They got nothing now.",
            known,
        )
        modeladmin.message_user(request, words % {"count": known}, messages.INFO)
    if granted:
        words = ngettext(
            "%(count)d account was granted %(each)d credits: together %(total)s.",
            "%(count)d accounts were granted %(each)d credits each: together %(total)s.",
            granted,
        )
        filled = {"count": granted, "each": data["amount"], "total": in_words(data["amount"] * granted)}
        modeladmin.message_user(request, words % filled, messages.SUCCESS)
