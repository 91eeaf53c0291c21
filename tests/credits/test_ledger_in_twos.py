"""Two random verbs at the same moment, on two connections, again and again; some of them cut off in the middle.

Sixty moments by default; ``GROKVIDEO_TEST_MOMENTS=2500`` makes five thousand verbs. Who wins is up to the database;
what is proved after each moment is that nobody won twice, and that the books are right.
"""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from grokvideo_django import credits
from grokvideo_django.exceptions import GrokVideoError
from grokvideo_django.models import CreditEntry, CreditGrant

from .books import Interrupted, interrupted_at
from .expected import BORDERS, Clock, Scene

MOMENTS = int(os.environ.get("GROKVIDEO_TEST_MOMENTS", "60"))
FRESH_EVERY = 60
"""Moments, after which it begins anew, so that the proofs stay quick."""

EXPECTED = {
    "grant": set(),
    "hold": {"InsufficientCredits", "BudgetExceeded"},
    "capture": {"AlreadyResolved"},
    "release": {"AlreadyResolved"},
    "refund": {"RefundExceedsCapture"},
    "void": set(),
    "expire": set(),
    "sweep": set(),
}
"""What each verb may be answered besides."""


@dataclass(frozen=True)
class Order:
    """A verb with all that it needs."""

    verb: str
    work: Callable[[], Any]
    cut: int | None

    def carry_out(self, barrier: threading.Barrier) -> tuple[str, Any]:
        """How it ended, and its entry."""
        barrier.wait()
        try:
            with interrupted_at(self.cut):
                return "done", self.work()
        except Interrupted:
            return "Interrupted", None
        except GrokVideoError as error:
            return type(error).__name__, None
        except Exception as error:  # what must not happen: shown by the assertion
            return f"{type(error).__name__}: {error}", None


class Pair:
    """Two connections at work on one scene."""

    def __init__(self, pool: ThreadPoolExecutor, clock: Clock, chance: random.Random) -> None:
        self.pool, self.clock, self.chance = pool, clock, chance
        self.scene = Scene()
        self.entries: dict[str, list[CreditEntry]] = {verb: [] for verb in EXPECTED}
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.keys = 0
        for account in self.scene.accounts:
            self.entries["grant"].append(credits.grant(account, 400))

    def order(self) -> Order:
        possible = [verb for verb in EXPECTED if self._target(verb) is not None]
        weights = [4 if verb == "hold" else 2 if verb == "capture" else 1 for verb in possible]
        (verb,) = self.chance.choices(possible, weights)
        cut = self.chance.choice([None, None, None, self.chance.randint(1, 20)])
        self.keys += 1
        return Order(verb, self._work(verb, f"key {self.keys}"), cut)

    def _target(self, verb: str) -> Any:
        """What it is done to: one of the newest, so that both often take the same."""
        sources = {"capture": "hold", "release": "hold", "refund": "capture", "void": "grant", "expire": "grant"}
        if verb not in sources:
            return self.chance.choice(self.scene.accounts)
        newest = self.entries[sources[verb]][-3:]
        return self.chance.choice(newest) if newest else None

    def _work(self, verb: str, key: str) -> Callable[[], Any]:
        target, amount = self._target(verb), self.chance.randint(1, 60)
        match verb:
            case "grant":
                expires_at = self.clock() + timedelta(hours=self.chance.randint(1, 90))
                return lambda: credits.grant(target, amount, key=key, expires_at=expires_at)
            case "hold":
                return lambda: credits.hold(target, amount, key=key)
            case "capture":
                part = self.chance.randint(1, target.held_delta)
                return lambda: credits.capture(target, part, key=key)
            case "release":
                return lambda: credits.release(target, key=key)
            case "refund":
                return lambda: credits.refund(target, min(amount, -target.posted_delta), key=key)
            case "void":
                return lambda: credits.void(CreditGrant.objects.get(draws__entry=target), reason="random", key=key)
            case "expire":
                return lambda: credits.expire(CreditGrant.objects.get(draws__entry=target), key=key)
            case _:
                return lambda: credits.expire_due(self.clock())

    def moment(self) -> None:
        """Two orders at once; or the same one twice, which must be done once."""
        first = self.order()
        second = first if self.chance.random() < 0.25 else self.order()
        barrier = threading.Barrier(2)
        results = list(self.pool.map(lambda order: order.carry_out(barrier), (first, second)))
        for order, (outcome, entry) in zip((first, second), results, strict=True):
            self.outcomes[order.verb, outcome] += 1
            assert outcome in {"done", "Interrupted", *EXPECTED[order.verb]}
            if isinstance(entry, CreditEntry):
                self._remember(order.verb, entry)
        if first is second and first.verb != "sweep" and {outcome for outcome, _entry in results} == {"done"}:
            assert results[0][1] == results[1][1]  # the same key, the same entry
        self.prove()

    def _remember(self, verb: str, entry: CreditEntry) -> None:
        if entry not in self.entries[verb]:
            self.entries[verb].append(entry)

    def prove(self) -> None:
        self.scene.prove()
        for budget in self.scene.budgets:
            for counter in budget.counters.all():
                assert 0 <= counter.used <= (budget.limit_credits or counter.used)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Two threads, each with its connection."""
    with ThreadPoolExecutor(2) as pool:
        yield pool
        barrier = threading.Barrier(2)
        list(pool.map(lambda _number: (barrier.wait(), connections.close_all()), range(2)))


@pytest.mark.django_db(transaction=True)
def test_the_books_are_right_whatever_two_do_at_once(berlin, pool, monkeypatch):
    outcomes: Counter[tuple[str, str]] = Counter()
    for begin in range(0, MOMENTS, FRESH_EVERY):
        chance = random.Random(begin)
        clock = Clock(chance.choice(BORDERS))
        monkeypatch.setattr(timezone, "now", clock)
        pair = Pair(pool, clock, chance)
        for _moment in range(min(FRESH_EVERY, MOMENTS - begin)):
            pair.moment()
            clock.move(chance.choice([0, 0, 0, 1, 8, 30]))
        outcomes += pair.outcomes
    print(f"\n{outcomes.total()} verbs: {dict(outcomes)}")
    assert {verb for (verb, outcome) in outcomes if outcome == "done"} >= {"grant", "hold", "capture"}
    assert any(outcome == "Interrupted" for (_verb, outcome) in outcomes)
