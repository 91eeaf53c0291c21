"""Many at once, in threads and in processes, on the database as Django sets it up."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import connections

from grokvideo_django import credits, services
from grokvideo_django.exceptions import GrokVideoError
from grokvideo_django.models import Budget, BudgetUse, CreditAccount, CreditEntry, VideoRequest
from tests.conftest import make_draft

from .books import balance, prove

pytestmark = pytest.mark.django_db(transaction=True)

WORKERS = 8
STARTS = int(os.environ.get("GROKVIDEO_TEST_STARTS", "20"))
"""Requests that each of eight processes starts at once; 100 takes a minute."""


def in_threads(work: Callable[[], object], *, times: int = 1) -> Counter[str]:
    """Do it in 8 threads that begin together; how each time ended."""
    outcomes: Counter[str] = Counter()
    barrier = threading.Barrier(WORKERS)

    def loop() -> None:
        try:
            barrier.wait()
            for _time in range(times):
                outcomes[attempt(work)] += 1
        finally:
            connections.close_all()

    threads = [threading.Thread(target=loop) for _worker in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def attempt(work: Callable[[], object]) -> str:
    try:
        work()
    except GrokVideoError as error:
        return type(error).__name__
    except Exception as error:  # what must not happen: shown by the assertion
        return f"{type(error).__name__}: {error}"
    return "done"


class Crew:
    """8 processes that wait for orders."""

    def __init__(self) -> None:
        environment = {**os.environ, "GROKVIDEO_TEST_WORKER": "1", "DJANGO_SETTINGS_MODULE": "tests.settings"}
        self.workers = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.credits.worker"],
                cwd=Path(__file__).parents[2],
                env=environment,
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            for _worker in range(WORKERS)
        ]
        assert {worker.stdout.readline() for worker in self.workers} == {"ready\n"}

    def __call__(self, verb: str, pk: int, amount: int, *, times: int = 0, together: int = 0) -> Counter[str]:
        """Do it in all of them at once, each so many times, or so many times together; how each time ended."""
        for number, worker in enumerate(self.workers):
            share = times or len(range(number, together, WORKERS))
            worker.stdin.write(f"{verb} {pk} {amount} {share}\n")
            worker.stdin.flush()
        outcomes: Counter[str] = Counter()
        for worker in self.workers:
            outcomes.update(json.loads(worker.stdout.readline()))
        return outcomes

    def dismiss(self) -> None:
        for worker in self.workers:
            worker.communicate()


@pytest.fixture(scope="module")
def in_processes(django_db_setup: None) -> Iterator[Crew]:
    crew = Crew()
    yield crew
    crew.dismiss()


@pytest.fixture
def hundred(user, account):
    """Enough for 25 holds of 4, in several grants."""
    for amount in (40, 1, 59):
        credits.grant(user, amount)
    return account


def all_held(account):
    assert balance(account) == (100, 100, 0)
    assert account.entries.filter(kind="hold").count() == 25
    prove(account)


def test_threads_hold_no_more_than_there_is(user, hundred):
    assert in_threads(lambda: credits.hold(user, 4), times=5) == {"done": 25, "InsufficientCredits": 15}
    all_held(hundred)


def test_processes_hold_no_more_than_there_is(user, hundred, in_processes):
    assert in_processes("hold", user.pk, 4, times=5) == {"done": 25, "InsufficientCredits": 15}
    all_held(hundred)


def test_of_a_hundred_holds_by_eight_processes_a_balance_for_25_accepts_25(user, hundred, in_processes):
    assert in_processes("hold", user.pk, 4, together=100) == {"done": 25, "InsufficientCredits": 75}
    all_held(hundred)


def test_of_a_hundred_holds_by_eight_processes_a_site_budget_for_25_accepts_25(user, hundred, in_processes):
    credits.grant(user, 10_000)
    budget = Budget.objects.create(name="site", limit_credits=100)
    group = Group.objects.create(name="editors")
    user.groups.add(group)
    roomy = Budget.objects.create(name="group", scope="group", group=group, limit_credits=10_000)
    assert in_processes("hold", user.pk, 4, together=100) == {"done": 25, "BudgetExceeded": 75}
    assert [each.counters.get().used for each in (budget, roomy)] == [100, 100]
    assert BudgetUse.objects.count() == 50
    assert balance(hundred) == (10_100, 100, 10_000)
    prove(hundred)


@pytest.mark.parametrize("by", ["balance", "site budget"])
def test_of_all_requests_that_eight_processes_start_what_there_is_for_25_accepts_25(by, user, account, in_processes):
    """Whole requests, with their events and budgets: nothing of a refused one remains but its draft."""
    credits.grant(user, 125 if by == "balance" else 10_000)
    budget = Budget.objects.create(name="site", limit_credits=10_000 if by == "balance" else 125)
    refused = WORKERS * STARTS - 25
    refusal = "InsufficientCredits" if by == "balance" else "BudgetExceeded"
    assert in_processes("start_new", user.pk, 1, times=STARTS) == {"done": 25, refusal: refused}
    drafts = VideoRequest.objects.filter(status="draft", quoted_credits__isnull=True, events__isnull=True)
    assert (VideoRequest.objects.filter(status="queued").count(), drafts.count()) == (25, refused)
    assert budget.counters.get().used == 125
    assert (balance(account)[1], account.entries.filter(kind="hold").count()) == (125, 25)
    prove(account)


def test_a_draft_that_eight_processes_start_at_once_is_held_for_once(user, hundred, in_processes):
    for _time in range(5):
        draft = make_draft(user)
        assert in_processes("start", draft.pk, 0, times=1) == {"done": 1, "InvalidTransition": WORKERS - 1}
        assert CreditEntry.objects.filter(kind="hold", request_key=draft.key).count() == 1
    assert balance(hundred) == (100, 25, 75)
    prove(hundred)


@pytest.mark.parametrize("scope", ["site", "group", "user"])
def test_no_more_run_at_once_than_a_budget_allows(user, hundred, scope):
    group = Group.objects.create(name="editors")
    people = [user, *(get_user_model().objects.create_user(f"user{number}") for number in range(WORKERS - 1))]
    if scope == "user":
        people = [user] * WORKERS
    group.user_set.add(*people)
    whose = {"group": {"group": group}, "user": {"user": user}}.get(scope, {})
    budget = Budget.objects.create(name="few", scope=scope, limit_credits=None, max_running=3, **whose)
    for person in people:
        credits.grant(person, 10)
    drafts = iter([make_draft(person) for person in people])
    assert in_threads(lambda: services.start(next(drafts))) == {"done": 3, "BudgetExceeded": WORKERS - 3}
    assert VideoRequest.objects.filter(status="queued").count() == 3
    assert budget.counters.get().used == 15


def test_holds_and_resolutions_at_once_keep_the_books(user, hundred):
    def spend() -> None:
        held = credits.hold(user, 4)
        credits.capture(held, 1)
        credits.release(credits.hold(user, 2))

    outcomes = in_threads(spend, times=3)
    assert set(outcomes) <= {"done", "InsufficientCredits"}
    assert balance(hundred) == (100 - hundred.entries.filter(kind="capture").count(), 0, hundred.posted)
    prove(hundred)


def test_one_hold_is_resolved_once(user, hundred):
    held = credits.hold(user, 50)
    keys = iter(range(WORKERS))
    outcomes = in_threads(lambda: credits.capture(held, 20, key=f"c{next(keys)}"))
    assert outcomes == {"done": 1, "AlreadyResolved": WORKERS - 1}
    assert balance(hundred) == (80, 0, 80)
    prove(hundred)


def test_a_draft_that_is_started_many_times_at_once_is_held_for_once(user, hundred, settings):
    draft = make_draft(user)
    outcomes = in_threads(lambda: services.start(VideoRequest.objects.get(pk=draft.pk)))
    assert outcomes == {"done": 1, "InvalidTransition": WORKERS - 1}
    assert CreditEntry.objects.filter(kind="hold", request_key=draft.key).count() == 1
    assert [event.kind for event in draft.events.all()] == ["queued"]
    assert balance(hundred) == (100, 5, 95)
    prove(hundred)


def test_starting_and_deleting_at_once_leaves_no_hold_behind(user, hundred):
    drafts = [make_draft(user) for _draft in range(10)]
    turns = itertools.count()
    outcomes = Counter()

    def start_or_delete() -> None:
        starts = next(turns) % 2
        for draft in drafts:
            if starts:
                outcomes[attempt(lambda draft=draft: services.start(draft))] += 1
            else:
                outcomes[attempt(lambda draft=draft: VideoRequest.objects.filter(pk=draft.pk).delete())] += 1

    in_threads(start_or_delete)
    assert set(outcomes) <= {"done", "InvalidTransition"}
    keys = {request.key for request in VideoRequest.objects.all()}
    assert keys == set(CreditEntry.objects.filter(kind="hold").values_list("request_key", flat=True))
    prove(hundred)


@pytest.mark.parametrize("run", ["threads", "processes"])
def test_refunds_at_once_never_exceed_the_capture(user, hundred, run, in_processes):
    spent = credits.capture(credits.hold(user, 60))
    if run == "threads":
        outcomes = in_threads(lambda: credits.refund(spent, 7), times=2)
    else:
        outcomes = in_processes("refund", spent.pk, 7, times=2)
    assert outcomes == {"done": 8, "RefundExceedsCapture": 8}
    assert balance(hundred) == (96, 0, 96)
    prove(hundred)


@pytest.mark.parametrize("run", ["threads", "processes"])
def test_the_same_key_at_once_grants_once(user, account, run, in_processes):
    if run == "threads":
        outcomes = in_threads(lambda: credits.grant(user, 9, key="the same for all"), times=2)
    else:
        outcomes = in_processes("grant", user.pk, 9, times=2)
    assert outcomes == {"done": 16}
    assert balance(account) == (9, 0, 9)
    prove(account)


@pytest.mark.parametrize("run", ["threads", "processes"])
def test_an_account_that_many_ask_for_at_once_is_opened_once(run, in_processes):
    users = [get_user_model().objects.create_user(f"user{number}") for number in range(3)]
    for user in users:
        if run == "threads":
            outcomes = in_threads(lambda user=user: CreditAccount.objects.for_user(user))
        else:
            outcomes = in_processes("open_account", user.pk, 0, times=1)
        assert outcomes == {"done": WORKERS}
        assert CreditAccount.objects.filter(user=user).count() == 1


def test_expiry_and_holds_at_once_keep_the_books(user, account, clock):
    for _grant in range(5):
        credits.grant(user, 10, expires_at=clock.later(hours=1))
    credits.grant(user, 40)
    clock.move(hours=2)

    def sweep_and_spend() -> None:
        credits.expire_due(clock())
        credits.hold(user, 5)

    assert in_threads(sweep_and_spend) == {"done": 8}
    assert balance(account) == (40, 40, 0)
    assert account.entries.filter(kind="expire").count() == 5
    prove(account)
