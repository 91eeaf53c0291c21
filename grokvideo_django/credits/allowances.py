"""Issuing allowances: once a period for each user, however many workers try, and caught up after a downtime."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Final

from django.db.models import Q, Sum
from django.utils import timezone

from .. import people, periods
from ..exceptions import KeyConflict
from ..models import Allowance, CreditDraw, CreditEntry, CreditGrant
from .entries import MAX_AMOUNT
from .grants import grant

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

log = logging.getLogger("grokvideo_django")

Kind = CreditEntry.Kind

PRIORITY: Final = 50
"""Before what was bought: an allowance expires."""
LOOK_AGAIN: Final = timedelta(hours=1)
"""A user who joins a group in mid-period gets its allowance within the hour."""
BITE: Final = 20


def issue_due(now: datetime) -> int:
    """Issue the allowances whose time has come; returns how many grants were made. For the sweep."""
    due = Allowance.objects.filter(Q(due_at__isnull=True) | Q(due_at__lte=now), is_active=True, starts_at__lte=now)
    made = 0
    for allowance in due.select_related("user", "group").order_by("due_at", "pk")[:BITE]:
        try:
            made += issue(allowance, now)
        except Exception:
            log.exception("The allowance %s could not be issued.", allowance)
            Allowance.objects.filter(pk=allowance.pk).update(due_at=now + LOOK_AGAIN)
    return made


def issue(allowance: Allowance, now: datetime) -> int:
    """Grant this period's allowance to everybody who has not had it; returns how many were granted it now."""
    zone = timezone.get_default_timezone()
    start, end = periods.bounds(now, allowance.period, zone)  # type: ignore[arg-type]
    assert end is not None
    issue_ = _Issue(allowance=allowance, start=start, end=end, first_day=start.astimezone(zone).date())
    missing = _without(allowance, _users(allowance), issue_.first_day)
    made = sum(_guarded(issue_, user) for user in missing)
    rows = Allowance.objects.filter(pk=allowance.pk)
    rows.update(due_at=min(end, now + LOOK_AGAIN), issued_for=issue_.first_day)
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class _Issue:
    """An allowance in one period; ``first_day`` is local."""

    allowance: Allowance
    start: datetime
    end: datetime
    first_day: date


def _users(allowance: Allowance) -> Iterable[AbstractBaseUser]:
    if allowance.user_id is not None:
        return people.active(Q(pk=allowance.user_id))
    assert allowance.group_id is not None  # the database refuses neither
    return people.active(people.members([allowance.group_id]))


def _key(allowance: Allowance, user: AbstractBaseUser, first_day: date | None = None) -> str:
    return f"allowance:{allowance.pk}:{user.pk}:{first_day.isoformat() if first_day else ''}"


def _without(allowance: Allowance, users: Iterable[AbstractBaseUser], first_day: date) -> list[AbstractBaseUser]:
    by_key = {_key(allowance, user, first_day): user for user in users}
    had = set(CreditEntry.objects.filter(key__in=list(by_key)).values_list("key", flat=True))
    return [user for key, user in by_key.items() if key not in had]


def _guarded(issue_: _Issue, user: AbstractBaseUser) -> bool:
    """One user whose grant fails does not keep the others from theirs: it is tried again when the sweep looks again."""
    try:
        _issue_to(user, issue_)
    except KeyConflict:
        log.info("Another worker has issued %s to %s.", issue_.allowance, user)
    except Exception:
        log.exception("The allowance %s could not be issued to %s.", issue_.allowance, user)
    else:
        return True
    return False


def _issue_to(user: AbstractBaseUser, issue_: _Issue) -> None:
    allowance = issue_.allowance
    carried = _carried(user, issue_) if allowance.carry_over_percent else 0
    words = f"{allowance.name} ({issue_.first_day.isoformat()})"
    grant(
        user,
        min(allowance.amount + carried, MAX_AMOUNT),
        key=_key(allowance, user, issue_.first_day),
        reason=f"{words}, with {carried} carried over" if carried else words,
        expires_at=issue_.end,
        category=CreditGrant.Category.ALLOWANCE,
        priority=PRIORITY,
    )


def _carried(user: AbstractBaseUser, issue_: _Issue) -> int:
    """What the last period left, carried over.

    Periods in which nobody was issued anything were a downtime, and count as issued and not spent. A period in which
    others had theirs, but this user had not (inactive, or in no such group), ends the chain.
    """
    allowance, percent = issue_.allowance, issue_.allowance.carry_over_percent
    mine = CreditEntry.objects.filter(account__user_key=str(user.pk), key__startswith=_key(allowance, user))
    before = mine.order_by("-pk").first()
    if before is None:
        return 0
    given = CreditGrant.objects.get(draws__entry=before)
    ended = given.expires_at
    if ended is None or ended > issue_.start:  # the length of its periods was changed, and the last one still runs
        return 0
    carried = _left(given) * percent // 100
    if ended == issue_.start:
        return carried
    day = ended.astimezone(timezone.get_default_timezone()).date()
    if before.key != _key(allowance, user, allowance.issued_for):
        return 0
    while day < issue_.first_day:
        carried = (allowance.amount + carried) * percent // 100
        day = periods.day_after(day, allowance.period)  # type: ignore[arg-type]
    return carried


def _left(given: CreditGrant) -> int:
    """What was left of a grant when it expired, whenever that is asked.

    What came back to it later has expired for good. A hold counts in any case: it drew on the grant in its lifetime.
    """
    drawn = Q(entry__kind__in=[Kind.HOLD, Kind.VOID]) | Q(entry__created_at__lt=given.expires_at)
    drawn &= ~Q(entry__kind=Kind.EXPIRE)
    sums = CreditDraw.objects.filter(drawn, grant=given).aggregate(sum=Sum("delta"))
    return max(0, sums["sum"] or 0)
