"""Random verbs in random order, each of them cut off at a random statement now and then.

A few hundred steps by default; ``GROKVIDEO_TEST_EXAMPLES=500`` makes some ten thousand.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from django.db.models import Q, Sum
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from grokvideo_django import credits
from grokvideo_django.exceptions import AlreadyResolved, InsufficientCredits, InvalidAmount, RefundExceedsCapture
from grokvideo_django.models import CreditAccount, CreditEntry, CreditGrant

from .books import Interrupted, balance, grant_of, interrupted_at, prove, snapshot
from .conftest import Clock

EXAMPLES = int(os.environ.get("GROKVIDEO_TEST_EXAMPLES", "20"))

AMOUNTS = st.integers(1, 60)
CUTS = st.none() | st.integers(1, 14)
HOURS = st.none() | st.integers(1, 20)


class Ledger(RuleBasedStateMachine):
    """One account, and whatever may happen to it."""

    grants: Bundle[CreditGrant] = Bundle("grants")
    holds: Bundle[CreditEntry] = Bundle("holds")
    resolved: Bundle[CreditEntry] = Bundle("resolved")
    captures: Bundle[CreditEntry] = Bundle("captures")

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.patch = mock.patch.object(timezone, "now", self.clock)
        self.patch.start()
        count = CreditAccount.objects.count()
        self.account = CreditAccount.objects.create(user_key=f"machine-{count}", user_name="machine")

    def teardown(self) -> None:
        self.patch.stop()

    def attempt(self, work: Callable[[], Any], cut: int | None) -> Any:
        """Run a verb; if it is cut off or refused, nothing has changed."""
        before = snapshot(self.account)
        whole = False
        try:
            with interrupted_at(cut):
                result = work()
                whole = True
                return result
        except Interrupted:
            return None
        finally:
            assert whole or snapshot(self.account) == before

    def spendable(self) -> int:
        usable = Q(expires_at__isnull=True) | Q(expires_at__gt=self.clock())
        sums = CreditGrant.objects.filter(usable, account=self.account).aggregate(sum=Sum("remaining"))
        return sums["sum"] or 0

    @rule(target=grants, amount=AMOUNTS, hours=HOURS, priority=st.sampled_from([50, 100]), cut=CUTS)
    def grant(self, amount, hours, priority, cut):
        expires_at = None if hours is None else self.clock.later(hours=hours)
        entry = self.attempt(lambda: credits.grant(self.account, amount, expires_at=expires_at, priority=priority), cut)
        return multiple() if entry is None else grant_of(entry)

    @rule(target=holds, amount=AMOUNTS, cut=CUTS)
    def hold(self, amount, cut):
        spendable = self.spendable()
        refused = None
        try:
            held = self.attempt(lambda: credits.hold(self.account, amount), cut)
        except InsufficientCredits as error:
            held, refused = None, error
        if refused is not None:
            assert (refused.available, refused.missing) == (spendable, amount - spendable)
        if held is None:
            return multiple()
        assert amount <= spendable
        return held

    @rule(target=captures, held=consumes(holds), share=st.floats(0, 1), cut=CUTS)
    def capture(self, held, share, cut):
        amount = max(1, round(held.held_delta * share))
        spent = self.attempt(lambda: credits.capture(held, amount), cut)
        return multiple() if spent is None else spent

    @rule(target=resolved, held=consumes(holds), cut=CUTS)
    def release(self, held, cut):
        return multiple() if self.attempt(lambda: credits.release(held), cut) is None else held

    @rule(held=resolved)
    def resolve_again(self, held):
        with pytest.raises(AlreadyResolved):
            self.attempt(lambda: credits.capture(held), None)

    @rule(spent=captures, amount=AMOUNTS, cut=CUTS)
    def refund(self, spent, amount, cut):
        refunded = spent.refunded_by.aggregate(sum=Sum("posted_delta"))["sum"] or 0
        try:
            entry = self.attempt(lambda: credits.refund(spent, amount), cut)
        except RefundExceedsCapture:
            assert refunded + amount > -spent.posted_delta
        else:
            assert entry is None or refunded + amount <= -spent.posted_delta

    @rule(given=grants, cut=CUTS)
    def void(self, given, cut):
        self.attempt(lambda: credits.void(given, reason="random"), cut)
        if cut is None:
            assert CreditGrant.objects.get(pk=given.pk).remaining == 0

    @rule(given=grants, cut=CUTS)
    def expire(self, given, cut):
        entry = self.attempt(lambda: credits.expire(given), cut)
        assert entry is None or given.expires_at <= self.clock()

    @rule(hours=st.integers(1, 12))
    def let_time_pass(self, hours):
        self.clock.move(hours=hours)

    @rule(back=st.integers(1, 3))
    def sweep(self, back):
        credits.expire_due(self.clock() - timedelta(hours=back))

    @rule(amount=st.sampled_from([0, -3, True, 2.0, "7"]))
    def nonsense(self, amount):
        for verb in (credits.grant, credits.hold):
            with pytest.raises(InvalidAmount):
                self.attempt(lambda verb=verb: verb(self.account, amount), None)

    @invariant()
    def the_books_are_right(self):
        prove(self.account)
        assert balance(self.account)[2] == self.spendable()


@pytest.mark.django_db(transaction=True)
def test_the_books_are_right_whatever_happens():
    run_state_machine_as_test(
        Ledger,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
        ),
    )


@pytest.mark.django_db(transaction=True)
def test_a_release_that_is_cut_off_anywhere_can_be_repeated(user, account, clock):
    """The longest of all transactions: it returns to a live grant and to an expired one."""
    credits.grant(user, 1000)
    for statement in range(1, 16):
        credits.grant(user, 10, priority=1, expires_at=clock.later(hours=1))
        held = credits.hold(user, 15)
        clock.move(hours=2)
        before, cut_off = snapshot(account), False
        try:
            with interrupted_at(statement):
                credits.release(held)
        except Interrupted:
            cut_off = True
        assert (snapshot(account) == before) is cut_off
        assert cut_off or statement > 9
        credits.release(held)
        assert balance(account) == (1000, 0, 1000)
        prove(account)
    assert not cut_off
