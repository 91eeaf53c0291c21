"""Issuing allowances: once a period for each user, however many workers try, and caught up after a downtime."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Final

from django.contrib.auth import get_user_model
from django.db.models import Q, Sum
from django.utils import timezone

from .. import periods
from ..exceptions import KeyConflict
from ..models import Allowance, CreditDraw, CreditEntry, CreditGrant
from .grants import grant

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

log = logging.getLogger("grokvideo_django")

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
    """Grant this period's allowance to everybody who has not had it; returns how many grants were made."""
    zone = timezone.get_default_timezone()
    start, end = periods.bounds(now, allowance.period, zone)  # type: ignore[arg-type]
    assert end is not None
    today = start.astimezone(zone).date()
    missing = _without(allowance, _users(allowance), today)
    for user in missing:
        _issue_to(user, allowance, today, end)
    Allowance.objects.filter(pk=allowance.pk).update(due_at=min(end, now + LOOK_AGAIN))
    return len(missing)


def _users(allowance: Allowance) -> Iterable[AbstractBaseUser]:
    users = get_user_model()._default_manager.filter(is_active=True)
    if allowance.user_id is not None:
        return users.filter(pk=allowance.user_id)
    return users.filter(groups=allowance.group_id).order_by("pk")


def _key(allowance: Allowance, user: AbstractBaseUser, first_day: date | None = None) -> str:
    return f"allowance:{allowance.pk}:{user.pk}:{first_day.isoformat() if first_day else ''}"


def _without(allowance: Allowance, users: Iterable[AbstractBaseUser], first_day: date) -> list[AbstractBaseUser]:
    by_key = {_key(allowance, user, first_day): user for user in users}
    had = set(CreditEntry.objects.filter(key__in=list(by_key)).values_list("key", flat=True))
    return [user for key, user in by_key.items() if key not in had]


def _issue_to(user: AbstractBaseUser, allowance: Allowance, first_day: date, end: datetime) -> None:
    carried = _carried(user, allowance, first_day)
    words = f"{allowance.name} ({first_day.isoformat()})"
    try:
        grant(
            user,
            allowance.amount + carried,
            key=_key(allowance, user, first_day),
            reason=f"{words}, with {carried} carried over" if carried else words,
            expires_at=end,
            category=CreditGrant.Category.ALLOWANCE,
            priority=PRIORITY,
        )
    except KeyConflict:
        log.info("Another worker has issued %s to %s.", allowance, user)


def _carried(user: AbstractBaseUser, allowance: Allowance, first_day: date) -> int:
    """What the last periods left, carried over; periods missed in a downtime count as issued and not spent."""
    percent = allowance.carry_over_percent
    before = CreditEntry.objects.filter(key__startswith=_key(allowance, user)).order_by("-pk").first()
    if not percent or before is None:
        return 0
    day = _next(date.fromisoformat(before.key.rpartition(":")[2]), allowance)
    carried = _left(before) * percent // 100
    while day < first_day:
        carried = (allowance.amount + carried) * percent // 100
        day = _next(day, allowance)
    return carried


def _left(entry: CreditEntry) -> int:
    """What was left of a grant when it expired, or is left now."""
    given = CreditGrant.objects.get(draws__entry=entry)
    expired = CreditDraw.objects.filter(grant=given, entry__kind=CreditEntry.Kind.EXPIRE).aggregate(sum=Sum("delta"))
    return given.remaining - (expired["sum"] or 0)


def _next(first_day: date, allowance: Allowance) -> date:
    return periods.day_after(first_day, allowance.period)  # type: ignore[arg-type]
