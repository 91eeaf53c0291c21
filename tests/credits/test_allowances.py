"""Recurring grants: once a period for everybody, caught up after a downtime, with what is carried over."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from grokvideo_django import credits
from grokvideo_django.credits import allowances
from grokvideo_django.exceptions import KeyConflict
from grokvideo_django.models import Allowance, CreditAccount, CreditEntry, CreditGrant

from .books import balance, prove, remains, statement

pytestmark = pytest.mark.django_db

Period = Allowance.Period


class At:
    """A clock that stands, and a sweep that runs when it is moved."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *parts: int) -> None:
        self.now = datetime(*parts, tzinfo=UTC)
        monkeypatch.setattr(timezone, "now", lambda: self.now)

    def __call__(self, *parts: int) -> int:
        """What the tick does then: expire, issue. How many were granted."""
        self.now = datetime(*parts, tzinfo=UTC)
        credits.expire_due(self.now)
        return credits.issue_due(self.now)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> At:
    return At(monkeypatch, 2027, 1, 1)


def allow(user: User | None = None, amount: int = 500, **values: Any) -> Allowance:
    starts = datetime(2020, 1, 1, tzinfo=UTC)
    return Allowance.objects.create(
        **{"name": "monthly", "user": user, "amount": amount, "starts_at": starts, **values}
    )


def granted(user: User) -> list[int]:
    entries = CreditEntry.objects.filter(account__user=user, kind="grant").order_by("pk")
    return list(entries.values_list("posted_delta", flat=True))


def test_it_comes_once_a_period_and_expires_with_it(user, account, at):
    allow(user)
    assert [at(2027, 1, 1), at(2027, 1, 1, 2), at(2027, 1, 31, 23, 59)] == [1, 0, 0]
    given = account.grants.get()
    assert (given.amount, given.category, given.priority) == (500, "allowance", allowances.PRIORITY)
    assert (given.reason, given.expires_at) == ("monthly (2027-01-01)", datetime(2027, 2, 1, tzinfo=UTC))
    assert at(2027, 2, 1) == 1
    assert statement(account) == [
        ("grant", 500, 0, 500, 0),
        ("expire", -500, 0, 0, 0),
        ("grant", 500, 0, 500, 0),
    ]
    prove(account)


def test_half_of_what_is_left_is_carried_over(user, account, at):
    allow(user, carry_over_percent=50)
    at(2027, 1, 1)
    credits.capture(credits.hold(user, 101))
    at(2027, 2, 1)  # 399 left: 199
    credits.capture(credits.hold(user, 600))
    at(2027, 3, 1)  # 99 left: 49
    assert granted(user) == [500, 699, 549]
    assert account.grants.order_by("pk").last().reason == "monthly (2027-03-01), with 49 carried over"
    prove(account)


@pytest.mark.parametrize("swept", [True, False])
def test_after_two_months_of_downtime_the_sum_is_as_if_it_had_run(user, account, at, swept):
    allow(user, 100, carry_over_percent=50)
    at(2027, 1, 1)
    credits.capture(credits.hold(user, 40))  # 60 left
    if swept:
        at.now = datetime(2027, 2, 10, tzinfo=UTC)
        credits.expire_due(at.now)
    assert at(2027, 4, 15) == 1
    # February begins with 130, March with 165, April with 182.
    assert granted(user) == [100, 182]
    assert account.grants.order_by("pk").last().expires_at == datetime(2027, 5, 1, tzinfo=UTC)
    assert balance(account) == (182, 0, 182)
    prove(account)


def test_without_a_carry_over_a_downtime_gives_nothing_more(user, at):
    allow(user, 100)
    at(2027, 1, 1)
    at(2027, 4, 1)
    assert granted(user) == [100, 100]


def test_months_away_are_no_downtime(user, at):
    allow(user, 100, carry_over_percent=100)
    other = User.objects.create_user("other")
    allow(other, 1)
    at(2027, 1, 1)
    User.objects.filter(pk=user.pk).update(is_active=False)
    for month in (2, 3, 4):
        at(2027, month, 1)
    User.objects.filter(pk=user.pk).update(is_active=True)
    at(2027, 5, 1)
    assert granted(user) == [100, 100]


def test_an_allowance_that_was_switched_off_is_not_caught_up(user, at):
    allowance = allow(user, 100, carry_over_percent=100)
    at(2027, 1, 1)
    allowance.refresh_from_db()
    assert allowance.issued_for == date(2027, 1, 1)
    allowance.is_active = False
    allowance.save(update_fields=["is_active"])
    at(2027, 3, 1)
    assert granted(user) == [100]
    allowance.is_active = True
    allowance.save()
    at(2027, 5, 1)
    assert granted(user) == [100, 100]


def test_what_is_held_over_the_end_is_not_carried_and_what_comes_back_expires(user, account, at):
    allow(user, 100, carry_over_percent=50)
    at(2027, 1, 1)
    first, second, third = (credits.hold(user, amount) for amount in (10, 20, 30))
    at(2027, 2, 1)  # 40 left: 20
    assert granted(user) == [100, 120]
    assert balance(account) == (180, 60, 120)
    credits.release(first)  # back to what has expired
    credits.capture(second, 5)  # and 15 of this
    spent = credits.capture(third)
    assert balance(account) == (120, 0, 120)
    assert remains(account) == [0, 120]
    credits.refund(spent, 30)  # opens an adjustment
    assert remains(account) == [0, 120, 30]
    prove(account)


def test_it_does_not_matter_when_it_is_issued(user, account, at):
    allow(user, 100, carry_over_percent=50)
    at(2027, 1, 1)
    held = credits.hold(user, 10)
    at.now = datetime(2027, 2, 2, tzinfo=UTC)  # the tick is late
    credits.release(held)
    at(2027, 2, 3)
    assert granted(user) == [100, 145]
    prove(account)


def test_the_twenty_ninth_of_february(user, account, at):
    allow(user, 10, period=Period.DAY, carry_over_percent=100)
    at(2028, 2, 28, 12)
    credits.capture(credits.hold(user, 4))
    at(2028, 2, 29, 12)
    credits.capture(credits.hold(user, 9))
    at(2028, 3, 1, 12)
    assert granted(user) == [10, 16, 17]
    assert [given.expires_at.day for given in account.grants.order_by("pk")] == [29, 1, 2]
    prove(account)


def test_a_leap_years_february(user, account, at):
    allow(user, 500, carry_over_percent=50)
    at(2028, 2, 29, 23, 59)
    assert account.grants.get().expires_at == datetime(2028, 3, 1, tzinfo=UTC)
    at(2028, 3, 1)
    assert granted(user) == [500, 750]


@pytest.mark.parametrize(
    ("sunday", "ends", "monday"),
    [
        ((2027, 3, 28, 1), datetime(2027, 3, 28, 22, tzinfo=UTC), (2027, 3, 28, 22)),  # 23 hours
        ((2026, 10, 25, 0), datetime(2026, 10, 25, 23, tzinfo=UTC), (2026, 10, 25, 23)),  # 25 hours
    ],
)
def test_over_a_change_of_the_clocks(user, account, at, berlin, sunday, ends, monday):
    allow(user, 10, period=Period.DAY, carry_over_percent=50)
    assert at(*sunday) == 1
    assert account.grants.get().expires_at == ends
    credits.capture(credits.hold(user, 4))
    assert at(*(ends - timedelta(seconds=1)).timetuple()[:6]) == 0
    assert at(*monday) == 1
    assert granted(user) == [10, 13]
    assert balance(account) == (13, 0, 13)


def test_a_week_begins_on_monday(user, account, at):
    allow(user, 10, period=Period.WEEK)
    assert [at(2027, 1, 3, 23), at(2027, 1, 4)] == [1, 1]
    assert account.grants.order_by("pk").last().reason == "monthly (2027-01-04)"


def test_when_the_length_of_the_period_changes_nothing_is_carried_twice(user, at):
    allowance = allow(user, 100, carry_over_percent=100)
    at(2027, 1, 15)
    Allowance.objects.filter(pk=allowance.pk).update(period=Period.DAY, due_at=None)
    at(2027, 1, 16)  # January's is still there
    assert granted(user) == [100, 100]
    at(2027, 1, 17)
    assert granted(user) == [100, 100, 200]


def test_a_group_and_who_joins_it_within_the_hour(at):
    group = Group.objects.create(name="editors")
    people = [User.objects.create_user(f"user{number}", is_active=number != 2) for number in range(4)]
    for person in people[:3]:
        person.groups.add(group)
    allow(None, 50, group=group)
    assert at(2027, 1, 10) == 2
    people[3].groups.add(group)
    assert [at(2027, 1, 10, 0, 59), at(2027, 1, 10, 1)] == [0, 1]
    people[0].groups.remove(group)
    assert at(2027, 2, 1) == 2
    assert [granted(person) for person in people] == [[50], [50, 50], [], [50, 50]]


def test_one_begins_when_it_starts_and_none_comes_while_it_is_off(user, at):
    allow(user, 7, starts_at=datetime(2027, 1, 20, tzinfo=UTC))
    allow(user, 9, is_active=False)
    assert [at(2027, 1, 19), at(2027, 1, 20)] == [0, 1]
    assert granted(user) == [7]


def test_one_user_whose_grant_fails_does_not_keep_the_others_from_theirs(at, monkeypatch, caplog):
    group = Group.objects.create(name="editors")
    people = [User.objects.create_user(f"user{number}") for number in range(3)]
    group.user_set.add(*people)
    allow(None, 5, group=group)
    real = allowances.grant

    def grant(user: User, *args: Any, **values: Any) -> CreditEntry:
        if user == people[0]:
            raise IntegrityError("no")
        return real(user, *args, **values)

    monkeypatch.setattr(allowances, "grant", grant)
    assert at(2027, 1, 1) == 2
    assert "The allowance monthly could not be issued to user0." in caplog.text
    monkeypatch.setattr(allowances, "grant", real)
    assert [at(2027, 1, 1, 0, 59), at(2027, 1, 1, 1)] == [0, 1]


def test_another_worker_was_faster(user, at, monkeypatch):
    allow(user, 5)

    def grant(*args: Any, **values: Any) -> CreditEntry:
        raise KeyConflict

    monkeypatch.setattr(allowances, "grant", grant)
    assert at(2027, 1, 1) == 0


def test_one_allowance_that_fails_does_not_stop_the_next(user, at, monkeypatch, caplog):
    broken, _right = allow(user, 5), allow(user, 6)
    real = allowances._users
    monkeypatch.setattr(allowances, "_users", lambda each: 1 / 0 if each == broken else real(each))
    assert at(2027, 1, 1) == 1
    assert "The allowance monthly could not be issued." in caplog.text
    assert granted(user) == [6]
    broken.refresh_from_db()
    assert broken.due_at == datetime(2027, 1, 1, 1, tzinfo=UTC)
    assert broken.issued_for is None


@pytest.mark.parametrize("carried", [0, 50])
def test_a_user_more_costs_a_few_queries_more(at, carried):
    group = Group.objects.create(name="editors")
    allow(None, 5, group=group, carry_over_percent=carried)

    def queries(people: int, hour: int) -> int:
        group.user_set.add(*[User.objects.create_user(f"user{hour} {number}") for number in range(people)])
        with CaptureQueriesContext(connection) as captured:
            assert at(2027, 1, 1, hour) == people
        return len(captured)

    one, eleven = queries(1, 1), queries(11, 2)
    assert eleven - one <= 10 * 13
    with CaptureQueriesContext(connection) as captured:
        assert at(2027, 1, 1, 4) == 0
    assert len(captured) <= 6  # nothing to do, for twelve


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("percent", [0, 50])
def test_many_workers_issue_it_once(percent):
    group = Group.objects.create(name="editors")
    people = [User.objects.create_user(f"user{number}") for number in range(5)]
    group.user_set.add(*people)
    allow(None, 10, group=group, carry_over_percent=percent)
    barrier, errors = threading.Barrier(8), []

    def work() -> None:
        try:
            barrier.wait()
            credits.issue_due(timezone.now())
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [granted(person) for person in people] == [[10]] * 5
    assert CreditGrant.objects.count() == 5
    for account in CreditAccount.objects.all():
        prove(account)


@pytest.mark.parametrize("values", [{}, {"user_id": 1, "group_id": 1}, {"user_id": 1, "amount": 0}])
def test_it_is_for_a_user_or_for_a_group_and_gives_something(values):
    with pytest.raises(ValidationError):
        Allowance(**{"amount": 5, **values}).clean()
    Allowance(user_id=1, amount=1).clean()


@pytest.mark.parametrize("values", [{"amount": 0}, {"carry_over_percent": 101}, {"user": None}])
def test_the_database_refuses_a_nonsensical_allowance(user, values):
    with pytest.raises(IntegrityError), transaction.atomic():
        allow(**{"user": user, **values})


def test_it_has_a_name(user):
    assert str(allow(user)) == "monthly"
