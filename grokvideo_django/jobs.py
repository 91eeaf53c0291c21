"""The RQ entry points. A job carries a primary key, and may be lost, doubled, late or killed at any line."""

from __future__ import annotations

import logging

from django.utils import timezone

from . import queue, submission
from .media import attach as attaching
from .media import fetch as fetching
from .media import sweep as sweeping
from .polling import rate
from .polling import tick as ticking

log = logging.getLogger("grokvideo_django")


def submit(pk: int) -> None:
    """Send one queued request, then make sure that somebody asks about it."""
    try:
        submission.submit(pk)
    finally:
        queue.ring()


def fetch(pk: int) -> None:
    """Bring one finished video home, then attach it."""
    try:
        fetching.fetch(pk, new_client=submission.client, gate=rate.gate())
        attaching.attach(pk)
    finally:
        queue.ring()


def tick(loop_seconds: float = ticking.LOOP_SECONDS) -> bool:
    """Ask about all videos that are due, and look after every row that nobody looks after."""
    try:
        sweeping.sweep(timezone.now())
    except Exception:
        log.exception("Forgotten files could not be looked after.")  # files can wait, videos cannot
    return ticking.run(queue.Bell(), new_client=submission.client, gate=rate.gate(), loop_seconds=loop_seconds)
