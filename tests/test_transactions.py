"""Deadlocks are survived, committed work is never repeated."""

from datetime import timedelta

import pytest
from django.db import DataError, IntegrityError, OperationalError, connection, transaction
from django.utils import timezone

from grokvideo_django import transactions
from grokvideo_django.models import Budget, BudgetCounter
from tests.site.models import Page


class PsycopgError(Exception):
    sqlstate = "40P01"


class Psycopg2Error(Exception):
    pgcode = "40001"


def error(cause: Exception | None, message: str = "refused") -> OperationalError:
    raised = OperationalError(message)
    raised.__cause__ = cause
    return raised


@pytest.mark.parametrize(
    ("raised", "transient"),
    [
        (error(PsycopgError()), True),
        (error(Psycopg2Error()), True),
        (error(Exception(1213, "Deadlock found")), True),
        (error(Exception(1205, "Lock wait timeout exceeded")), True),
        (error(Exception(1020, "Record has changed since last read")), True),
        (error(Exception("database is locked"), "database is locked"), True),
        (error(None, "database table is locked: grokvideo_creditentry"), True),
        (error(Exception(2006, "Server has gone away")), False),
        (error(Exception()), False),
        (error(None), False),
        (IntegrityError("UNIQUE constraint failed: grokvideo_creditentry.key"), False),
        (DataError("out of range"), False),
    ],
    ids=repr,
)
def test_only_what_the_database_asks_to_repeat_is_transient(raised, transient):
    assert transactions.is_transient(raised) is transient


class Work:
    """Inserts a row each time, and raises so many times after it."""

    def __init__(self, *raised: Exception) -> None:
        self.raised = list(raised)
        self.runs = 0

    def __call__(self) -> str:
        self.runs += 1
        Page.objects.create()
        if self.raised:
            raise self.raised.pop(0)
        return "done"


@pytest.fixture
def no_sleep(monkeypatch):
    naps: list[float] = []
    monkeypatch.setattr(transactions.time, "sleep", naps.append)
    return naps


def deadlock() -> OperationalError:
    return error(Exception(1213, "Deadlock found"))


@pytest.mark.django_db(transaction=True)
class TestAtTheTop:
    def test_a_deadlock_runs_the_whole_of_it_again(self, no_sleep):
        work = Work(*(deadlock() for _try in range(4)))
        assert transactions.run(work) == "done"
        assert (work.runs, Page.objects.count()) == (5, 1)
        assert len(no_sleep) == 4
        assert all(0 < nap < 0.5 for nap in no_sleep)
        assert no_sleep[3] > no_sleep[0]  # the victims spread, the more often the further

    def test_five_times_at_most(self, no_sleep):
        work = Work(*(deadlock() for _try in range(5)))
        with pytest.raises(OperationalError):
            transactions.run(work)
        assert (work.runs, Page.objects.count(), len(no_sleep)) == (5, 0, 4)

    @pytest.mark.parametrize("raised", [error(None), IntegrityError("no"), ValueError("no")], ids=repr)
    def test_anything_else_is_raised_at_once(self, no_sleep, raised):
        work = Work(raised)
        with pytest.raises(type(raised)):
            transactions.run(work)
        assert (work.runs, Page.objects.count(), no_sleep) == (1, 0, [])

    def test_a_row_whose_parent_was_just_deleted_is_written_by_the_next_try(self, no_sleep):
        parents = [1_000_000, Budget.objects.create(name="there", limit_credits=1).pk]

        def work():
            Page.objects.create()
            return BudgetCounter.objects.create(budget_id=parents.pop(0), period_start=timezone.now())

        counter = transactions.run(work)
        assert counter.budget.name == "there"
        assert (Page.objects.count(), len(no_sleep)) == (1, 1)

    def test_a_parent_that_never_was_is_an_error(self, no_sleep):
        with pytest.raises(IntegrityError):
            transactions.run(lambda: BudgetCounter.objects.create(budget_id=1_000_000, period_start=timezone.now()))
        assert len(no_sleep) == 4

    def test_work_that_was_committed_is_not_run_again(self, no_sleep):
        work = Work()

        def with_a_callback_that_meets_a_deadlock():
            def callback():
                raise deadlock()

            transaction.on_commit(callback)
            return work()

        with pytest.raises(OperationalError):
            transactions.run(with_a_callback_that_meets_a_deadlock)
        assert (work.runs, Page.objects.count()) == (1, 1)

    def test_what_is_rung_on_commit_is_rung_once(self, no_sleep):
        rung: list[str] = []
        work = Work(deadlock())

        def ringing():
            transaction.on_commit(lambda: rung.append("bell"))
            return work()

        transactions.run(ringing)
        assert rung == ["bell"]


@pytest.mark.django_db
class TestInsideATransactionOfTheCaller:
    def test_it_runs_once_in_a_savepoint(self, no_sleep):
        work = Work(deadlock())
        Page.objects.create()
        with pytest.raises(OperationalError):
            transactions.run(work)
        assert (work.runs, no_sleep) == (1, [])
        assert not connection.needs_rollback
        assert Page.objects.count() == 1

    def test_what_it_does_stays_with_the_callers(self):
        assert transactions.run(Work()) == "done"
        assert Page.objects.count() == 1


def test_the_databases_clock_tells_the_time(db):
    """In UTC, whatever the server's own time zone is."""
    if connection.vendor == "mysql":
        with connection.cursor() as cursor:
            cursor.execute("SET time_zone = '+05:00'")
    try:
        assert abs(transactions.database_now() - timezone.now()) < timedelta(seconds=5)
    finally:
        if connection.vendor == "mysql":
            with connection.cursor() as cursor:
                cursor.execute("SET time_zone = DEFAULT")
