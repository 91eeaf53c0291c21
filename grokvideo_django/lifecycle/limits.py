"""What budgets limit besides credits: how many run at once, how long and how large, and what needs approval."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib.auth.base_user import AbstractBaseUser
from django.utils.translation import gettext as _

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
            words = _(
                "The budget “%(budget)s” allows videos of at most %(limit)d s. Nothing was charged. Shorten it, or ask "
                "someone who may change budgets."
            )
            raise _refusal(budget, words, longest)
        largest = budget.max_resolution
        if largest and _lines(request.resolution) > _lines(largest):
            words = _(
                "The budget “%(budget)s” allows at most %(limit)s. Nothing was charged. Choose a smaller resolution, "
                "or ask someone who may change budgets."
            )
            raise _refusal(budget, words, largest)


def check_running(owner: AbstractBaseUser, ceilings: Sequence[Ceiling]) -> None:
    """Refuse one more than may run at once. Called in the transaction of the hold, which has locked the counters.

    The new request is counted already: its row was updated first.

    Raises:
        BudgetExceeded: the transaction must be given up.
    """
    for ceiling in ceilings:
        limit = ceiling.budget.max_running
        if limit is not None and _running(ceiling.budget, owner) > limit:
            words = _(
                "The budget “%(budget)s” allows %(limit)d at once, and so many are running. Nothing was charged. Wait "
                "for one to end, or ask someone who may change budgets."
            )
            raise _refusal(ceiling.budget, words, limit)


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


def _refusal(budget: Budget, words: str, limit: object) -> BudgetExceeded:
    return BudgetExceeded(words % {"budget": budget, "limit": limit}, budget=budget)
