"""Counting what is spent under the site's budgets.

Holds count at once; what comes back goes to the period that it came from.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.base_user import AbstractBaseUser
from django.db.models import F
from django.utils import timezone
from django.utils.formats import date_format

from .. import periods
from ..exceptions import BudgetExceeded
from ..models import Budget, BudgetCounter, BudgetUse, CreditEntry

log = logging.getLogger("grokvideo_django")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """A budget that applies to a user now, with the counter of its present period."""

    budget: Budget
    counter_id: int
    resets_at: datetime | None


def ceilings(user: AbstractBaseUser, now: datetime) -> list[Ceiling]:
    """The budgets that apply to a user, each with its counter, which is opened if the period is new.

    Call it before the transaction that holds: a period's first INSERT must not come between its UPDATEs.
    """
    budgets = list(Budget.objects.for_user(user))
    if not budgets:
        return []
    zone = timezone.get_default_timezone()
    spans = {budget.pk: periods.bounds(now, budget.period, zone) for budget in budgets}  # type: ignore[arg-type]
    counters = _counters(spans)
    if len(counters) < len(budgets):
        missing = [
            BudgetCounter(budget=budget, period_start=spans[budget.pk][0])
            for budget in budgets
            if budget.pk not in counters
        ]
        BudgetCounter.objects.bulk_create(missing, ignore_conflicts=True)
        counters = _counters(spans)
    return [Ceiling(budget=budget, counter_id=counters[budget.pk], resets_at=spans[budget.pk][1]) for budget in budgets]


def _counters(spans: dict[int, tuple[datetime, datetime | None]]) -> dict[int, int]:
    starts = {start for start, _end in spans.values()}
    rows = BudgetCounter.objects.filter(budget__in=spans, period_start__in=starts)
    return {
        budget_id: pk
        for pk, budget_id, start in rows.values_list("pk", "budget_id", "period_start")
        if spans[budget_id][0] == start
    }


def use(found: Sequence[Ceiling], amount: int, *, exceed: bool) -> None:
    """Count a hold under every budget, in the counters' order: the last of the hold's UPDATEs.

    Raises:
        BudgetExceeded: a ceiling would be passed. The caller's transaction must be given up.
    """
    for ceiling in sorted(found, key=lambda item: item.counter_id):
        rows = BudgetCounter.objects.filter(pk=ceiling.counter_id)
        limit = ceiling.budget.limit_credits
        if limit is not None and not exceed:
            rows = rows.filter(used__lte=limit - amount)
        if not rows.update(used=F("used") + amount):
            raise refusal(ceiling, amount)


def refusal(ceiling: Ceiling, amount: int) -> BudgetExceeded:
    """Which budget, how much is left, when it resets, and who may raise it."""
    used = BudgetCounter.objects.values_list("used", flat=True).filter(pk=ceiling.counter_id).first() or 0
    left = max(0, (ceiling.budget.limit_credits or 0) - used)
    return BudgetExceeded(
        f"This needs {amount} credits, and the budget “{ceiling.budget}” has {left} left{resets(ceiling)}. "
        f"Nothing was charged; someone who may change budgets can raise it.",
        budget=ceiling.budget,
        left=left,
        resets_at=ceiling.resets_at,
    )


def resets(ceiling: Ceiling) -> str:
    """`` until …``, or nothing for a budget that never begins anew."""
    if ceiling.resets_at is None:
        return ""
    return f" until {date_format(timezone.localtime(ceiling.resets_at), 'DATETIME_FORMAT')}"


def record(entry: CreditEntry, deltas: Iterable[tuple[int, int]]) -> None:
    """Write down what an entry did to which counters. An INSERT: after all UPDATEs."""
    BudgetUse.objects.bulk_create(
        BudgetUse(entry=entry, counter_id=counter_id, delta=delta) for counter_id, delta in deltas if delta
    )


def give_back(root: CreditEntry, amount: int) -> list[tuple[int, int]]:
    """Return credits to the counters that a hold used, whatever period it is now. One UPDATE; what to ``record``."""
    if not amount:
        return []
    counters = sorted(BudgetUse.objects.filter(entry=root).values_list("counter_id", flat=True))
    if counters:
        BudgetCounter.objects.filter(pk__in=counters).update(used=F("used") - amount)
    return [(counter_id, -amount) for counter_id in counters]


def warn(found: Sequence[Ceiling]) -> list[Budget]:
    """Tell the managers, once a period, about budgets past their warning level; returns those told about now.

    Call it after the hold has committed.
    """
    told = []
    for ceiling in found:
        limit = ceiling.budget.limit_credits
        if not limit:
            continue
        level = -(-limit * ceiling.budget.warn_percent // 100)
        rows = BudgetCounter.objects.filter(pk=ceiling.counter_id, warned_at__isnull=True, used__gte=level)
        if rows.update(warned_at=timezone.now()):
            log.warning(
                "The budget “%s” has used %s %% of its %s credits%s.",
                ceiling.budget, ceiling.budget.warn_percent, limit, resets(ceiling),
            )  # fmt: skip
            told.append(ceiling.budget)
    return told
