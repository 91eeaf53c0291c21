"""Counting what is spent under the site's budgets.

Holds count at once; what comes back goes to the period that it came from.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import IntegrityError
from django.db.models import F
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import ngettext

from .. import periods, signals, transactions
from ..exceptions import BudgetExceeded
from ..models import Budget, BudgetCounter, BudgetUse, CreditEntry
from . import rows

log = logging.getLogger("grokvideo_django")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """A budget that applies to a user now, with the counter of its present period."""

    budget: Budget
    counter_id: int
    resets_at: datetime | None
    is_warned: bool = False
    """The managers were told already in this period."""


def ceilings(user: AbstractBaseUser | None, now: datetime) -> list[Ceiling]:
    """The budgets that apply to a user (the site's, if the user is gone), each with its counter, opened if need be.

    Call it before the transaction that holds: a period's first INSERT must not come between its UPDATEs.
    """
    budgets = Budget.objects.for_site() if user is None else Budget.objects.for_user(user)
    if not budgets:
        return []
    zone = timezone.get_default_timezone()
    spans = {budget.pk: periods.bounds(now, budget.period, zone) for budget in budgets}  # type: ignore[arg-type]
    starts = {pk: start for pk, (start, _end) in spans.items()}
    counters = rows.counters(starts)
    if len(counters) < len(budgets):
        for pk, start in starts.items():
            if pk not in counters:
                _open(pk, start)
        counters = rows.counters(starts)
    return [
        Ceiling(
            budget=budget,
            counter_id=counters[budget.pk][0],
            resets_at=spans[budget.pk][1],
            is_warned=counters[budget.pk][1],
        )
        for budget in budgets
        if budget.pk in counters  # else it was deleted in the meantime
    ]


def _open(budget_id: int, start: datetime) -> None:
    """Insert a period's counter, unless another worker was faster, or the budget has just been deleted."""
    new = BudgetCounter(budget_id=budget_id, period_start=start)
    with contextlib.suppress(IntegrityError):
        transactions.run(lambda: BudgetCounter.objects.bulk_create([new], ignore_conflicts=True))


def use(found: Sequence[Ceiling], amount: int, *, exceed: bool) -> list[tuple[int, int]]:
    """Count a hold under every budget, in the counters' order: the last of the hold's UPDATEs. What to ``record``.

    Raises:
        BudgetExceeded: a ceiling would be passed. The caller's transaction must be given up.
    """
    used = []
    for ceiling in sorted(found, key=lambda item: item.counter_id):
        limit = None if exceed else ceiling.budget.limit_credits
        if rows.use_counter(ceiling.counter_id, amount, limit=limit):
            used.append((ceiling.counter_id, amount))
        elif BudgetCounter.objects.filter(pk=ceiling.counter_id).exists():  # else its budget was deleted just now
            raise refusal(ceiling, amount)
    return used


def refusal(ceiling: Ceiling, amount: int) -> BudgetExceeded:
    """Which budget, how much is left, when it resets, and who may raise it."""
    used = BudgetCounter.objects.values_list("used", flat=True).filter(pk=ceiling.counter_id).first() or 0
    left = max(0, (ceiling.budget.limit_credits or 0) - used)
    words = ngettext(
        "This needs %(amount)d credit, and the budget “%(budget)s” has %(left)d left. Nothing was charged; someone "
        "who may change budgets can raise it.",
        "This needs %(amount)d credits, and the budget “%(budget)s” has %(left)d left. Nothing was charged; someone "
        "who may change budgets can raise it.",
        amount,
    )
    if ceiling.resets_at is not None:
        words = ngettext(
            "This needs %(amount)d credit, and the budget “%(budget)s” has %(left)d left until %(moment)s. Nothing "
            "was charged; someone who may change budgets can raise it.",
            "This needs %(amount)d credits, and the budget “%(budget)s” has %(left)d left until %(moment)s. Nothing "
            "was charged; someone who may change budgets can raise it.",
            amount,
        )
    filled = {"amount": amount, "budget": ceiling.budget, "left": left, "moment": _moment(ceiling.resets_at)}
    return BudgetExceeded(
        words % filled,
        budget=ceiling.budget,
        left=left,
        resets_at=ceiling.resets_at,
    )


def resets(ceiling: Ceiling) -> str:
    """`` until …``, or nothing for a budget that never begins anew."""
    if ceiling.resets_at is None:
        return ""
    return f" until {_moment(ceiling.resets_at)}"


def _moment(moment: datetime | None) -> str:
    return "" if moment is None else date_format(timezone.localtime(moment), "DATETIME_FORMAT")


def record(entry: CreditEntry, deltas: Iterable[tuple[int, int]]) -> None:
    """Write down what an entry did to which counters. An INSERT: after all UPDATEs."""
    rows.insert([BudgetUse(entry=entry, counter_id=counter_id, delta=delta) for counter_id, delta in deltas if delta])


def give_back(root: CreditEntry, amount: int) -> list[tuple[int, int]]:
    """Return credits to the counters that a hold used, whatever period it is now. One UPDATE; what to ``record``."""
    if not amount:
        return []
    counters = sorted(BudgetUse.objects.filter(entry=root).values_list("counter_id", flat=True))
    if not counters:
        return []
    still = BudgetCounter.objects.filter(pk__in=counters)
    given_back = still.update(used=F("used") - amount)
    if given_back < len(counters):  # a budget was deleted in the meantime; the others are ours
        counters = sorted(still.values_list("pk", flat=True))
    return [(counter_id, -amount) for counter_id in counters]


def warn(found: Sequence[Ceiling]) -> list[Budget]:
    """Tell the managers, once a period, about budgets past their warning level; returns those told about now.

    Call it after the hold has committed. One query, unless there is something to tell.
    """
    levels = {
        ceiling.counter_id: ceiling for ceiling in found if ceiling.budget.limit_credits and not ceiling.is_warned
    }
    if not levels:
        return []
    told = []
    for counter_id, used in rows.used(levels):
        ceiling = levels[counter_id]
        if used < warning_level(ceiling.budget):
            continue
        ours = BudgetCounter.objects.filter(pk=counter_id, warned_at__isnull=True)
        if not ours.update(warned_at=timezone.now()):  # another worker tells them
            continue
        log.warning(
            "The budget “%s” has used %s of its %s credits%s: past its warning level of %s %%.",
            ceiling.budget, used, ceiling.budget.limit_credits, resets(ceiling), ceiling.budget.warn_percent,
        )  # fmt: skip
        told.append(ceiling.budget)
        signals.send_after_commit(
            signals.budget_warned, Budget, budget=ceiling.budget, used=used, resets_at=ceiling.resets_at
        )
    return told


def warn_safely(found: Sequence[Ceiling]) -> None:
    """``warn``, for after a commit: what was done is done, so nothing is raised. The next hold warns instead."""
    try:
        warn(found)
    except Exception:
        log.exception("A budget's warning could not be given.")


def warning_level(budget: Budget) -> int:
    """Credits, rounded up."""
    return -(-(budget.limit_credits or 0) * budget.warn_percent // 100)
