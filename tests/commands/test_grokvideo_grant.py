"""Credits from a shell: all who are meant, once a key, or nobody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from grokvideo_django.models import CreditAccount, CreditEntry, CreditGrant

pytestmark = pytest.mark.django_db


def grant(*words: str, **options: Any) -> str:
    out = StringIO()
    call_command("grokvideo_grant", *words, stdout=out, **options)
    return out.getvalue()


def posted(*users: User) -> list[int]:
    return [CreditAccount.objects.for_user(user).posted for user in users]


@pytest.fixture
def anna() -> User:
    return User.objects.create_user("anna")


@pytest.fixture
def ben() -> User:
    return User.objects.create_user("ben")


@pytest.fixture
def group(anna: User, ben: User) -> Group:
    made = Group.objects.create(name="editors")
    made.user_set.add(anna, ben, User.objects.create_user("gone", is_active=False))
    return made


def test_several_users_get_credits_with_a_reason(anna: User, ben: User) -> None:
    said = grant("anna", "ben", "50", "--reason", "For June", "--category", "promotion")
    assert posted(anna, ben) == [50, 50]
    assert said == "anna: 50 credits\nben: 50 credits\nGranted 100 credits, about $1.00, to 2 users.\n"
    entry = CreditEntry.objects.get(account__user=anna)
    assert (entry.actor, entry.reason) == ("grokvideo_grant", "For June")
    assert CreditGrant.objects.get(account__user=anna).category == "promotion"


def test_one_credit_for_one_user(anna: User) -> None:
    assert grant("anna", "1") == "anna: 1 credit\nGranted 1 credit, about $0.01, to 1 user.\n"


def test_who_is_in_two_groups_gets_it_once(anna: User, group: Group, ben: User) -> None:
    Group.objects.create(name="authors").user_set.add(anna)
    grant("5", "--group", "editors", "--group", "authors")
    assert posted(anna, ben) == [5, 5]


def test_who_is_named_twice_gets_it_once(anna: User, group: Group, ben: User) -> None:
    grant("anna", "anna", "5", "--group", "editors")
    assert posted(anna, ben) == [5, 5]


def test_a_group_and_everybody_leave_out_who_is_not_active(group: Group) -> None:
    User.objects.create_user("carl")
    grant("5", "--group", "editors")
    assert CreditEntry.objects.count() == 2
    grant("5", "--all-active")
    assert CreditEntry.objects.count() == 5
    assert not CreditEntry.objects.filter(account__user_name="gone").exists()


def test_a_cron_line_can_be_repeated_and_reaches_newcomers(anna: User, group: Group, ben: User) -> None:
    line = ["100", "--group", "editors", "--key", "2026-12"]
    grant(*line)
    newcomer = User.objects.create_user("carl")
    group.user_set.add(newcomer)
    said = grant(*line)
    assert "anna: nothing more: this key was granted before" in said
    assert "Granted 100 credits, about $1.00, to 1 user." in said
    assert posted(anna, ben, newcomer) == [100, 100, 100]
    grant(*line[:-1], "2027-01")
    assert posted(anna) == [200]


def test_without_a_key_each_run_grants(anna: User) -> None:
    grant("anna", "5")
    grant("anna", "5")
    assert posted(anna) == [10]


def test_a_key_that_was_used_for_another_amount_grants_nothing_to_anybody(anna: User, ben: User) -> None:
    grant("anna", "1")
    grant("ben", "5", "--key", "june")
    with pytest.raises(CommandError, match=r"ben: The key was already used .* Nothing was granted to anybody"):
        grant("anna", "ben", "6", "--key", "june")
    assert posted(anna, ben) == [1, 5]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["anna", "nobody", "who", "5"], "There is no user 'nobody', no user 'who'. Nothing was granted to anybody."),
        (["anna", "5", "--group", "none"], "There is no group 'none'"),
        (["5"], "Nobody is meant"),
        (["anna", "0"], "'0' is not a whole number of credits above zero"),
        (["anna", "-5"], "'-5' is not a whole number"),
        (["anna", "1.5"], "'1.5' is not a whole number"),
        (["anna", "1_000"], "'1_000' is not a whole number"),
        (["50", "anna"], "'anna' is not a whole number of credits above zero; the amount comes after the users"),
        (["anna", "5", "--expires", "soon"], "--expires 'soon' is no moment"),
        (["anna", "5", "--expires", "2026-13-45"], "is no moment"),
        (["anna", "5", "--expires", "9999-12-31"], "is no moment"),
        (["anna", "5", "--expires", "2001-01-01"], "is past"),
        (["anna", "5", "--key", "x" * 101], "at most 100 printable characters"),
        (["anna", "5", "--category", "gift"], "invalid choice"),
    ],
)
def test_bad_input_is_named_and_grants_nothing(anna: User, words: list[str], said: str) -> None:
    with pytest.raises(CommandError) as refused:
        grant(*words)
    assert said in str(refused.value)
    assert not CreditEntry.objects.exists()


def test_a_dry_run_changes_nothing(anna: User) -> None:
    said = grant("anna", "5", "--dry-run")
    assert said == "anna: 5 credits\nWould grant 5 credits, about $0.05, to 1 user. Nothing was changed.\n"
    assert not CreditAccount.objects.exists()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2126-12-31", datetime(2126, 12, 31, 23, tzinfo=UTC)),  # the end of the day in Paris
        ("2126-12-31T18:00", datetime(2126, 12, 31, 17, tzinfo=UTC)),
        ("2126-12-31T18:00Z", datetime(2126, 12, 31, 18, tzinfo=UTC)),
    ],
)
def test_it_expires_in_the_sites_time_zone(anna: User, settings: Any, text: str, moment: datetime) -> None:
    settings.TIME_ZONE = "Europe/Paris"
    grant("anna", "5", "--expires", text)
    assert CreditGrant.objects.get().expires_at == moment


def test_it_expires_so_many_days_from_now(anna: User) -> None:
    before = timezone.now()
    grant("anna", "5", "--expires", "30d")
    expires_at = CreditGrant.objects.get().expires_at
    assert expires_at is not None
    assert before + timedelta(days=30) <= expires_at <= timezone.now() + timedelta(days=30)
