"""What budgets limit besides credits: how many run at once, how long and how large, and what needs approval."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib.auth.base_user import AbstractBaseUser

from .. import conf
from ..credits import Ceiling
from ..exceptions import BudgetExceeded
from ..models import Budget, VideoRequest


def check_size(request: VideoRequest, ceilings: Sequence[Ceiling]) -> None:
    """Refuse a video that is longer or larger than a budget allows.

    Raises:
        BudgetExceeded: says which budget, and what it allows.
    """
    for ceiling in ceilings:
        budget = ceiling.budget
        longest = budget.max_duration_seconds
        if longest is not None and request.duration_seconds > longest:
            raise _refusal(budget, f"allows videos of at most {longest} s", "Shorten it")
        largest = budget.max_resolution
        if largest and _lines(request.resolution) > _lines(largest):
            raise _refusal(budget, f"allows at most {largest}", "Choose a smaller resolution")


def check_running(owner: AbstractBaseUser, ceilings: Sequence[Ceiling]) -> None:
    """Refuse one more than may run at once. Called in the transaction of the hold, which has locked the counters.

    The new request is counted already: its row was updated first.

    Raises:
        BudgetExceeded: the transaction must be given up.
    """
    for ceiling in ceilings:
        limit = ceiling.budget.max_running
        if limit is not None and _running(ceiling.budget, owner) > limit:
            raise _refusal(ceiling.budget, f"allows {limit} at once, and so many are running", "Wait for one to end")


def _running(budget: Budget, owner: AbstractBaseUser) -> int:
    rows = VideoRequest.objects.filter(status__in=VideoRequest.RUNNING)
    match budget.scope:
        case Budget.Scope.GROUP:
            return rows.filter(owner__groups=budget.group_id).count()
        case Budget.Scope.USER:
            return rows.filter(owner_id=owner.pk).count()
        case _:
            return rows.count()


def approval_limit(ceilings: Sequence[Ceiling]) -> int | None:
    """The lowest of the limits above which a request of this owner needs approval; None: there is none."""
    limits = [ceiling.budget.approval_above for ceiling in ceilings] + [conf.current().APPROVAL_ABOVE]
    return min((limit for limit in limits if limit is not None), default=None)


def _lines(resolution: str) -> int:
    return int(resolution.removesuffix("p"))


def _refusal(budget: Budget, allows: str, mend: str) -> BudgetExceeded:
    return BudgetExceeded(
        f"The budget “{budget}” {allows}. Nothing was charged. {mend}, or ask someone who may change budgets.",
        budget=budget,
    )
