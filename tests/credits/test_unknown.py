"""Entries that somebody has in hand, and the ledger has not: their transaction was rolled back.

Some databases then give their primary key to the next entry.
"""

import copy

import pytest
from django.contrib.auth import get_user_model
from django.db import transaction

from grokvideo_django import credits
from grokvideo_django.exceptions import UnknownEntry

from .books import balance, grant_of, prove, snapshot

pytestmark = pytest.mark.django_db


def rolled_back(work):
    """What a verb returned, before its caller's transaction failed."""
    with transaction.atomic():
        made = work()
        transaction.set_rollback(True)
    return made


@pytest.fixture
def rich(user, account):
    credits.grant(user, 100)
    return account


@pytest.mark.parametrize("verb", [credits.capture, credits.release])
def test_a_hold_that_was_rolled_back_cannot_be_resolved(verb, user, rich):
    gone = rolled_back(lambda: credits.hold(user, 20))
    before = snapshot(rich)
    with pytest.raises(UnknownEntry):
        verb(gone)
    assert snapshot(rich) == before
    credits.hold(user, 50, key="of another")
    before = snapshot(rich)
    with pytest.raises(UnknownEntry):
        verb(gone)
    assert snapshot(rich) == before
    prove(rich)


@pytest.mark.parametrize("verb", [credits.capture, credits.release])
def test_what_became_of_another_hold_is_no_answer(verb, user, rich):
    """Its primary key may be the same, and so the resolution's own key."""
    gone = rolled_back(lambda: credits.hold(user, 20))
    real = credits.hold(user, 20)
    gone.pk = real.pk
    verb(real)
    with pytest.raises(UnknownEntry):
        verb(gone)
    prove(rich)


@pytest.mark.parametrize("changed", [{"held_delta": 60}, {"held_delta": 10}, {"key": "x"}])
def test_a_changed_hold_is_not_believed(changed, user, rich):
    held = copy.copy(credits.hold(user, 20))
    vars(held).update(changed)
    before = snapshot(rich)
    with pytest.raises(UnknownEntry):
        credits.capture(held, 5)
    assert snapshot(rich) == before


def test_a_hold_of_another_account_is_not_resolved_on_this_one(user, rich):
    other = get_user_model().objects.create_user("other")
    credits.grant(other, 100)
    credits.hold(other, 20)
    held = credits.hold(user, 20)
    held.account_id = credits.hold(other, 1).account_id
    with pytest.raises(UnknownEntry):
        credits.release(held)
    prove(rich)


def test_a_capture_that_was_rolled_back_cannot_be_refunded(user, rich):
    held = credits.hold(user, 50)
    gone = rolled_back(lambda: credits.capture(held))
    for key in (None, "again", "again"):
        with pytest.raises(UnknownEntry):
            credits.refund(gone, key=key)
    assert balance(rich) == (100, 50, 50)
    prove(rich)


def test_a_capture_that_was_never_there_is_no_second_answer(user, rich):
    real = credits.capture(credits.hold(user, 50))
    credits.refund(real, 20, key="r")
    changed = copy.copy(real)
    changed.key = "x"
    with pytest.raises(UnknownEntry):
        credits.refund(changed, 20, key="r")
    prove(rich)


def test_a_grant_that_was_rolled_back_takes_nothing_from_another(user, rich):
    gone = rolled_back(lambda: grant_of(credits.grant(user, 5)))
    other = get_user_model().objects.create_user("other")
    theirs = grant_of(credits.grant(other, 70))
    assert credits.void(gone, reason="oops") is None
    gone.pk = theirs.pk
    assert credits.void(gone, reason="oops") is None
    theirs.refresh_from_db()
    assert theirs.remaining == 70
    prove(rich)
