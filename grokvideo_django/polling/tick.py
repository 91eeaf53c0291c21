"""The tick: one loop of some seconds for the whole site, that asks about all videos that are due.

It holds a lease with a fencing token in the database, reads many jobs at once within the site's request budget, writes
buckets, rings for rows that nobody looks after, yields as soon as the queue has other work, and ends when nothing is in
flight. It never holds a transaction while it waits for the network, and never waits for a video.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

from django.db.models import Q
from django.utils import timezone

from .. import crash, credits
from ..gateway import GatewayClient
from ..lifecycle import reading, site, submitting
from ..lifecycle.starting import RING_AGAIN_SECONDS
from ..models import GatewayState, VideoRequest
from ..models.requests import VideoRequestQuerySet
from .answers import PUT_ASIDE_SECONDS, Round
from .rate import RateGate
from .reader import MAX_THREADS, Reader

log = logging.getLogger("grokvideo_django")

LEASE_SECONDS: Final = 5.0
"""Of the tick and of the rows that it reads, renewed every second: a killed worker stops the polling for so long."""
LOOP_SECONDS: Final = 25.0
ROUND_ROWS: Final = 500
ROUND_READS: Final = 2 * MAX_THREADS
"""Written when the last answer is in: at most two READ_TIMEOUTs, whatever the gateway does."""
SHORTEST_NAP_SECONDS: Final = 0.1
LONGEST_NAP_SECONDS: Final = 1.0
SOON_SECONDS: Final = 60.0
AFTER_FAULT_SECONDS: Final = 2.0

Status = VideoRequest.Status


class Bell(Protocol):
    """What a tick needs of the queue."""

    def clear(self) -> None: ...
    def ring(self) -> None: ...
    def room(self) -> int: ...
    def submit(self, pks: Iterable[int]) -> None: ...
    def fetch(self, pks: Iterable[int]) -> None: ...
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


def needs_tick() -> bool:
    """Whether rows need a tick soon."""
    return _wakeful().exists()


def _wakeful() -> VideoRequestQuerySet:
    """Rows that keep the tick going. What is in doubt is read so rarely that cron is soon enough."""
    soon = timezone.now() + timedelta(seconds=SOON_SECONDS)
    return VideoRequest.objects.in_flight().filter(~Q(status=Status.IN_DOUBT) | Q(due_at__lte=soon))


class Tick:
    """One worker's turn."""

    def __init__(self, bell: Bell, reader: Reader, gate: RateGate, token: int) -> None:
        """``reader`` asks, ``gate`` says how often, ``bell`` is the queue, ``token`` is the tick's lease."""
        self._bell = bell
        self._reader = reader
        self._gate = gate
        self._token = token
        self._pause = 0.0
        """Seconds until the request budget has room for more reads."""

    def loop(self, seconds: float) -> None:
        """Rounds until the time is up, other work waits, nothing is in flight, or the lease is lost."""
        ends_at = time.monotonic() + seconds
        self._keep_accounts()
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
        self._look_after()
        self._read()

    def _nap(self) -> float | None:
        """Seconds until something is due, at most one; None if nothing is in flight."""
        # Not MIN: MariaDB then looks at every row in flight instead of the first of the index.
        next_due = _wakeful().order_by("due_at").values_list("due_at", flat=True).first()
        if next_due is None:
            return None
        seconds: float = (next_due - timezone.now()).total_seconds()
        return min(max(seconds, self._pause, SHORTEST_NAP_SECONDS), LONGEST_NAP_SECONDS)

    def _look_after(self) -> None:
        now = timezone.now()
        due = VideoRequest.objects.due(now).exclude(status__in=reading.READABLE)
        by_status: dict[str, list[int]] = defaultdict(list)
        too_old: list[int] = []
        for pk, status, expires_at in due.values_list("pk", "status", "queue_expires_at")[:ROUND_ROWS]:
            if status == Status.QUEUED and expires_at is not None and expires_at <= now:
                too_old.append(pk)
            else:
                by_status[status].append(pk)
        for pk in by_status[Status.SUBMITTING]:
            self._guarded(submitting.abandoned, pk)
        if by_status[Status.QUEUED] or too_old:
            self._queued(by_status[Status.QUEUED], too_old)
        waiting = [*by_status[Status.RENDERED], *by_status[Status.SUCCEEDED]]
        self._ring_again(waiting, self._bell.fetch)

    def _queued(self, pks: list[int], too_old: list[int]) -> None:
        """Rows whose submission nobody took. While the site is paused they do not age, and only a probe goes out."""
        state, now = GatewayState.objects.current(), timezone.now()
        if not state.is_paused:
            for pk in too_old:
                self._guarded(submitting.too_old, pk)
            self._ring_again(pks, self._bell.submit)
            return
        pks = pks + too_old
        if state.probe_at is not None and state.probe_at <= now:
            self._ring_again(pks[:1], self._bell.submit)
            pks = pks[1:]
        later = max(state.probe_at or now, now + timedelta(seconds=RING_AGAIN_SECONDS))
        reading.ring_again(pks, now=now, due_at=later)

    def _ring_again(self, pks: Sequence[int], ring: Callable[[Iterable[int]], None]) -> None:
        pks = pks[: self._bell.room()] if pks else pks
        if pks:
            now = timezone.now()
            reading.ring_again(pks, now=now, due_at=now + timedelta(seconds=RING_AGAIN_SECONDS * 2))
            ring(pks)

    def _read(self) -> None:
        now = timezone.now()
        due = VideoRequest.objects.due(now).filter(status__in=reading.READABLE)
        pks = list(due.values_list("pk", flat=True)[:ROUND_READS])
        permit = self._gate.take(len(pks), "read")
        self._pause = permit.wait_seconds if permit.granted < len(pks) else 0.0
        if not permit.granted:
            return
        pks = pks[: permit.granted]
        token = reading.claim(pks, now=now, until=now + timedelta(seconds=LEASE_SECONDS))
        rows = reading.claimed(token, pks)
        crash.point("tick.claimed")
        answers = self._reader.ask(rows, beat=lambda: self._beat(token))
        crash.point("tick.read")
        result = Round(token, timezone.now(), self._gate)
        result.take(answers)
        self._bell.fetch(result.write())

    def _renew(self) -> bool:
        return site.renew_tick(self._token, timezone.now(), seconds=LEASE_SECONDS)

    def _beat(self, token: uuid.UUID) -> None:
        """The gateway takes its time: the leases go on."""
        self._renew()
        reading.renew(token, until=timezone.now() + timedelta(seconds=LEASE_SECONDS))

    def _keep_accounts(self) -> None:
        """Expire grants first, so that what is left of them is known when the next allowance is issued."""
        for act in (credits.expire_due, credits.issue_due):
            try:
                act(timezone.now())
            except Exception:
                log.exception("The accounts could not be looked after.")

    def _guarded(self, act: Callable[[int, datetime], bool], pk: int) -> None:
        """One row that raises does not stop the others: it waits, they go on."""
        now = timezone.now()
        try:
            act(pk, now)
        except Exception:
            log.exception("Request %s could not be looked after.", pk)
            reading.wait_on(pk, now=now, due_at=now + timedelta(seconds=PUT_ASIDE_SECONDS))
