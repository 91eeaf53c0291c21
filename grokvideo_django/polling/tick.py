"""The tick: one loop of some seconds for the whole site, that asks about all videos that are due.

It holds a lease with a fencing token in the database, reads many jobs at once within the site's request budget, writes
buckets, rings for rows that nobody looks after, yields as soon as the queue has other work, and ends when nothing is in
flight. It never holds a transaction while it waits for the network, and never waits for a video.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final, Protocol

from django.db.models import Q
from django.utils import timezone

from ..gateway import GatewayClient
from ..lifecycle import site
from ..models import GatewayState, VideoRequest
from ..models.querying import VideoRequestQuerySet
from . import probing, upkeep
from .rate import RateGate
from .reader import Reader
from .reads import Reads

log = logging.getLogger("grokvideo_django")

LEASE_SECONDS: Final = 5.0
"""Renewed every second: a killed worker stops the polling for so long."""
LOOP_SECONDS: Final = 25.0
SHORTEST_NAP_SECONDS: Final = 0.1
LONGEST_NAP_SECONDS: Final = 1.0
SOON_SECONDS: Final = 60.0
AFTER_FAULT_SECONDS: Final = 2.0
UNSEEN_SECONDS: Final = 1.5
"""A tick that lives renews its lease every second."""
CATCH_UP_SECONDS: Final = 1.0
SUBMISSION_WORTH_SECONDS: Final = 5.0
"""While submissions wait, a read in passing must be worth as much as sending one. The less, the sooner what is ready is
seen, and the later what waits is sent: of a request budget that is too small for both, each read takes a submission."""

Status = VideoRequest.Status


class Bell(upkeep.Doorbell, Protocol):
    """What a tick needs of the queue."""

    def clear(self) -> None: ...
    def ring(self) -> None: ...
    def has_other_work(self) -> bool: ...


def run(
    bell: Bell, *, new_client: Callable[[], GatewayClient], gate: RateGate, loop_seconds: float = LOOP_SECONDS
) -> bool:
    """Tick for ``loop_seconds`` (0: one round). False: another worker has the lease, and does the same."""
    bell.clear()  # first: a tick that finds the lease taken has answered its bell too
    token = site.acquire_tick(timezone.now(), seconds=LEASE_SECONDS)
    if token is None:
        return False
    try:
        with Reader(new_client) as reader:
            Tick(bell, reader, gate, token).loop(loop_seconds)
    except Exception:
        time.sleep(AFTER_FAULT_SECONDS)  # what raised may raise again: the successor does not come at once
        raise
    finally:
        site.release_tick(token)
        # Only after the lease is given back: what was started in between found it taken, and rang for nothing.
        if needs_tick():
            bell.ring()
    return True


def in_passing(bell: Bell, *, new_client: Callable[[], GatewayClient], gate: RateGate) -> bool:
    """For jobs that have done something else: read what is due, if nobody has looked for a while. False: somebody has.

    A queue full of work keeps the tick behind it, and one that yields at once reads little.
    """
    token = site.acquire_tick(timezone.now(), seconds=LEASE_SECONDS, idle_seconds=UNSEEN_SECONDS)
    if token is None:
        return False
    try:
        with Reader(new_client) as reader:
            Tick(bell, reader, gate, token).catch_up(CATCH_UP_SECONDS)
    finally:
        site.release_tick(token)
    return True


def needs_tick() -> bool:
    """Whether rows need a tick soon."""
    return _wakeful().exists()


def _wakeful() -> VideoRequestQuerySet:
    """Rows that keep the tick going. What is in doubt is read so rarely that cron is soon enough."""
    soon = timezone.now() + timedelta(seconds=SOON_SECONDS)
    return VideoRequest.objects.in_flight().filter(~Q(status=Status.IN_DOUBT) | Q(due_at__lte=soon))


def _submissions_wait() -> bool:
    """Whether reads take something from submissions. From those of a paused site they take nothing."""
    queued = VideoRequest.objects.filter(status=Status.QUEUED)
    return queued.exists() and not GatewayState.objects.current().is_paused


class Tick:
    """One worker's turn."""

    def __init__(self, bell: Bell, reader: Reader, gate: RateGate, token: int) -> None:
        """``reader`` asks, ``gate`` says how often, ``bell`` is the queue, ``token`` is the tick's lease."""
        self._bell = bell
        self._reader = reader
        self._gate = gate
        self._token = token
        self._reads = Reads(reader, gate, fetch=bell.fetch, renew=self._renew)

    def loop(self, seconds: float) -> None:
        """Rounds until the time is up, other work waits, nothing is in flight, or the lease is lost."""
        ends_at = time.monotonic() + seconds
        upkeep.once_a_tick()
        while True:
            self.round()
            nap = self._nap()
            if nap is None or time.monotonic() + nap >= ends_at or self._bell.has_other_work():
                return
            time.sleep(nap)
            if not self._renew():
                return

    def round(self) -> None:
        """Look after every row that is due."""
        upkeep.look_after(self._bell, self._probe())
        self._reads.round()

    def catch_up(self, seconds: float) -> None:
        """Only read: what is due, and while the request budget is what holds it up, for so long."""
        ends_at = time.monotonic() + seconds
        worth_seconds = SUBMISSION_WORTH_SECONDS if _submissions_wait() else 0.0
        self._reads.round(worth_seconds=worth_seconds)
        while (nap := self._reads.pressed_seconds) and time.monotonic() + nap < ends_at:
            time.sleep(nap)
            self._reads.round(worth_seconds=worth_seconds)

    def _nap(self) -> float | None:
        """Seconds until something is due, at most one; None if nothing is in flight."""
        # Not MIN: MariaDB then looks at every row in flight instead of the first of the index.
        next_due = _wakeful().order_by("due_at").values_list("due_at", flat=True).first()
        if next_due is None:
            return None
        seconds: float = (next_due - timezone.now()).total_seconds()
        return min(max(seconds, self._reads.pressed_seconds, SHORTEST_NAP_SECONDS), LONGEST_NAP_SECONDS)

    def _probe(self) -> GatewayState:
        """Look whether a paused site may resume; the state as it is then."""
        state = GatewayState.objects.current()
        try:
            if probing.probe(state, self._reader, self._gate, beat=self._renew):
                return GatewayState.objects.current()
        except Exception:
            log.exception("The paused gateway could not be probed.")
        return state

    def _renew(self) -> bool:
        return site.renew_tick(self._token, timezone.now(), seconds=LEASE_SECONDS)
