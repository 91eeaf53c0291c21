"""What is spent counts at once, under every budget, in the period in which it was held; refusals say what to do."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, connections, transaction
from django.utils import timezone

from grokvideo_django import credits
from grokvideo_django.credits import budgets
from grokvideo_django.exceptions import BudgetExceeded, InsufficientCredits
from grokvideo_django.models import Allowance, Budget, BudgetCounter, BudgetUse, CreditAccount, CreditEntry

from .books import balance, prove

pytestmark = pytest.mark.django_db

Scope, Period = Budget.Scope, Budget.Period


class At:
    """A clock that stands."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> At:
    clock = At(datetime(2026, 11, 14, 12, tzinfo=UTC))
    monkeypatch.setattr(timezone, "now", clock)
    return clock


@pytest.fixture
def rich(user: User, account: CreditAccount) -> CreditAccount:
    credits.grant(user, 1000)
    return account


@pytest.fixture
def group(user: User) -> Group:
    group = Group.objects.create(name="editors")
    user.groups.add(group)
    return group


def site(limit: int | None = 100, **values: Any) -> Budget:
    return Budget.objects.create(**{"name": "site", "limit_credits": limit, **values})


def used(budget: Budget) -> int:
    """In all periods."""
    return sum(budget.counters.values_list("used", flat=True))


def uses(entry: CreditEntry) -> list[tuple[int, int]]:
    return list(entry.budget_uses.order_by("pk").values_list("counter__budget_id", "delta"))


def test_a_hold_counts_at_once_under_every_budget(user, rich, group):
    mine = site(), site(scope=Scope.GROUP, group=group), site(scope=Scope.USER, user=user)
    others = (
        site(scope=Scope.GROUP, group=Group.objects.create(name="others")),
        site(scope=Scope.USER, user=User.objects.create_user("other")),
        site(is_active=False),
    )
    held = credits.hold(user, 30)
    assert [used(budget) for budget in mine] == [30, 30, 30]
    assert uses(held) == [(budget.pk, 30) for budget in mine]
    assert not BudgetCounter.objects.filter(budget__in=others).exists()


def test_budgets_of_all_of_a_users_groups_count_once_each(user, rich, group):
    second = Group.objects.create(name="second")
    user.groups.add(second)
    both = [site(scope=Scope.GROUP, group=each) for each in (group, second)]
    credits.hold(rich, 5)
    assert [used(budget) for budget in both] == [5, 5]


def test_a_capture_gives_the_rest_back_and_a_refund_what_it_refunds(user, rich):
    budget = site()
    held = credits.hold(user, 30)
    spent = credits.capture(held, 20)
    assert (used(budget), uses(spent)) == (20, [(budget.pk, -10)])
    refund = credits.refund(spent, 15)
    assert (used(budget), uses(refund)) == (5, [(budget.pk, -15)])
    assert uses(credits.capture(credits.hold(user, 7))) == []
    assert used(budget) == 12


def test_a_release_gives_all_back(user, rich):
    budget = site()
    released = credits.release(credits.hold(user, 30))
    assert (used(budget), uses(released)) == (0, [(budget.pk, -30)])


@pytest.mark.parametrize("period", ["day", "week", "month", "forever"])
def test_what_comes_back_goes_to_the_period_it_came_from(user, rich, at, period):
    budget = site(100, period=period)
    held, other = credits.hold(user, 60), credits.hold(user, 40)
    at.now = datetime(2027, 1, 4, tzinfo=UTC)  # another day, week, month
    if period != "forever":
        credits.hold(user, 100)
    spent = credits.capture(held, 50)
    credits.refund(spent, 20)
    credits.release(other)
    counters = list(budget.counters.order_by("period_start").values_list("used", flat=True))
    assert counters == ([30] if period == "forever" else [30, 100])


def test_a_refusal_says_which_budget_what_is_left_when_it_resets_and_who_may_raise_it(user, rich, at, settings):
    settings.TIME_ZONE = "Europe/Berlin"
    timezone.get_default_timezone.cache_clear()
    try:
        budget = site(100, name="November's videos", scope=Scope.USER, user=user)
        credits.hold(user, 90)
        before = balance(rich)
        with pytest.raises(BudgetExceeded) as refused:
            credits.hold(user, 11)
    finally:
        settings.TIME_ZONE = "UTC"
        timezone.get_default_timezone.cache_clear()
    assert str(refused.value) == (
        "This needs 11 credits, and the budget “November's videos” has 10 left until Dec. 1, 2026, midnight. "
        "Nothing was charged; someone who may change budgets can raise it."
    )
    assert (refused.value.budget, refused.value.left) == (budget, 10)
    assert refused.value.resets_at == datetime(2026, 11, 30, 23, tzinfo=UTC)
    assert (balance(rich), used(budget)) == (before, 90)
    prove(rich)


def test_one_that_never_begins_anew_says_no_time(user, rich):
    site(4, period=Period.FOREVER)
    with pytest.raises(BudgetExceeded, match=r"“site” has 4 left\. Nothing") as refused:
        credits.hold(user, 5)
    assert refused.value.resets_at is None


def test_all_of_it_can_be_spent_and_then_nothing(user, rich):
    budget = site(10)
    credits.hold(user, 10)
    with pytest.raises(BudgetExceeded, match="has 0 left"):
        credits.hold(user, 1)
    Budget.objects.filter(pk=budget.pk).update(limit_credits=3)  # lowered below what is used
    with pytest.raises(BudgetExceeded, match="has 0 left"):
        credits.hold(user, 1)
    assert used(budget) == 10


def test_a_ceiling_of_zero_allows_nothing(user, rich):
    site(0)
    with pytest.raises(BudgetExceeded, match="has 0 left"):
        credits.hold(user, 1)


def test_a_refusal_by_one_budget_counts_under_none(user, rich):
    roomy, tight = site(100), site(5)
    with pytest.raises(BudgetExceeded):
        credits.hold(user, 6)
    assert (used(roomy), used(tight)) == (0, 0)


def test_the_account_is_asked_before_the_budgets(user, rich):
    site(5)
    with pytest.raises(InsufficientCredits):
        credits.hold(user, 1001)


def test_who_exceeds_is_counted_all_the_same(user, rich):
    budget = site(10)
    held = credits.hold(user, 30, exceed=True)
    assert used(budget) == 30
    credits.release(held)
    assert used(budget) == 0


def test_without_a_ceiling_it_is_only_counted(user, rich):
    budget = site(None)
    credits.hold(user, 999)
    assert used(budget) == 999
    assert not BudgetCounter.objects.filter(warned_at__isnull=False).exists()


def test_the_same_key_counts_once_also_when_the_budget_is_exhausted(user, rich):
    budget = site(10)
    first = credits.hold(user, 6, key="mine")
    assert credits.hold(user, 6, key="mine") == first
    credits.hold(user, 4)
    assert credits.hold(user, 6, key="mine") == first
    assert used(budget) == 10


def test_the_account_of_a_user_who_is_gone_has_the_budgets_of_the_site(user, rich):
    budget, theirs = site(10), site(scope=Scope.USER, user=user)
    user.delete()
    rich.refresh_from_db()
    with pytest.raises(BudgetExceeded):
        credits.hold(rich, 11)
    credits.hold(rich, 10)
    assert used(budget) == 10
    assert not Budget.objects.filter(pk=theirs.pk).exists()


def test_a_mere_key_of_an_account_has_the_budgets_of_its_user(user, rich):
    budget = site(10, scope=Scope.USER, user=user)
    with pytest.raises(BudgetExceeded):
        credits.hold(CreditAccount(pk=rich.pk), 11)
    assert used(budget) == 0


@pytest.mark.parametrize("model", ["budget", "allowance"])
def test_who_is_deleted_takes_their_budgets_and_allowances_along(model, user, group):
    """MariaDB would empty the key first, which a constraint forbids."""
    made = {
        "budget": lambda **whose: site(scope=next(iter(whose)), **whose),
        "allowance": lambda **whose: Allowance.objects.create(name="A", amount=1, **whose),
    }[model]
    rows = [made(user=user), made(group=group)]
    credits.grant(user, 5)
    credits.hold(user, 1)
    user.delete()
    group.delete()
    assert not type(rows[0]).objects.exists()


def test_the_budget_of_a_group_is_its_members_alone(user, group):
    theirs = Group.objects.create(name="others")
    other = User.objects.create_user("other")
    other.groups.add(theirs)
    ours_, theirs_ = (site(scope=Scope.GROUP, group=each) for each in (group, theirs))
    assert Budget.objects.for_user(user) == [ours_]
    assert Budget.objects.for_user(other) == [theirs_]


def test_the_key_of_a_user_is_written_as_its_field_writes_it(user, group, monkeypatch):
    """A UUID is no value that SQLite or MariaDB knows."""
    ours_ = site(scope=Scope.USER, user=user), site(scope=Scope.GROUP, group=group)
    mine = User(pk=SimpleNamespace(written=user.pk))
    monkeypatch.setattr(User._meta.pk, "get_db_prep_value", lambda value, *args, **values: value.written)
    found = Budget.objects.for_user(mine)
    monkeypatch.undo()
    assert found == [*ours_]
    assert found[0].user == user


def test_a_user_model_without_groups_has_the_sites_budgets_and_its_own(user, group):
    every, _groups, own = site(), site(scope=Scope.GROUP, group=group), site(scope=Scope.USER, user=user)
    assert Budget.objects.for_user(SimpleNamespace(pk=user.pk)) == [every, own]


def test_a_deleted_budget_limits_nothing_and_breaks_nothing(user, rich):
    kept, gone = site(100), site(100)
    held, other = credits.hold(user, 30), credits.hold(user, 20)
    ceilings = credits.ceilings(user, timezone.now())
    gone.delete()
    credits.hold(user, 7, ceilings=ceilings)  # they were read before it was deleted
    credits.refund(credits.capture(held, 10), 5)
    credits.release(other)
    assert used(kept) == 12
    assert set(BudgetUse.objects.values_list("counter__budget_id", flat=True)) == {kept.pk}
    kept.delete()
    credits.release(credits.hold(user, 1))
    assert not BudgetUse.objects.exists()
    prove(rich)


def during(monkeypatch: pytest.MonkeyPatch, table: str, act: Any) -> Any:
    """Do something right before the first UPDATE of a table."""
    done: list[bool] = []

    def guard(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if not done and sql.startswith("UPDATE") and table in sql.partition("SET")[0]:
            done.append(True)
            act()
        return execute(sql, params, many, context)

    return connection.execute_wrapper(guard)


def test_a_budget_deleted_in_the_middle_of_a_release_breaks_nothing(user, rich, monkeypatch):
    kept, gone = site(100), site(100)
    held = credits.hold(user, 30)
    with during(monkeypatch, "grokvideo_budgetcounter", gone.delete):
        released = credits.release(held)
    assert (used(kept), uses(released)) == (0, [(kept.pk, -30)])
    prove(rich)


def test_a_budget_deleted_while_its_counter_is_opened_limits_nothing(user, rich, monkeypatch):
    site(1)
    monkeypatch.setattr(budgets, "_open", lambda budget_id, start: Budget.objects.filter(pk=budget_id).delete())
    assert credits.ceilings(user, timezone.now()) == []


def test_two_periods_that_begin_together_are_told_apart(user, rich, at):
    at.now = datetime(2026, 6, 1, 12, tzinfo=UTC)  # a Monday, and the first of the month
    every = [site(100, period=period) for period in Period.values]
    credits.hold(user, 3)
    at.now = datetime(2026, 6, 8, 12, tzinfo=UTC)
    credits.hold(user, 4)
    found = [list(budget.counters.order_by("period_start").values_list("used", flat=True)) for budget in every]
    assert found == [[3, 4], [3, 4], [7], [7]]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def spend(user: User, amount: int, capture: Any) -> CreditEntry:
    """Hold, and let what belongs after the commit happen."""
    with capture(execute=True):
        return credits.hold(user, amount)


def test_managers_are_told_once_a_period(user, rich, at, caplog, django_capture_on_commit_callbacks):
    budget = site(100, warn_percent=75)
    spend(user, 74, django_capture_on_commit_callbacks)
    assert warnings(caplog) == []
    held = spend(user, 1, django_capture_on_commit_callbacks)
    words = (
        "The budget “site” has used 75 of its 100 credits until Dec. 1, 2026, midnight: past its warning level of 75 %."
    )
    assert warnings(caplog) == [words]
    assert budget.counters.get().warned_at == at.now
    credits.release(held)
    spend(user, 20, django_capture_on_commit_callbacks)
    assert len(warnings(caplog)) == 1
    at.now = datetime(2026, 12, 1, tzinfo=UTC)
    spend(user, 80, django_capture_on_commit_callbacks)
    assert len(warnings(caplog)) == 2


def test_of_two_who_see_the_level_passed_one_tells(user, rich):
    site(10)
    found = credits.ceilings(user, timezone.now())
    credits.hold(user, 9)
    assert [len(budgets.warn(found)) for _time in range(2)] == [1, 0]
    stale = credits.ceilings(user, timezone.now())
    assert stale[0].is_warned
    assert budgets.warn(stale) == []


def test_another_worker_tells_in_between(user, rich, monkeypatch):
    budget = site(10)
    found = credits.ceilings(user, timezone.now())
    credits.hold(user, 9)
    with during(monkeypatch, "grokvideo_budgetcounter", lambda: budget.counters.update(warned_at=timezone.now())):
        assert budgets.warn(found) == []


@pytest.mark.django_db(transaction=True)
def test_nobody_is_told_of_what_was_rolled_back(caplog):
    user = User.objects.create_user("ada")
    credits.grant(user, 100)
    budget = site(10)
    with transaction.atomic():
        credits.hold(user, 10)
        transaction.set_rollback(True)
    assert warnings(caplog) == []
    assert used(budget) == 0
    credits.hold(user, 10)
    assert len(warnings(caplog)) == 1


@pytest.mark.django_db(transaction=True)
def test_the_warning_of_a_budget_that_never_begins_anew_names_no_end(caplog):
    user = User.objects.create_user("ada")
    credits.grant(user, 100)
    site(10, period=Period.FOREVER)
    credits.hold(user, 10)
    assert "has used 10 of its 10 credits: past its warning level" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_warning_that_fails_leaves_the_hold(monkeypatch, caplog):
    user = User.objects.create_user("ada")
    credits.grant(user, 100)
    site(10)
    monkeypatch.setattr(budgets, "warning_level", lambda budget: 1 / 0)
    assert credits.hold(user, 10).held_delta == 10
    assert "A budget's warning could not be given." in caplog.text


@pytest.mark.django_db(transaction=True)
def test_many_open_a_new_period_at_once():
    people = [User.objects.create_user(f"user{number}") for number in range(8)]
    for person in people:
        credits.grant(person, 100)
    every = [site(1000, period=period) for period in Period.values]
    barrier, errors = threading.Barrier(8), []

    def work(person: User) -> None:
        try:
            barrier.wait()
            credits.hold(person, 5)
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=[person]) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [budget.counters.get().used for budget in every] == [40, 40, 40, 40]


def test_a_hold_costs_so_many_queries(user, rich, group, django_assert_num_queries):
    """Two budgets, two grants: what docs/credits.md says."""
    site(), site(scope=Scope.GROUP, group=group)
    credits.grant(user, 1, priority=1)
    credits.hold(rich, 1)
    with django_assert_num_queries(13):
        credits.hold(user, 5)


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({}, None),
        ({"scope": "user"}, "user"),
        ({"scope": "group"}, "group"),
        ({"scope": "site", "user_id": 1}, "user"),
        ({"scope": "user", "user_id": 1, "group_id": 1}, "group"),
    ],
)
def test_a_budget_names_whose_it_is(values, wrong):
    budget = Budget(name="x", **values)
    if wrong is None:
        budget.clean()
        return
    with pytest.raises(ValidationError) as refused:
        budget.clean()
    assert list(refused.value.message_dict) == [wrong]


@pytest.mark.parametrize("values", [{"scope": "user"}, {"scope": "group"}, {"warn_percent": 0}, {"warn_percent": 101}])
def test_the_database_refuses_a_nonsensical_budget(values):
    with pytest.raises(IntegrityError), transaction.atomic():
        site(**values)


def test_they_have_names(user, rich):
    budget = site()
    use = credits.hold(user, 5).budget_uses.get()
    assert (str(budget), str(use.counter), str(use)) == ("site", "5", "+5")
