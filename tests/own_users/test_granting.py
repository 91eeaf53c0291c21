"""Credits for all who are meant, where users have no groups and no column ``is_active``."""

from __future__ import annotations

from datetime import date
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from grokvideo_django import credits, people, services
from grokvideo_django.models import Allowance, Budget, CreditAccount, VideoRequest

from ..admin.conftest import ACCOUNTS, as_, said
from ..admin.test_granting_many import hidden
from ..admin.test_granting_people import MANY, shown
from .models import Member

pytestmark = pytest.mark.django_db


@pytest.fixture
def manager() -> Member:
    return Member.objects.create(email="manager@example.org", is_superuser=True)


@pytest.fixture
def anna() -> Member:
    return Member.objects.create(email="anna@example.org")


@pytest.fixture
def gone() -> Member:
    return Member.objects.create(email="gone@example.org", left_on=date(2026, 1, 1))


def posted() -> dict[str, int]:
    return dict(CreditAccount.objects.values_list("user_name", "posted"))


def grant(*words: str) -> str:
    out = StringIO()
    call_command("grokvideo_grant", *words, stdout=out)
    return out.getvalue()


def test_who_is_active(manager: Member, anna: Member, gone: Member) -> None:
    assert people.active() == [anna, manager]
    assert people.active(limit=1) == [anna]
    assert not people.can_be_in_groups()
    assert people.active(people.members([1])) == []


def test_the_admins_page_offers_no_groups(manager: Member) -> None:
    Group.objects.create(name="authors")
    field = as_(manager).get(MANY).context["form"].fields["among"]
    assert field.choices == [("", "---------"), ("all", "All active users")]


def test_the_admins_page(manager: Member, anna: Member, gone: Member) -> None:
    browser = as_(manager)
    filled: dict[str, Any] = {"among": "all", "amount": 50, "reason": "For June", "expires_at": ""}
    response = browser.post(MANY, {**hidden(browser.get(MANY)), **filled})
    assert shown(response) == [("anna@example.org", "0"), ("manager@example.org", "0")]
    assert posted() == {}
    data = hidden(response)
    for _twice in range(2):
        browser.post(MANY, data, follow=True)
    assert posted() == {"anna@example.org": 50, "manager@example.org": 50}
    Member.objects.filter(pk=anna.pk).update(left_on=date(2026, 2, 2))
    told = said(browser.post(MANY, {**data, "key": ""}, follow=True))
    assert told[0] == ("error", "Nothing was granted to anna@example.org. This user is not active any more.")
    assert posted() == {"anna@example.org": 50, "manager@example.org": 100}


def test_selected_accounts(manager: Member, anna: Member) -> None:
    account = CreditAccount.objects.for_user(anna)
    data = {"action": "grant_selected", "_selected_action": [account.pk], "step": "do", "amount": 5, "reason": "x"}
    as_(manager).post(ACCOUNTS, data)
    assert posted() == {"anna@example.org": 5}


def test_the_command(manager: Member, anna: Member, gone: Member) -> None:
    assert "to 2 users." in grant("5", "--all-active")
    Group.objects.create(name="authors")
    with pytest.raises(CommandError, match="Nobody is meant"):
        grant("5", "--group", "authors")
    assert posted() == {"anna@example.org": 5, "manager@example.org": 5}


def test_allowances(anna: Member, gone: Member) -> None:
    now = timezone.now()
    for user in (anna, gone):
        Allowance.objects.create(name="monthly", user=user, amount=7, starts_at=now)
    Allowance.objects.create(name="to nobody", group=Group.objects.create(name="authors"), amount=7, starts_at=now)
    assert credits.issue_due(now) == 1
    assert posted() == {"anna@example.org": 7}


def test_what_was_granted_can_be_spent_under_a_budget(anna: Member) -> None:
    credits.grant(anna, 100)
    Budget.objects.create(name="site", limit_credits=50)
    draft = VideoRequest.objects.create(owner=anna, prompt="A fox crosses a frozen lake")
    services.start(draft)
    assert CreditAccount.objects.for_user(anna).held == draft.quoted_credits
