"""Giving, voiding and expiring: who has what afterwards."""

from datetime import datetime, timedelta
from itertools import product

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.utils import timezone

from grokvideo_django import credits
from grokvideo_django.credits import rows
from grokvideo_django.credits.entries import MAX_AMOUNT
from grokvideo_django.exceptions import CreditError, InsufficientCredits, InvalidAmount, KeyConflict
from grokvideo_django.models import CreditAccount, CreditDraw, CreditEntry, CreditGrant

from .books import balance, drawn, grant_of, prove, remains, snapshot, statement

pytestmark = pytest.mark.django_db

NONSENSE = [0, -1, True, False, 1.0, 2.5, "5", None, 10**30, MAX_AMOUNT + 1]


def test_a_grant_adds_to_the_balance_and_can_be_spent(user, account, clock):
    admin = get_user_model().objects.create_user("boss")
    expires = clock.later(days=30)
    entry = credits.grant(
        user, 40, reason="Welcome", expires_at=expires, category="promotion", priority=7, actor=admin, key="welcome"
    )
    credits.grant(account, 2)
    assert balance(account) == (42, 0, 42)
    assert statement(account) == [("grant", 40, 0, 40, 0), ("grant", 2, 0, 42, 0)]
    assert (entry.actor, entry.reason, entry.key) == ("boss", "Welcome", "welcome")
    given = grant_of(entry)
    assert (given.amount, given.remaining, given.category, given.priority) == (40, 40, "promotion", 7)
    assert (given.actor, given.reason, str(given)) == ("boss", "Welcome", "40 (Welcome)")
    assert abs(given.expires_at - expires) < timedelta(milliseconds=1)
    assert drawn(entry) == [(given.pk, 40)]
    prove(account)


def test_the_same_key_grants_once(user, account):
    first = credits.grant(user, 40, key="january")
    assert credits.grant(user, 40, key="january") == first
    assert balance(account) == (40, 0, 40)
    assert remains(account) == [40]


def test_the_same_key_grants_once_also_when_the_grant_has_expired_since(user, account, clock):
    expires = clock.later(days=1)
    first = credits.grant(user, 40, key="today", expires_at=expires)
    clock.move(days=2)
    assert credits.grant(user, 40, key="today", expires_at=expires) == first
    assert balance(account) == (40, 0, 0)


def test_a_key_means_one_thing(user, account):
    credits.grant(user, 40, key="january")
    before = snapshot(account)
    stranger = get_user_model().objects.create_user("eve")
    for whom, amount in ((user, 41), (stranger, 40)):
        with pytest.raises(KeyConflict):
            credits.grant(whom, amount, key="january")
    with pytest.raises(KeyConflict):
        credits.hold(user, 40, key="january")
    assert snapshot(account) == before
    assert balance(CreditAccount.objects.for_user(stranger)) == (0, 0, 0)


def test_keys_differ_by_case_or_are_refused_but_are_never_taken_for_each_other(user, account):
    credits.grant(user, 40, key="promo-a")
    try:
        credits.grant(user, 40, key="promo-A")
    except KeyConflict:
        assert balance(account) == (40, 0, 40)
    else:
        assert balance(account) == (80, 0, 80)


@pytest.mark.parametrize("amount", NONSENSE)
def test_only_whole_credits_above_zero_are_given(user, account, amount):
    with pytest.raises(InvalidAmount) as refused:
        credits.grant(user, amount)
    assert isinstance(refused.value, ValueError)
    assert statement(account) == []
    assert balance(account) == (0, 0, 0)


@pytest.mark.parametrize(
    "values",
    [
        {"category": "bribe"},
        {"priority": 32768},
        {"priority": -40000},
        {"priority": 1.5},
        {"priority": True},
        {"expires_at": datetime(2999, 1, 1)},  # noqa: DTZ001 - the point
        {"expires_at": timezone.now()},
        {"expires_at": timezone.now() - timedelta(days=1)},
    ],
    ids=str,
)
def test_nonsense_is_refused_by_name(user, account, values):
    with pytest.raises(InvalidAmount):
        credits.grant(user, 5, **values)
    assert statement(account) == []


def test_a_key_that_the_database_would_cut_is_refused(user, account):
    credits.grant(user, 5, key="k" * 200)
    with pytest.raises(CreditError, match="at most 200"):
        credits.grant(user, 5, key="k" * 201)
    assert balance(account) == (5, 0, 5)


def test_long_words_are_cut_rather_than_refused(user, account):
    entry = credits.grant(user, 5, reason="r" * 300, actor="a" * 300)
    assert (len(entry.reason), len(entry.actor)) == (255, 255)
    assert len(grant_of(entry).reason) == 255


@pytest.mark.parametrize(
    ("name", "words"),
    [*product(("reason", "key", "actor"), ("a\0b", "half \ud83e", 7)), ("reason", None)],
)
def test_words_that_no_database_keeps_are_refused(name, words, user, account):
    with pytest.raises(CreditError, match="Nothing was changed"):
        credits.grant(user, 5, **{name: words})
    assert balance(account) == (0, 0, 0)


def test_a_user_who_comes_again_has_the_account_again(user, account):
    """Restored from a backup, say: the key says who somebody is."""
    credits.grant(user, 5)
    key = user.pk
    user.delete()
    account.refresh_from_db()
    assert account.user is None
    again = get_user_model().objects.create_user("ada again", pk=key)
    credits.grant(again, 2)
    assert balance(account) == (7, 0, 7)
    assert (account.user, account.user_name) == (again, "ada again")


def test_an_instance_of_a_user_who_is_gone_links_nothing(user, account):
    stale = get_user_model().objects.get()
    user.delete()
    credits.grant(stale, 5)
    assert balance(account) == (5, 0, 5)
    assert account.user is None


@pytest.mark.skipif(connection.vendor != "mysql", reason="only MariaDB takes A for a here")
def test_a_key_that_the_database_takes_for_another_has_no_account(user):
    class Named:
        def __init__(self, name):
            self.pk = name

        def get_username(self):
            return self.pk

    CreditAccount.objects.create(user=user, user_key="Bob")
    assert rows.account_id("bob") is None
    with pytest.raises(CreditError, match="for the same"):
        CreditAccount.objects.for_user(Named("bob"))


def test_an_account_needs_a_saved_user_and_a_row():
    for nobody in (AnonymousUser(), get_user_model()(username="new")):
        with pytest.raises(CreditError, match="saved user"):
            credits.grant(nobody, 5)
    with pytest.raises(CreditError, match="does not exist"):
        credits.grant(CreditAccount(pk=987654), 5)
    with pytest.raises(InsufficientCredits):
        credits.hold(CreditAccount(pk=987654), 5)
    assert not CreditEntry.objects.exists()


def test_void_takes_back_what_is_left_and_leaves_what_is_held(user, account):
    given = grant_of(credits.grant(user, 10))
    held = credits.hold(user, 4)
    entry = credits.void(given, reason="Left the company", actor="boss")
    assert (entry.kind, entry.posted_delta, entry.held_delta, entry.posted_after, entry.held_after) == (
        "void", -6, 0, 4, 4,
    )  # fmt: skip
    assert (entry.reason, entry.actor, drawn(entry)) == ("Left the company", "boss", [(given.pk, -6)])
    assert balance(account) == (4, 4, 0)
    assert credits.void(given, reason="again") is None
    credits.release(held)
    assert balance(account) == (4, 0, 4)
    assert credits.void(given, reason="the rest").posted_delta == -4
    assert balance(account) == (0, 0, 0)
    prove(account)


def test_void_with_the_same_key_takes_back_once(user, account):
    given = grant_of(credits.grant(user, 10))
    held = credits.hold(user, 4)
    first = credits.void(given, key="leaver", reason="Left the company", actor="boss")
    credits.release(held)
    for _time in range(2):
        assert credits.void(given, key="leaver", reason="Left the company") == first
        assert balance(account) == (4, 0, 4)
    prove(account)


def test_expire_with_the_same_key_expires_once(user, account, clock):
    given = grant_of(credits.grant(user, 10, expires_at=clock.later(hours=1)))
    assert credits.expire(given, key="e") is None
    clock.move(hours=2)
    first = credits.expire(given, key="e", reason="The campaign is over.", actor="boss")
    assert (first.kind, first.reason, first.actor) == ("expire", "The campaign is over.", "boss")
    assert credits.expire(given, key="e") == first
    assert balance(account) == (0, 0, 0)
    prove(account)


def test_a_key_of_something_else_takes_nothing_back(user, account, clock):
    first = grant_of(credits.grant(user, 10, key="k"))
    other = grant_of(credits.grant(user, 7, expires_at=clock.later(hours=1)))
    with pytest.raises(KeyConflict):
        credits.void(first, key="k", reason="")
    credits.void(first, key="v", reason="")
    with pytest.raises(KeyConflict):
        credits.void(other, key="v", reason="")
    clock.move(hours=2)
    with pytest.raises(KeyConflict):
        credits.expire(other, key="v")
    assert account.entries.count() == 3
    prove(account)


def test_void_of_a_stale_grant_takes_what_is_left_now(user, account):
    stale = grant_of(credits.grant(user, 10))
    credits.capture(credits.hold(user, 7))
    assert stale.remaining == 10
    assert credits.void(stale, reason="").posted_delta == -3
    prove(account)


def test_void_of_a_grant_that_is_not_there_does_nothing(user, account):
    credits.grant(user, 10)
    assert credits.void(CreditGrant(pk=987654, account=account), reason="") is None
    assert credits.void(CreditGrant(pk=987654, account_id=987654), reason="") is None
    assert balance(account) == (10, 0, 10)


def test_a_grant_expires_when_its_time_has_come_and_not_before(user, account, clock):
    given = grant_of(credits.grant(user, 10, expires_at=clock.later(days=1)))
    ever = grant_of(credits.grant(user, 1))
    credits.capture(credits.hold(user, 4))
    assert credits.expire(given) is None
    assert credits.expire(ever) is None
    assert balance(account) == (7, 0, 7)
    clock.move(days=1, seconds=1)
    assert balance(account) == (7, 0, 1)  # not swept yet, and not available any more
    entry = credits.expire(given)
    assert (entry.kind, entry.posted_delta, entry.posted_after, drawn(entry)) == ("expire", -6, 1, [(given.pk, -6)])
    assert credits.expire(given) is None
    assert balance(account) == (1, 0, 1)
    prove(account)


def test_a_grant_that_was_prolonged_meanwhile_does_not_expire(user, account, clock):
    stale = grant_of(credits.grant(user, 10, expires_at=clock.later(days=1)))
    clock.move(days=2)
    CreditGrant.objects.filter(pk=stale.pk).update(expires_at=clock.later(days=1))
    assert credits.expire(stale) is None
    assert balance(account) == (10, 0, 10)


def test_expire_due_takes_a_bounded_bite_of_all_accounts(user, account, clock):
    other = CreditAccount.objects.for_user(get_user_model().objects.create_user("bob"))
    for whom in (account, other):
        for days in (1, 2, 9):
            credits.grant(whom, days, expires_at=clock.later(days=days))
        credits.grant(whom, 100)
    now = clock.later(days=3)
    assert credits.expire_due(clock()) == 0
    assert credits.expire_due(now, limit=3) == 3
    assert credits.expire_due(now, limit=3) == 1
    assert credits.expire_due(now) == 0
    clock.move(days=3)
    assert balance(account) == balance(other) == (109, 0, 109)
    assert remains(account) == [0, 0, 9, 100]
    prove(account)
    prove(other)


def test_expired_credits_cannot_be_held_before_the_sweep(user, account, clock):
    credits.grant(user, 10, expires_at=clock.later(days=1))
    credits.grant(user, 3)
    clock.move(days=2)
    with pytest.raises(InsufficientCredits) as refused:
        credits.hold(user, 4)
    assert (refused.value.needed, refused.value.available, refused.value.missing) == (4, 3, 1)
    assert credits.hold(user, 3).held_after == 3
    assert balance(account) == (13, 3, 0)
    prove(account)


def test_the_books_outlive_the_user(user, account):
    credits.grant(user, 10)
    held = credits.hold(user, 4)
    user.delete()
    account.refresh_from_db()
    assert (account.user, account.user_name, str(account)) == (None, "ada", "ada")
    credits.capture(held, 3)
    assert balance(account) == (7, 0, 7)
    assert CreditDraw.objects.filter(entry__account=account).count() == 3
    prove(account)
