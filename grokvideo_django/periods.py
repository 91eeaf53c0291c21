"""Days, weeks and months in the site's time zone. Pure."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final, Literal

Period = Literal["day", "week", "month", "forever"]

BEGINNING: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""Where the period that never ends began."""


def bounds(now: datetime, period: Period, zone: tzinfo) -> tuple[datetime, datetime | None]:
    """The period that ``now`` is in: its first instant, and the first instant after it (None: it never ends).

    A day begins at local midnight, or at the first instant that exists where the clocks skip it; a week on Monday.
    Both instants are in UTC, so that they compare and are stored alike on every database.
    """
    if period == "forever":
        return BEGINNING, None
    first = first_day(now.astimezone(zone).date(), period)
    end = midnight(day_after(first, period), zone)
    while end <= now:  # the clocks went back over midnight: the day before is on the wall again, but has ended
        first = day_after(first, period)
        end = midnight(day_after(first, period), zone)
    return midnight(first, zone), end


def first_day(day: date, period: Period) -> date:
    """The first day of the period that a day is in; of ``forever``, the day itself."""
    match period:
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
        case _:
            return day


def day_after(first: date, period: Period) -> date:
    """The first day of the period after the one that begins on this day."""
    match period:
        case "week":
            return first + timedelta(days=7)
        case "month":
            return date(first.year + first.month // 12, first.month % 12 + 1, 1)
        case _:
            return first + timedelta(days=1)


def midnight(day: date, zone: tzinfo) -> datetime:
    """The first instant of a local day, in UTC."""
    wall = datetime.combine(day, time.min, zone)
    first, before = wall.astimezone(UTC), wall.replace(fold=1).astimezone(UTC)
    # Where the clocks skip 00:00, the day begins as they do; it lies after the one reading and not after the other.
    while first - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(first - before) // timedelta(seconds=2))
        if middle.astimezone(zone).date() < day:
            before = middle
        else:
            first = middle
    return first
