"""When to ask the gateway about a video. Pure: no clock, no database, no network.

A video is worth a read once it has probably been finished for some time: its *lateness*, the mean over all that may
have happened since it was last seen unfinished. What that time is, the *patience*, depends on how much of the request
budget is free; and when more are worth a read than the budget has room for, the latest go first.

The delays come in few distinct values, so that rows can be written back in as many statements.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Final

from .learning import Forecast, Kind

MIN_GAP_SECONDS: Final = 3.0
"""The gateway answers 304 to a job that is read more often."""
GAPS_SECONDS: Final = tuple(round(MIN_GAP_SECONDS * 1.15**number, 1) for number in range(33))
"""3 s to 263 s, in steps of 15 %."""
SHORTEST_PATIENCE_SECONDS: Final = 0.3
"""About a read in 4 s when half are ready. A third of it saves 0.5 s on average, for half as many reads again."""
LONGEST_PATIENCE_SECONDS: Final = 0.5
"""Where the budget is short the latest go first anyway."""
FAILED_SECONDS: Final = 15.0
LONGEST_FAILED_SECONDS: Final = 600.0
SPREAD: Final = 0.5
"""A read that failed waits up to this share longer, so that rows that failed together come back apart."""
UNKNOWN_JOB_TRIES: Final = 6
"""Reads in a row that do not know the job: about 8 minutes, then it is in doubt."""
FORGOTTEN_AFTER_SECONDS: Final = 7 * 86400.0
"""The gateway deletes a job's file after 7 days: there is nothing left to ask about."""

_GAPS_AFTER_FAILURE: Final = ((120.0, 15.0), (300.0, 16.0), (900.0, 40.0), (3600.0, 120.0))
HOUR: Final = 3600.0
_GAPS_IN_DOUBT: Final = ((36 * HOUR, HOUR), (48 * HOUR, 2 * HOUR), (72 * HOUR, 4 * HOUR), (120 * HOUR, 8 * HOUR))
_LAST_GAP_IN_DOUBT: Final = 12 * HOUR


def patience(in_flight: int, per_minute: float) -> float:
    """Seconds of lateness that are worth a read: the more videos share the request budget, the more.

    As many as the budget could read every 3 s are read as soon as the gateway allows once they can be done at all.
    """
    crowd = in_flight * 60 / (max(per_minute, 1) * MIN_GAP_SECONDS)
    return min(max(SHORTEST_PATIENCE_SECONDS * crowd, SHORTEST_PATIENCE_SECONDS), LONGEST_PATIENCE_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What is expected of the videos in flight, and how patient the site can be with them."""

    forecast: Forecast = field(default_factory=Forecast)
    patience_seconds: float = SHORTEST_PATIENCE_SECONDS

    def lateness(self, kind: Kind, seen_seconds: float, age_seconds: float) -> float:
        """Seconds for which a video has probably been finished, if it was unfinished when last seen."""
        return self.forecast.of(kind).curve.lateness(seen_seconds, age_seconds)

    def first_read(self, kind: Kind) -> float:
        """Seconds from its submission until a video is read for the first time."""
        return max(MIN_GAP_SECONDS, self.forecast.of(kind).curve.ripe(0, self.patience_seconds))

    def next_read(self, kind: Kind, age_seconds: float, *, deadline_seconds: float) -> float | None:
        """Seconds until the next read of a video that is unfinished now; None: past its deadline, so in doubt."""
        if age_seconds >= deadline_seconds:
            return None
        return stepped(self.forecast.of(kind).curve.ripe(age_seconds, self.patience_seconds) - age_seconds)


def stepped(gap_seconds: float) -> float:
    """A gap, rounded down to one of the few that occur."""
    return GAPS_SECONDS[max(0, bisect_right(GAPS_SECONDS, gap_seconds) - 1)]


def next_read_in_doubt(age_seconds: float) -> float | None:
    """Seconds until the next read of a job in doubt, 1 h growing to 12 h; None: the gateway has deleted it."""
    if age_seconds >= FORGOTTEN_AFTER_SECONDS:
        return None
    return next((gap for limit, gap in _GAPS_IN_DOUBT if age_seconds < limit), _LAST_GAP_IN_DOUBT)


def after_failed_read(
    age_seconds: float, retry_after: float | None, *, failures: int = 1, spread: float = 0.0
) -> float:
    """Seconds until a read that failed is tried again: what the gateway asks for, else slower than usual.

    ``failures`` are those in a row, with this one: each doubles the pause, up to 10 min. ``spread`` from 0 to 1 is the
    caller's random number; one for many rows, since each distinct result is a statement of its own.
    """
    usual = next((gap for limit, gap in _GAPS_AFTER_FAILURE if age_seconds < limit), LONGEST_FAILED_SECONDS)
    grown = growing(failures, first_seconds=FAILED_SECONDS, longest_seconds=LONGEST_FAILED_SECONDS)
    return max(usual, grown, retry_after or 0.0) * (1 + SPREAD * spread)


def growing(attempts: int, *, first_seconds: float = 5.0, longest_seconds: float = 300.0) -> float:
    """A pause that doubles with each attempt (counted from 1), for things whose end nobody can guess."""
    return min(first_seconds * 2.0 ** min(max(attempts - 1, 0), 16), longest_seconds)
