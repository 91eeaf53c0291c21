"""Credits for many at once: a form, a page that says who and how much together, and one POST."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db import IntegrityError
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from .. import credits
from ..exceptions import CreditError, GrokVideoError
from ..models import CreditAccount, CreditEntry
from .bases import AccountModelAdmin, actor_of
from .granting import AmountForm
from .telling import counted, in_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.contrib.auth.base_user import AbstractBaseUser
    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse

MOST_AT_ONCE: Final = 500
"""Granted by one POST, in which each selected account is a field; Django reads a thousand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """Somebody on the page: an account, or a user who may have none yet."""

    name: str
    account: CreditAccount | None
    user: AbstractBaseUser | None = None
    """Whose account is opened, if there is none, when credits are granted."""
    problem: str = ""
    """Why nothing can be granted any more."""

    @property
    def posted(self) -> int:
        """What is posted now."""
        return 0 if self.account is None else self.account.posted

    def open(self, *, had: bool) -> CreditAccount:
        """The account, opened if there is none. ``had``: it was granted its credits before, which no problem undoes.

        Raises:
            CreditError: nothing can be granted any more.
        """
        if self.problem and not had:
            raise CreditError(self.problem)
        if self.user is None:
            assert self.account is not None
            return self.account
        try:
            return CreditAccount.objects.for_user(self.user)
        except IntegrityError:  # deleted since it was looked up
            raise CreditError(no_such_user()) from None


class GrantManyForm(AmountForm):
    """How much each gets, and why."""

    whom = ""
    """Who is meant, in words, where the form says it."""

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
    recipients = [Recipient(name=str(account), account=account) for account in accounts]
    step = request.POST.get("step")
    form = GrantManyForm(request.POST if step in {"ask", "do"} else None)
    if step == "do" and form.is_valid():
        grant_all(modeladmin, request, recipients, form.cleaned_data)
        return None
    hidden = [("action", "grant_selected"), *((ACTION_CHECKBOX_NAME, str(account.pk)) for account in accounts)]
    title = _("Grant credits to selected accounts")
    return page(modeladmin, request, form, recipients, title=title, hidden=hidden)


def page(
    modeladmin: AccountModelAdmin,
    request: HttpRequest,
    form: GrantManyForm,
    recipients: Sequence[Recipient],
    *,
    title: str,
    hidden: Sequence[tuple[str, str]] = (),
) -> HttpResponse:
    """The form, or, once it is filled in, what it would do. ``hidden`` says who is meant when the page is sent."""
    is_asked = form.is_valid()
    step = "do" if is_asked else "ask"
    context = {
        **modeladmin.admin_site.each_context(request),
        "title": title,
        "opts": modeladmin.opts,
        "media": modeladmin.media + form.media,
        "form": form,
        "step": step,
        "hidden": [("step", step), *hidden],
        "recipients": recipients,
        **(_sums(form.cleaned_data, recipients) if is_asked else {}),
    }
    request.current_app = modeladmin.admin_site.name
    return TemplateResponse(request, "grokvideo/admin/grant_many.html", context)


def _sums(data: dict[str, Any], recipients: Sequence[Recipient]) -> dict[str, Any]:
    """How many get how much, without those to whom this form has granted it already."""
    known = len(_granted_before(data["key"], recipients))
    new = len(recipients) - known
    return {"known": known, "new": new, "each": counted(data["amount"]), "total": in_words(data["amount"] * new)}


def grant_all(
    modeladmin: AccountModelAdmin, request: HttpRequest, recipients: Sequence[Recipient], data: dict[str, Any]
) -> None:
    """Each by itself, under a key of its own: what was cut short is finished by sending it again."""
    before = _granted_before(data["key"], recipients)
    granted, known = 0, 0
    for recipient in recipients:
        had = recipient in before
        try:
            account = recipient.open(had=had)
            credits.grant(
                account,
                data["amount"],
                reason=data["reason"],
                key=_key(data["key"], account),
                expires_at=data["expires_at"],
                actor=actor_of(request),
            )
        except GrokVideoError as error:
            words = _("Nothing was granted to %(account)s. %(error)s") % {"account": recipient.name, "error": error}
            modeladmin.message_user(request, words, messages.ERROR)
        else:
            known, granted = known + had, granted + (not had)
    if known:
        words = ngettext(
            "This form was sent before, and %(count)d account was granted its credits then. It got nothing now.",
            "This form was sent before, and %(count)d accounts were granted their credits then. They got nothing now.",
            known,
        )
        modeladmin.message_user(request, words % {"count": known}, messages.INFO)
    if granted:
        words = ngettext(
            "%(count)d account was granted %(each)s: together %(total)s.",
            "%(count)d accounts were granted %(each)s each: together %(total)s.",
            granted,
        )
        each, total = counted(data["amount"]), in_words(data["amount"] * granted)
        modeladmin.message_user(request, words % {"count": granted, "each": each, "total": total}, messages.SUCCESS)


def _granted_before(key: str, recipients: Sequence[Recipient]) -> set[Recipient]:
    """Those to whom a form with this key has granted its credits. One query."""
    keys = {_key(key, each.account): each for each in recipients if each.account is not None}
    found = CreditEntry.objects.filter(key__in=list(keys)).values_list("key", flat=True)
    return {keys[one] for one in found if one in keys}


def _key(key: str, account: CreditAccount) -> str:
    return f"{key}:{account.pk}"


def no_such_user() -> str:
    """Of one who was there when the page was shown."""
    return _("This user does not exist any more.")
