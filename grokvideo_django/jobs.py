"""The RQ entry points. A job carries a primary key, and may be lost, doubled, late or killed at any line."""

from __future__ import annotations

import logging
import socket
from datetime import datetime
from typing import Final

from django.utils import timezone

from . import queue, submission, transactions
from .lifecycle import reading
from .media import attach as attaching
from .media import fetch as fetching
from .media import sweep as sweeping
from .polling import rate
from .polling import tick as ticking

log = logging.getLogger("grokvideo_django")

SKEW_SECONDS: Final = 20.0
"""Leases are longer than that; a clock that is wrong by more lets others take them for over."""
SAY_AGAIN_SECONDS: Final = 3600
CLOCK_KEY: Final = "grokvideo:clock"


def submit(pk: int) -> None:
    """Send one queued request, then make sure that somebody asks about it."""
    try:
        submission.submit(pk)
    finally:
        _look_in_passing()
        queue.ring()


def fetch(pk: int) -> None:
    """Bring one finished video home, then attach it."""
    try:
        fetching.fetch(pk, new_client=submission.client, gate=rate.gate())
        attaching.attach(pk)
    finally:
        _look_in_passing()
        queue.ring()


def _look_in_passing() -> None:
    """A queue full of other jobs does not keep the site from seeing what is ready."""
    try:
        ticking.in_passing(queue.Bell(), new_client=submission.client, gate=rate.gate())
    except Exception:
        log.exception("What is due could not be read in passing; the next tick does.")


def tick(loop_seconds: float = ticking.LOOP_SECONDS) -> bool:
    """Ask about all videos that are due, and look after every row that nobody looks after."""
    for what, look_after in (("Forgotten files", sweeping.sweep), ("Clocks", _look_at_clocks)):
        try:
            look_after(timezone.now())
        except Exception:
            log.exception("%s could not be looked after.", what)  # they can wait, videos cannot
    return ticking.run(queue.Bell(), new_client=submission.client, gate=rate.gate(), loop_seconds=loop_seconds)


def _look_at_clocks(now: datetime) -> None:
    """Say it when ours is wrong, and bring back rows that a wrong one has put off for hours."""
    database_now = transactions.database_now()
    ahead_seconds = (now - database_now).total_seconds()
    if abs(ahead_seconds) > SKEW_SECONDS:
        _complain(ahead_seconds)
    reading.bring_back(database_now)


def _complain(ahead_seconds: float) -> None:
    """Once an hour and host: ticks come every few seconds."""
    if queue.is_first(f"{CLOCK_KEY}:{socket.gethostname()}", seconds=SAY_AGAIN_SECONDS):
        how = "ahead of" if ahead_seconds > 0 else "behind"
        log.warning("This machine's clock is %.0f s %s the database's. Set it.", abs(ahead_seconds), how)
