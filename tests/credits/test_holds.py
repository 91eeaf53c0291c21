"""Holds, and their one resolution."""

import pytest
from django.contrib.auth import get_user_model

from grokvideo_django import credits
from grokvideo_django.exceptions import AlreadyResolved, CreditError, InsufficientCredits, InvalidAmount, KeyConflict

from .books import balance, drawn, grant_of, prove, remains, snapshot, statement
from .test_grants import NONSENSE

pytestmark = pytest.mark.django_db


@pytest.fixture
def given(user):
    """100 credits."""
    return grant_of(credits.grant(user, 100))


def test_a_hold_sets_aside_and_a_capture_spends(user, account, given):
    held = credits.hold(user, 30, key="h", request_key="r-1", reason="A fox", actor=user)
    assert balance(account) == (100, 30, 70)
    assert (held.request_key, held.reason, held.actor, drawn(held)) == ("r-1", "A fox", "ada", [(given.pk, -30)])
    spent = credits.capture(held, reason="delivered", actor="worker")
    assert balance(account) == (70, 0, 70)
    assert (spent.resolves, spent.request_key, spent.reason, spent.actor) == (held, "r-1", "delivered", "worker")
    assert drawn(spent) == []
    assert statement(account) == [
        ("grant", 100, 0, 100, 0),
        ("hold", 0, 30, 100, 30),
        ("capture", -30, -30, 70, 0),
    ]
    prove(account)


def test_a_partial_capture_returns_the_rest_in_the_same_entry(user, account, given):
    spent = credits.capture(credits.hold(user, 30), 12)
    assert statement(account)[2:] == [("capture", -12, -30, 88, 0)]
    assert drawn(spent) == [(given.pk, 18)]
    assert balance(account) == (88, 0, 88)
    prove(account)


def test_a_release_gives_the_whole_hold_back(user, account, given):
    back = credits.release(credits.hold(user, 30, request_key="r-1"), reason="failed", actor="worker")
    assert statement(account)[2:] == [("release", 0, -30, 100, 0)]
    assert (drawn(back), back.request_key, back.reason, back.actor) == ([(given.pk, 30)], "r-1", "failed", "worker")
    assert balance(account) == (100, 0, 100)
    prove(account)


def test_the_same_key_is_the_same_entry(user, account, given):
    held = credits.hold(user, 30, key="h", request_key="r-1")
    assert credits.hold(user, 30, key="h", request_key="r-1") == held
    assert credits.find("h") == held
    assert credits.find("other") is None
    spent = credits.capture(held, 12, key="c")
    assert credits.capture(held, 12, key="c") == spent
    assert credits.hold(user, 30, key="h", request_key="r-1") == held  # resolved, and still the same
    back = credits.release(credits.hold(user, 5, key="h2"), key="r")
    assert credits.release(back.resolves, key="r") == back
    assert len(statement(account)) == 5
    assert balance(account) == (88, 0, 88)


def test_without_a_key_a_resolution_is_repeated_safely(user, account, given):
    held = credits.hold(user, 30)
    assert credits.capture(held, 12) == credits.capture(held, 12)
    other = credits.hold(user, 30)
    assert credits.release(other) == credits.release(other)
    assert balance(account) == (88, 0, 88)


def test_the_same_key_is_the_same_hold_when_the_balance_is_spent(user, account, given):
    held = credits.hold(user, 100, key="h")
    assert credits.hold(user, 100, key="h") == held
    with pytest.raises(KeyConflict):
        credits.hold(user, 99, key="h")
    assert balance(account) == (100, 100, 0)


def test_a_key_means_one_thing(user, account, given):
    held = credits.hold(user, 30, key="h", request_key="r-1")
    stranger = get_user_model().objects.create_user("eve")
    credits.grant(stranger, 100)
    before = snapshot(account)
    with pytest.raises(KeyConflict):
        credits.hold(user, 31, key="h", request_key="r-1")
    with pytest.raises(KeyConflict):
        credits.hold(user, 30, key="h", request_key="r-2")  # else the second request would ride for free
    with pytest.raises(KeyConflict):
        credits.hold(stranger, 30, key="h", request_key="r-1")
    with pytest.raises(KeyConflict):
        credits.capture(held, 30, key="h")
    with pytest.raises(KeyConflict):
        credits.release(held, key="h")
    assert snapshot(account) == before
    credits.capture(held, 30, key="c")
    for key_conflict in (
        lambda: credits.capture(held, 29, key="c"),
        lambda: credits.release(held, key="c"),
        lambda: credits.capture(credits.hold(user, 30), 30, key="c"),
    ):
        with pytest.raises(KeyConflict):
            key_conflict()
    prove(account)


@pytest.mark.parametrize("amount", NONSENSE)
def test_only_whole_credits_above_zero_are_held_or_captured(user, account, given, amount):
    held = credits.hold(user, 30)
    before = snapshot(account)
    with pytest.raises(InvalidAmount):
        credits.hold(user, amount)
    if amount is not None:  # None is the whole
        with pytest.raises(InvalidAmount):
            credits.capture(held, amount)
    assert snapshot(account) == before


def test_no_more_is_captured_than_was_held(user, account, given):
    held = credits.hold(user, 30)
    before = snapshot(account)
    with pytest.raises(InvalidAmount, match="30 credits were held, so 31"):
        credits.capture(held, 31)
    assert snapshot(account) == before


@pytest.mark.parametrize("first", ["capture", "partial", "release"])
def test_a_hold_is_resolved_once(user, account, given, first):
    held = credits.hold(user, 30)
    credits.hold(user, 40)  # another one, so that the account alone would still allow it
    {
        "capture": lambda: credits.capture(held),
        "partial": lambda: credits.capture(held, 12),
        "release": lambda: credits.release(held),
    }[first]()
    before = snapshot(account)
    for again in (
        lambda: credits.capture(held, 7),
        lambda: credits.capture(held, 7, key="another"),
        lambda: credits.release(held, key="another"),
    ):
        with pytest.raises(AlreadyResolved):
            again()
    if first != "release":
        with pytest.raises(AlreadyResolved):
            credits.release(held)
    assert snapshot(account) == before
    prove(account)


def test_a_hold_is_resolved_once_when_it_was_the_only_one(user, account, given):
    held = credits.hold(user, 30)
    credits.release(held)
    with pytest.raises(AlreadyResolved):
        credits.capture(held)
    assert balance(account) == (100, 0, 100)


def test_only_holds_are_resolved(user, account):
    granted = credits.grant(user, 100)
    spent = credits.capture(credits.hold(user, 30))
    refunded = credits.refund(spent, 10)
    before = snapshot(account)
    for entry in (granted, spent, refunded):
        for resolve in (credits.capture, credits.release, lambda entry: credits.capture(entry, 5)):
            with pytest.raises(InvalidAmount):
                resolve(entry)
    assert snapshot(account) == before


def test_what_is_missing_is_said(user, account, given):
    credits.hold(user, 60)
    before = snapshot(account)
    with pytest.raises(InsufficientCredits) as refused:
        credits.hold(user, 45)
    assert (refused.value.needed, refused.value.available, refused.value.missing) == (45, 40, 5)
    assert "45 credits; available: 40, missing: 5" in str(refused.value)
    assert snapshot(account) == before
    assert credits.hold(user, 40).held_after == 100


def test_what_came_back_since_is_not_missing():
    assert InsufficientCredits(needed=5, available=7).missing == 0


def test_an_account_with_nothing_holds_nothing(user, account):
    with pytest.raises(InsufficientCredits) as refused:
        credits.hold(user, 1)
    assert (refused.value.available, refused.value.missing) == (0, 1)
    assert statement(account) == []


def test_a_request_key_that_the_database_would_cut_is_refused(user, account, given):
    with pytest.raises(CreditError, match="at most 64"):
        credits.hold(user, 1, request_key="x" * 65)
    assert credits.hold(user, 1, request_key="x" * 64).request_key == "x" * 64


def test_a_hold_draws_by_priority_then_expiry_then_age(user, account, clock):
    last = grant_of(credits.grant(user, 10, priority=200, expires_at=clock.later(hours=1)))
    old = grant_of(credits.grant(user, 10))
    later = grant_of(credits.grant(user, 10, expires_at=clock.later(days=9)))
    sooner = grant_of(credits.grant(user, 10, expires_at=clock.later(days=1)))
    young = grant_of(credits.grant(user, 10))
    first = grant_of(credits.grant(user, 10, priority=-5))
    order = [first, sooner, later, old, young, last]
    held = credits.hold(user, 55)
    assert drawn(held) == [(given.pk, -10) for given in order[:5]] + [(last.pk, -5)]
    assert remains(account) == [5, 0, 0, 0, 0, 0]
    prove(account)


def test_what_comes_back_goes_to_the_grants_it_came_from_the_last_drawn_first(user, account):
    second = grant_of(credits.grant(user, 10, priority=2))
    third = grant_of(credits.grant(user, 10, priority=3))
    first = grant_of(credits.grant(user, 10, priority=1))
    held = credits.hold(user, 25)
    assert drawn(held) == [(first.pk, -10), (second.pk, -10), (third.pk, -5)]
    spent = credits.capture(held, 13)
    assert drawn(spent) == [(third.pk, 5), (second.pk, 7)]
    assert remains(account) == [7, 10, 0]
    prove(account)


def test_what_returns_to_an_expired_grant_expires_visibly_in_the_same_transaction(user, account, clock):
    dying = grant_of(credits.grant(user, 10, expires_at=clock.later(hours=1)))
    dying_too = grant_of(credits.grant(user, 10, expires_at=clock.later(hours=2)))
    living = grant_of(credits.grant(user, 10))
    held = credits.hold(user, 25, request_key="r-1")
    clock.move(days=1)
    back = credits.release(held)
    assert statement(account)[4:] == [
        ("release", 0, -25, 30, 0),
        ("expire", -10, 0, 20, 0),
        ("expire", -10, 0, 10, 0),
    ]
    assert drawn(back) == [(living.pk, 5), (dying_too.pk, 10), (dying.pk, 10)]
    last_two = list(account.entries.order_by("pk"))[5:]
    assert [drawn(entry) for entry in last_two] == [[(dying.pk, -10)], [(dying_too.pk, -10)]]
    assert {entry.request_key for entry in last_two} == {"r-1"}
    assert remains(account) == [0, 0, 10]
    assert balance(account) == (10, 0, 10)
    prove(account)


def test_the_rest_of_a_partial_capture_expires_too(user, account, clock):
    credits.grant(user, 10, expires_at=clock.later(hours=1))
    held = credits.hold(user, 10)
    clock.move(hours=2)
    spent = credits.capture(held, 4)
    assert statement(account)[2:] == [("capture", -4, -10, 6, 0), ("expire", -6, 0, 0, 0)]
    assert spent.posted_after == 6
    assert balance(account) == (0, 0, 0)
    prove(account)


def test_the_part_that_expires_can_be_repeated_with_the_longest_key(user, account, clock):
    credits.grant(user, 10, expires_at=clock.later(hours=1))
    held = credits.hold(user, 10)
    clock.move(hours=2)
    assert credits.release(held, key="k" * 200) == credits.release(held, key="k" * 200)
    assert balance(account) == (0, 0, 0)


def test_a_swept_grant_takes_back_nothing_it_could_keep(user, account, clock):
    given = grant_of(credits.grant(user, 10, expires_at=clock.later(hours=1)))
    held = credits.hold(user, 4)
    clock.move(hours=2)
    assert credits.expire(given).posted_delta == -6
    assert balance(account) == (4, 4, 0)
    credits.release(held)
    assert balance(account) == (0, 0, 0)
    prove(account)


def test_the_number_of_queries_is_constant(user, account, django_assert_num_queries):
    for _grant in range(30):
        credits.grant(user, 1)
    with django_assert_num_queries(9):  # two of them a savepoint: outside a transaction it is BEGIN and COMMIT
        credits.hold(user, 30)
