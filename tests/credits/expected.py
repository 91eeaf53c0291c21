"""What a random run stands on, and what the budgets should say after it, counted beside the app."""

from __future__ import annotations

import logging
from collections import Counter
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from django.contrib.auth.models import Group, User
from django.db import models

from grokvideo_django import reconcile
from grokvideo_django.models import (
    Budget,
    BudgetCounter,
    BudgetUse,
    CreditAccount,
    CreditDraw,
    CreditEntry,
    CreditGrant,
)

from .books import prove

ZONE = "Europe/Berlin"
BORDERS = [
    datetime(2028, 2, 28, 20, tzinfo=UTC),  # a Monday before a 29 February
    datetime(2027, 3, 27, 20, tzinfo=UTC),  # the day before a day of 23 hours
    datetime(2026, 10, 24, 20, tzinfo=UTC),  # and of 25 hours
    datetime(2026, 12, 31, 9, tzinfo=UTC),  # in a week of two years
]

Use = tuple[int, str]
"""A budget, and one of its periods."""


class Clock:
    """Stands until it is moved."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def move(self, hours: float) -> None:
        self.now += timedelta(hours=hours)


class Warnings(logging.Handler):
    """What the managers were told about budgets."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno == logging.WARNING:
            self.told.append(record.getMessage())


class Scene:
    """Two people in a group, and a budget of every scope and every length."""

    def __init__(self) -> None:
        clear()
        self.group, _created = Group.objects.get_or_create(name="editors")
        users = [User.objects.get_or_create(username=name)[0] for name in ("ada", "bob")]
        self.group.user_set.set(users)
        self.accounts = [CreditAccount.objects.for_user(user) for user in users]
        every: list[tuple[str, str, int | None, dict[str, object]]] = [
            ("site", "day", 150, {}),
            ("site", "forever", None, {}),
            ("group", "week", 200, {"group": self.group}),
            ("user", "month", 120, {"user": users[0]}),
        ]
        self.budgets = [
            Budget.objects.create(name=f"{scope}, {period}", scope=scope, period=period, limit_credits=limit, **whose)
            for scope, period, limit, whose in every
        ]

    def budgets_of(self, account: CreditAccount) -> list[Budget]:
        return [budget for budget in self.budgets if budget.is_active and budget.user_id in (None, account.user_id)]

    def prove(self) -> None:
        """Everything that is true of any books."""
        for account in self.accounts:
            prove(account)
        assert list(reconcile.findings()) == []
        assert all(used >= 0 for used in counted().values())


class Expected:
    """What every counter should say, and who should have been told."""

    def __init__(self) -> None:
        self.used: Counter[Use] = Counter()
        self.by_hold: dict[int, list[Use]] = {}
        self.warned: set[Use] = set()
        """Told for certain."""
        self.peaked: set[Use] = set()
        """Has been past its level after a hold: nothing else may be told."""

    def refuses(self, budgets: list[Budget], amount: int, now: datetime) -> bool:
        return any(
            budget.limit_credits is not None and self.used[use(budget, now)] + amount > budget.limit_credits
            for budget in budgets
        )

    def hold(self, entry: CreditEntry, budgets: list[Budget], now: datetime, *, is_told: bool) -> None:
        uses = [use(budget, now) for budget in budgets]
        self.by_hold[entry.pk] = uses
        self.used.update(dict.fromkeys(uses, entry.held_delta))
        for budget, each in zip(budgets, uses, strict=True):
            limit = budget.limit_credits
            if limit and self.used[each] * 100 >= limit * budget.warn_percent:
                self.peaked.add(each)
                self.warned |= {each} if is_told else set()

    def give_back(self, held: CreditEntry, amount: int) -> None:
        self.used.subtract(dict.fromkeys(self.by_hold[held.pk], amount))

    def prove(self, warnings: Warnings) -> None:
        assert counted() == {each: used for each, used in self.used.items() if used}
        told = {
            use(counter.budget, counter.period_start)
            for counter in BudgetCounter.objects.filter(warned_at__isnull=False).select_related("budget")
        }
        assert self.warned <= told <= self.peaked
        assert len(warnings.told) == len(told)


def use(budget: Budget, moment: datetime) -> Use:
    """The period of a budget in which a moment lies, by the calendar on the wall."""
    day = moment.astimezone(ZoneInfo(ZONE)).date()
    names = {"day": day.isoformat(), "week": str(day.isocalendar()[:2]), "month": str((day.year, day.month))}
    return budget.pk, names.get(budget.period, "")


def counted() -> dict[Use, int]:
    """What the counters say; those that count nothing are left out."""
    counters = BudgetCounter.objects.exclude(used=0).select_related("budget")
    return {use(counter.budget, counter.period_start): counter.used for counter in counters}


def clear() -> None:
    """No ledger at all."""
    models.QuerySet(CreditEntry).update(resolves=None, refunds=None)
    for model in (BudgetUse, BudgetCounter, Budget, CreditDraw, CreditEntry, CreditGrant, CreditAccount):
        models.QuerySet(model).delete()
