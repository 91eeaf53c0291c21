"""When to ask the gateway about a video. Pure: no clock, no database, no network.

The delays come in few distinct values, so that rows can be written back in as many statements.
"""

from __future__ import annotations

from typing import Final

FIRST_READ_SECONDS: Final = 4.0
MIN_GAP_SECONDS: Final = 3.0
"""The gateway answers 304 to a job that is read more often."""
IN_DOUBT_SECONDS: Final = 3600.0
UNKNOWN_JOB_SECONDS: Final = 30.0
UNKNOWN_JOB_AFTER_SECONDS: Final = 600.0
FORGOTTEN_AFTER_SECONDS: Final = 7 * 86400.0
"""The gateway deletes a job's file after 7 days: there is nothing left to ask about."""

_GAPS: Final = ((120.0, 4.0), (300.0, 8.0), (900.0, 20.0), (3600.0, 60.0))
_LAST_GAP: Final = 300.0


def next_read(age_seconds: float, *, deadline_seconds: float) -> float | None:
    """Seconds until the next read of a submitted job of this age; None: past its deadline, so in doubt."""
    if age_seconds >= deadline_seconds:
        return None
    return next((gap for limit, gap in _GAPS if age_seconds < limit), _LAST_GAP)


def next_read_in_doubt(age_seconds: float) -> float | None:
    """Seconds until the next read of a job in doubt; None: the gateway has deleted it."""
    return IN_DOUBT_SECONDS if age_seconds < FORGOTTEN_AFTER_SECONDS else None


def after_failed_read(age_seconds: float, retry_after: float | None) -> float:
    """Seconds until a read that failed is tried again: what the gateway asks for, else slower than usual."""
    usual = next((gap for limit, gap in _GAPS if age_seconds < limit), _LAST_GAP)
    return max(usual * 2, 15.0, retry_after or 0.0)


def growing(attempts: int, *, first_seconds: float = 5.0, longest_seconds: float = 300.0) -> float:
    """A pause that doubles with each attempt (counted from 1), for things whose end nobody can guess."""
    return min(first_seconds * 2.0 ** min(max(attempts - 1, 0), 16), longest_seconds)
