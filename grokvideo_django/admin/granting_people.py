"""Credits for a group's members, or for all active users: also for those who have no account yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.contrib import messages
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import Group
from django.core import signing
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .. import people
from ..models import CreditAccount
from .granting_many import MOST_AT_ONCE, GrantManyForm, Recipient, grant_all, no_such_user, page

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from .bases import AccountModelAdmin

EVERYBODY: Final = "all"
SHOWN: Final = "shown"
"""The field of the page that confirms: the keys and the names of those whom it shows, signed."""
SALT: Final = "grokvideo.granting_people"


class PeopleForm(GrantManyForm):
    """Whom, too."""

    among = forms.ChoiceField(
        label=gettext_lazy("Recipients"),
        help_text=gettext_lazy("The next page shows who that is, before anybody is granted anything."),
        error_messages={"invalid_choice": gettext_lazy("This group does not exist any more. Choose another.")},
    )
    field_order = ("among", "amount", "reason", "expires_at", "key")
    users: Sequence[AbstractBaseUser] = ()
    """Who is meant, if it is valid."""

    def __init__(self, data: Any = None) -> None:
        super().__init__(data)
        self._names = {EVERYBODY: _("All active users")}
        choices: list[Any] = [("", "---------"), *self._names.items()]
        if people.can_be_in_groups():
            groups = [(str(pk), name) for pk, name in Group.objects.order_by("name").values_list("pk", "name")]
            choices.append((_("Active members of a group"), groups))
            self._names |= {pk: _("Active members of %(group)s") % {"group": name} for pk, name in groups}
        self.fields["among"].choices = choices  # type: ignore[attr-defined]

    def clean_among(self) -> str:
        """Somebody must be meant, and not too many."""
        among = self.cleaned_data["among"]
        where = () if among == EVERYBODY else (people.members([int(among)]),)
        self.users = people.active(*where, limit=MOST_AT_ONCE + 1)
        if not self.users:
            raise forms.ValidationError(_("There is no active user in this group. Choose another."))
        if len(self.users) > MOST_AT_ONCE:
            words = _(
                "These are more than %(limit)d users, and no more can be granted at once. Choose a smaller group, or "
                "use manage.py grokvideo_grant."
            )
            raise forms.ValidationError(words % {"limit": MOST_AT_ONCE})
        self.whom = self._names[among]
        return str(among)


def grant_people(modeladmin: AccountModelAdmin, request: HttpRequest) -> HttpResponse | None:
    """Ask whom and how much, show who that is and the total, and grant; None when that is done."""
    step = request.POST.get("step")
    if step == "do":
        confirmed, shown = GrantManyForm(request.POST), _read(request.POST.get(SHOWN, ""))
        if not shown:
            words = _("Who was shown could not be read, so nothing was granted. Please look again.")
            modeladmin.message_user(request, words, messages.WARNING)
        elif confirmed.is_valid():
            grant_all(modeladmin, request, _recipients(shown, _found(shown)), confirmed.cleaned_data)
            return None
    form = PeopleForm(request.POST if step in {"ask", "do"} else None)
    users = form.users if form.is_valid() else ()
    shown = [(str(user.pk), user.get_username()) for user in users]
    recipients = _recipients(shown, users)
    hidden = [(SHOWN, signing.dumps(shown, salt=SALT, compress=True))]
    return page(modeladmin, request, form, recipients, title=_("Grant credits to many users"), hidden=hidden)


def _read(signed: str) -> list[tuple[str, str]]:
    try:
        return [(key, name) for key, name in signing.loads(signed, salt=SALT)]
    except signing.BadSignature:
        return []


def _found(shown: Sequence[tuple[str, str]]) -> Iterable[AbstractBaseUser]:
    """Those who are still there, in whatever group they are now. One query."""
    return get_user_model()._default_manager.filter(pk__in=[key for key, _name in shown])


def _recipients(shown: Sequence[tuple[str, str]], users: Iterable[AbstractBaseUser]) -> list[Recipient]:
    """With the accounts that are open. One query."""
    keys = [key for key, _name in shown]
    by_key = {str(user.pk): user for user in users}
    accounts = {account.user_key: account for account in CreditAccount.objects.filter(user_key__in=keys)}
    return [
        Recipient(name=name, account=accounts.get(key), user=by_key.get(key), problem=_problem(by_key.get(key)))
        for key, name in shown
    ]


def _problem(user: AbstractBaseUser | None) -> str:
    if user is None:
        return no_such_user()
    return "" if user.is_active else _("This user is not active any more.")
