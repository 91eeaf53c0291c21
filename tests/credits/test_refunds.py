"""What was captured can come back, but never more than that."""

import pytest

from grokvideo_django import credits
from grokvideo_django.exceptions import InvalidAmount, KeyConflict, RefundExceedsCapture

from .books import balance, drawn, grant_of, prove, remains, snapshot, statement
from .test_grants import NONSENSE

pytestmark = pytest.mark.django_db


def spend(user, amount, **values):
    return credits.capture(credits.hold(user, amount, **values))


def test_a_refund_returns_to_the_grant_that_paid(user, account):
    given = grant_of(credits.grant(user, 100))
    spent = spend(user, 30, request_key="r-1")
    back = credits.refund(spent, reason="The video was black", actor="boss")
    assert statement(account)[3:] == [("refund", 30, 0, 100, 0)]
    assert (back.refunds, back.request_key, back.reason, back.actor) == (spent, "r-1", "The video was black", "boss")
    assert drawn(back) == [(given.pk, 30)]
    assert balance(account) == (100, 0, 100)
    prove(account)


def test_refunds_in_parts_return_to_the_last_drawn_first(user, account):
    second = grant_of(credits.grant(user, 10, priority=2))
    third = grant_of(credits.grant(user, 10, priority=3))
    first = grant_of(credits.grant(user, 10, priority=1))
    held = credits.hold(user, 28)
    spent = credits.capture(held, 24)  # 10 of the first, 10 of the second, 4 of the third
    assert drawn(credits.refund(spent, 6)) == [(third.pk, 4), (second.pk, 2)]
    assert drawn(credits.refund(spent, 9)) == [(second.pk, 8), (first.pk, 1)]
    assert drawn(credits.refund(spent, 9)) == [(first.pk, 9)]
    assert remains(account) == [10, 10, 10]
    assert balance(account) == (30, 0, 30)
    prove(account)


def test_the_same_key_refunds_once(user, account):
    credits.grant(user, 100)
    spent = spend(user, 30)
    first = credits.refund(spent, 30, key="x")
    assert credits.refund(spent, 30, key="x") == first
    assert credits.refund(spent, key="x") == first
    assert balance(account) == (100, 0, 100)


def test_a_key_means_one_thing(user, account):
    granted = credits.grant(user, 100, key="g")
    spent, other = spend(user, 30), spend(user, 30)
    credits.refund(spent, 5, key="x")
    before = snapshot(account)
    for conflict in (
        lambda: credits.refund(spent, 6, key="x"),
        lambda: credits.refund(other, 5, key="x"),
        lambda: credits.refund(spent, 5, key=granted.key),
        lambda: credits.grant(user, 5, key="x"),
        lambda: credits.refund(spent, 26, key="x"),
    ):
        with pytest.raises(KeyConflict):
            conflict()
    assert snapshot(account) == before


@pytest.mark.parametrize("amount", [value for value in NONSENSE if value is not None])
def test_only_whole_credits_above_zero_are_refunded(user, account, amount):
    credits.grant(user, 100)
    spent = spend(user, 30)
    before = snapshot(account)
    with pytest.raises(InvalidAmount):
        credits.refund(spent, amount)
    assert snapshot(account) == before


def test_one_refund_cannot_exceed_the_capture(user, account):
    credits.grant(user, 100)
    spent = credits.capture(credits.hold(user, 50), 30)
    before = snapshot(account)
    with pytest.raises(RefundExceedsCapture, match=r"At most 30 of the 30 .* not 31"):
        credits.refund(spent, 31)
    assert snapshot(account) == before


def test_several_refunds_cannot_exceed_the_capture(user, account):
    credits.grant(user, 100)
    spent = spend(user, 30)
    credits.refund(spent, 20)
    credits.refund(spent, 9)
    before = snapshot(account)
    for amount in (2, None):
        with pytest.raises(RefundExceedsCapture, match="At most 1 of the 30 "):
            credits.refund(spent, amount)
    assert snapshot(account) == before
    credits.refund(spent, 1)
    with pytest.raises(RefundExceedsCapture):
        credits.refund(spent, 1)
    assert balance(account) == (100, 0, 100)
    prove(account)


def test_only_captures_are_refunded(user, account):
    granted = credits.grant(user, 100)
    held = credits.hold(user, 30)
    before = snapshot(account)
    for entry in (granted, held):
        with pytest.raises(InvalidAmount, match="only a capture can"):
            credits.refund(entry, 5)
    assert snapshot(account) == before
    back = credits.release(held)
    refunded = credits.refund(spend(user, 10), 5)
    voided = credits.void(grant_of(granted), reason="")
    for entry in (back, refunded, voided):
        with pytest.raises(InvalidAmount):
            credits.refund(entry, 5)
    prove(account)


def test_a_refund_to_an_expired_grant_opens_an_adjustment_grant(user, account, clock):
    dying = grant_of(credits.grant(user, 10, expires_at=clock.later(hours=1)))
    living = grant_of(credits.grant(user, 10))
    spent = spend(user, 14)
    clock.move(hours=2)
    back = credits.refund(spent, reason="The video was black", actor="boss")
    opened = account.grants.order_by("pk").last()
    assert drawn(back) == [(living.pk, 4), (opened.pk, 10)]
    assert (opened.amount, opened.remaining, opened.category, opened.expires_at) == (10, 10, "adjustment", None)
    assert (opened.reason, opened.actor) == ("The video was black", "boss")
    assert remains(account) == [0, 10, 10]
    assert balance(account) == (20, 0, 20)
    assert account.grants.get(pk=dying.pk).remaining == 0
    prove(account)


def test_a_second_refund_knows_what_went_to_the_adjustment_grant(user, account, clock):
    credits.grant(user, 10, expires_at=clock.later(hours=1))
    living = grant_of(credits.grant(user, 10))
    spent = spend(user, 14)
    clock.move(hours=2)
    assert drawn(credits.refund(spent, 3)) == [(living.pk, 3)]
    second = credits.refund(spent, 5)
    assert drawn(second)[0] == (living.pk, 1)
    assert drawn(second)[1][1] == 4
    credits.refund(spent, 6)
    assert remains(account) == [0, 10, 4, 6]
    with pytest.raises(RefundExceedsCapture):
        credits.refund(spent, 1)
    prove(account)


def test_a_refund_to_a_voided_grant_can_be_spent_again(user, account):
    given = grant_of(credits.grant(user, 10))
    spent = spend(user, 4)
    credits.void(given, reason="")
    credits.refund(spent)
    assert remains(account) == [4]
    assert balance(account) == (4, 0, 4)
    credits.hold(user, 4)
    prove(account)


def test_refunded_credits_can_be_spent_and_refunded_again(user, account):
    credits.grant(user, 10)
    first = spend(user, 10)
    credits.refund(first)
    second = spend(user, 10)
    with pytest.raises(RefundExceedsCapture):
        credits.refund(first, 1)
    credits.refund(second, 4)
    assert balance(account) == (4, 0, 4)
    prove(account)
