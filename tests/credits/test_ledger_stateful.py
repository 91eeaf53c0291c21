"""Random verbs in random order, each of them cut off at a random statement now and then.

Two people, four budgets, a clock that moves over the borders of their periods. Some hundred steps by default;
``GROKVIDEO_TEST_EXAMPLES=250`` makes more than five thousand.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
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
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from grokvideo_django import credits
from grokvideo_django.exceptions import (
    AlreadyResolved,
    BudgetExceeded,
    InsufficientCredits,
    InvalidAmount,
    KeyConflict,
    RefundExceedsCapture,
)
from grokvideo_django.models import Budget, BudgetUse, CreditAccount, CreditEntry, CreditGrant

from .books import Interrupted, balance, grant_of, interrupted_at, prove, snapshot
from .expected import BORDERS, Clock, Expected, Scene, Warnings, counted

EXAMPLES = int(os.environ.get("GROKVIDEO_TEST_EXAMPLES", "8"))
STEPS = 25
"""Of an example, at most."""

AMOUNTS = st.integers(1, 60)
CUTS = st.none() | st.integers(1, 20)
HOURS = st.none() | st.integers(1, 60)
WHOSE = st.sampled_from([0, 1])

steps: Counter[str] = Counter()


@dataclass(frozen=True)
class Done:
    """A verb that was carried out with a key, to be carried out again."""

    work: Callable[[], CreditEntry | None]
    entry: CreditEntry


class Ledger(RuleBasedStateMachine):
    """Two accounts, and whatever may happen to them."""

    grants: Bundle[Done] = Bundle("grants")
    holds: Bundle[Done] = Bundle("holds")
    released: Bundle[Done] = Bundle("released")
    captures: Bundle[Done] = Bundle("captures")
    others: Bundle[Done] = Bundle("others")
    done = st.one_of(grants, holds, released, captures, others)

    def __init__(self) -> None:
        super().__init__()
        self.scene = Scene()
        self.expected = Expected()
        self.warnings = Warnings()
        logging.getLogger("grokvideo_django").addHandler(self.warnings)
        self.patch: Any = None
        self.keys = 0

    @initialize(target=captures, start=st.sampled_from(BORDERS))
    def begin(self, start):
        self.clock = Clock(start)
        self.patch = mock.patch.object(timezone, "now", self.clock)
        self.patch.start()
        for account in self.scene.accounts:
            credits.grant(account, 400)
        return multiple(*(self.spend(who=who, amount=10 + 10 * who) for who in (0, 1)))  # there is something to refund

    def teardown(self) -> None:
        logging.getLogger("grokvideo_django").removeHandler(self.warnings)
        if self.patch is not None:
            self.patch.stop()

    # What the rules stand on

    def everything(self) -> tuple[Any, ...]:
        uses = list(BudgetUse.objects.order_by("pk").values_list())
        return [snapshot(account) for account in self.scene.accounts], uses, counted()

    def attempt(self, work: Callable[[], Any], cut: int | None) -> Any:
        """Run a verb; if it is cut off or refused, nothing has changed."""
        before = self.everything()
        whole = False
        try:
            with interrupted_at(cut):
                result = work()
                whole = True
                return result
        except Interrupted:
            return None
        finally:
            assert whole or self.everything() == before

    def with_key(self, verb: Callable[..., CreditEntry | None], *args: Any, **values: Any) -> Callable[[], Any]:
        self.keys += 1
        key = f"key {self.keys}"
        return lambda: verb(*args, key=key, **values)

    def carry_out(self, work: Callable[[], Any], cut: int | None) -> Any:
        """Attempt it; what can be repeated, or nothing for a bundle."""
        entry = self.attempt(work, cut)
        return multiple() if entry is None else Done(work, entry)

    def spendable(self, account: CreditAccount) -> int:
        usable = Q(expires_at__isnull=True) | Q(expires_at__gt=self.clock())
        sums = CreditGrant.objects.filter(usable, account=account).aggregate(sum=Sum("remaining"))
        return sums["sum"] or 0

    def spend(self, who: int, amount: int) -> Any:
        """A hold and its capture, whatever the budgets say."""
        account = self.scene.accounts[who]
        if self.spendable(account) < amount:
            credits.grant(account, amount)
        held = credits.hold(account, amount, exceed=True)
        self.expected.hold(held, self.scene.budgets_of(account), self.clock(), is_told=True)
        return self.carry_out(self.with_key(credits.capture, held), None)

    # The verbs

    @rule(target=captures, who=WHOSE, amount=st.integers(10, 30))
    def spend_at_once(self, who, amount):
        return self.spend(who, amount)

    @rule(target=grants, who=WHOSE, amount=AMOUNTS, hours=HOURS, priority=st.sampled_from([50, 100]), cut=CUTS)
    def grant(self, who, amount, hours, priority, cut):
        expires_at = None if hours is None else self.clock() + timedelta(hours=hours)
        account = self.scene.accounts[who]
        work = self.with_key(credits.grant, account, amount, expires_at=expires_at, priority=priority)
        return self.carry_out(work, cut)

    @rule(target=holds, who=WHOSE, amount=AMOUNTS, exceed=st.sampled_from([False, False, True]), cut=CUTS)
    def hold(self, who, amount, exceed, cut):
        account = self.scene.accounts[who]
        spendable, budgets = self.spendable(account), self.scene.budgets_of(account)
        over = not exceed and self.expected.refuses(budgets, amount, self.clock())
        done, refused = multiple(), None
        try:
            done = self.carry_out(self.with_key(credits.hold, account, amount, exceed=exceed), cut)
        except (InsufficientCredits, BudgetExceeded) as error:
            refused = error
        if isinstance(refused, InsufficientCredits):
            assert (refused.available, refused.missing) == (spendable, amount - spendable)
            assert amount > spendable
        elif refused is not None:
            assert over
            assert refused.budget in budgets
        elif isinstance(done, Done):
            assert amount <= spendable
            assert not over
            self.expected.hold(done.entry, budgets, self.clock(), is_told=cut is None)
        return done

    @rule(target=captures, held=consumes(holds), share=st.floats(0, 1), cut=CUTS)
    def capture(self, held, share, cut):
        amount = max(1, round(held.entry.held_delta * share))
        done = self.carry_out(self.with_key(credits.capture, held.entry, amount), cut)
        if isinstance(done, Done):
            self.expected.give_back(held.entry, held.entry.held_delta - amount)
        return done

    @rule(target=released, held=consumes(holds), cut=CUTS)
    def release(self, held, cut):
        done = self.carry_out(self.with_key(credits.release, held.entry), cut)
        if isinstance(done, Done):
            self.expected.give_back(held.entry, held.entry.held_delta)
        return done

    @rule(done=st.one_of(captures, released))
    def resolve_again(self, done):
        with pytest.raises(AlreadyResolved):
            self.attempt(lambda: credits.release(done.entry.resolves, key="another"), None)

    @rule(target=others, spent=captures, share=st.floats(0, 1.2), cut=CUTS)
    def refund(self, spent, share, cut):
        whole = -spent.entry.posted_delta
        amount = max(1, round(whole * share))
        refunded = spent.entry.refunded_by.aggregate(sum=Sum("posted_delta"))["sum"] or 0
        try:
            done = self.carry_out(self.with_key(credits.refund, spent.entry, amount), cut)
        except RefundExceedsCapture:
            assert refunded + amount > whole
            return multiple()
        if isinstance(done, Done):
            assert refunded + amount <= whole
            self.expected.give_back(spent.entry.resolves, amount)
        return done

    @rule(target=others, given=grants, cut=CUTS)
    def void(self, given, cut):
        grant = grant_of(given.entry)
        done = self.carry_out(self.with_key(credits.void, grant, reason="random"), cut)
        if cut is None:
            assert CreditGrant.objects.get(pk=grant.pk).remaining == 0
        return done

    @rule(target=others, given=grants, cut=CUTS)
    def expire(self, given, cut):
        grant = grant_of(given.entry)
        done = self.carry_out(self.with_key(credits.expire, grant), cut)
        assert not isinstance(done, Done) or grant.expires_at <= self.clock()
        return done

    # What must change nothing

    @rule(done=done, cut=CUTS)
    def repeat(self, done, cut):
        before = self.everything()
        try:
            with interrupted_at(cut):
                assert done.work() == done.entry
        except Interrupted:
            pass
        assert self.everything() == before

    @rule(done=done, verb=st.sampled_from([credits.grant, credits.hold]), who=WHOSE)
    def take_its_key_for_something_else(self, done, verb, who):
        with pytest.raises(KeyConflict):
            self.attempt(lambda: verb(self.scene.accounts[who], 987_654, key=done.entry.key), None)

    @rule(who=WHOSE, amount=st.sampled_from([0, -3, True, 2.0, "7"]))
    def nonsense(self, who, amount):
        for verb in (credits.grant, credits.hold):
            with pytest.raises(InvalidAmount):
                self.attempt(lambda verb=verb: verb(self.scene.accounts[who], amount), None)

    # What happens around it

    @rule(hours=st.integers(1, 40))
    def let_time_pass(self, hours):
        self.clock.move(hours)

    @rule(back=st.integers(1, 3))
    def sweep(self, back):
        credits.expire_due(self.clock() - timedelta(hours=back))

    @rule(
        number=st.integers(0, 3), limit=st.none() | st.integers(0, 200), is_active=st.sampled_from([True, True, False])
    )
    def change_a_budget(self, number, limit, is_active):
        budget = self.scene.budgets[number]
        budget.limit_credits, budget.is_active = limit, is_active
        Budget.objects.filter(pk=budget.pk).update(limit_credits=limit, is_active=is_active)

    @invariant()
    def the_books_are_right(self):
        steps["in all"] += 1
        if self.patch is None:
            return
        self.scene.prove()
        self.expected.prove(self.warnings)
        for account in self.scene.accounts:
            assert balance(account)[2] == self.spendable(account)


@pytest.mark.django_db(transaction=True)
def test_the_books_are_right_whatever_happens(berlin):
    steps.clear()
    run_state_machine_as_test(
        Ledger,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
        ),
    )
    print(f"\n{steps['in all']} steps")


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
