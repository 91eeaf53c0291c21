"""The reads of a tick: which rows, how many, and what comes of them."""

from __future__ import annotations

import heapq
import logging
import math
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from django.utils import timezone

from .. import conf, crash
from ..lifecycle import expiring, reading
from ..models import VideoRequest
from . import history
from .answers import Round
from .learning import Kind
from .rate import RateGate
from .reader import MAX_THREADS, Reader
from .schedule import Outlook

log = logging.getLogger("grokvideo_django")

LEASE_SECONDS: Final = 5.0
"""Of the rows that are read, renewed every second."""
ROUND_READS: Final = 2 * MAX_THREADS
"""Written when the last answer is in: at most two READ_TIMEOUTs, whatever the gateway does."""
CANDIDATES: Final = 2000
"""Of those that have been due the longest; the budget's next reads go to the latest of them."""
LEARN_SECONDS: Final = 10.0
PRESSED_NAP_SECONDS: Final = 0.25
"""While more are due than the request budget has room for: a few reads a round, not one."""

SEEN: Final = ("pk", "status", "submitted_at", "last_read_at", "cancel_requested_at", *history.KIND_COLUMNS)

Status = VideoRequest.Status


class Reads:
    """Reads what is due, the latest first, as far as the request budget goes."""

    def __init__(
        self, reader: Reader, gate: RateGate, *, fetch: Callable[[list[int]], object], renew: Callable[[], object]
    ) -> None:
        """``fetch`` is told what is rendered; ``renew`` keeps the tick's lease while answers are waited for."""
        self._reader = reader
        self._gate = gate
        self._fetch = fetch
        self._renew = renew
        self._wait_seconds = 0.0
        self._per_minute = conf.current().REQUESTS_PER_MINUTE
        self._outlook = Outlook()
        self._learn_at = 0.0

    @property
    def pressed_seconds(self) -> float:
        """Seconds until the request budget has room for some of what is due; 0 while it has room for all."""
        return max(self._wait_seconds, PRESSED_NAP_SECONDS) if self._wait_seconds else 0.0

    def round(self, *, worth_seconds: float = 0.0) -> None:
        """One round: ask about many at once, write what is learned together.

        Only about those that have probably been finished for ``worth_seconds``.
        """
        now = timezone.now()
        due = VideoRequest.objects.due(now).filter(status__in=reading.READABLE).exclude(expiring.UNDELIVERED)
        candidates: list[Any] = list(due.values_list(*SEEN, named=True)[:CANDIDATES])
        if candidates:
            self._learn()
        if worth_seconds:
            candidates = [row for row in candidates if self._lateness(row, now) >= worth_seconds]
        if not candidates:
            self._wait_seconds = 0.0
            return
        granted = self._room_for(min(len(candidates), ROUND_READS))
        if granted:
            self._ask(self._latest(candidates, granted, now), now)

    def _room_for(self, wanted: int) -> int:
        permit = self._gate.take(wanted, "read")
        self._per_minute = permit.per_minute
        self._wait_seconds = permit.wait_seconds if permit.granted < wanted else 0.0
        return permit.granted

    def _ask(self, pks: Sequence[int], now: datetime) -> None:
        token = reading.claim(pks, now=now, until=now + timedelta(seconds=LEASE_SECONDS))
        rows = reading.claimed(token, pks)
        crash.point("tick.claimed")
        answers = self._reader.ask(rows, beat=lambda: self._beat(token))
        crash.point("tick.read")
        result = Round(token, timezone.now(), self._gate, outlook=self._outlook, asked_at=now)
        result.take(answers)
        self._fetch(result.write())

    def _latest(self, candidates: Sequence[Any], count: int, now: datetime) -> list[int]:
        """Of more rows than can be read now those that have probably been finished the longest."""
        if len(candidates) <= count:
            return [row.pk for row in candidates]
        return [row.pk for row in heapq.nlargest(count, candidates, key=lambda row: self._lateness(row, now))]

    def _lateness(self, row: Any, now: datetime) -> float:
        """Seconds for which it has probably been finished."""
        if row.status != Status.SUBMITTED or row.cancel_requested_at is not None or row.submitted_at is None:
            return math.inf  # read seldom, or to be canceled
        seen = (row.last_read_at - row.submitted_at).total_seconds() if row.last_read_at is not None else 0.0
        kind = Kind(row.model, row.operation, row.duration_seconds, row.resolution)
        return self._outlook.lateness(kind, seen, (now - row.submitted_at).total_seconds())

    def _learn(self) -> None:
        """Look at the site's history again, now and then. Without it, it is read by what was known before."""
        if time.monotonic() < self._learn_at:
            return
        self._learn_at = time.monotonic() + LEARN_SECONDS
        try:
            self._outlook = history.look_ahead(timezone.now(), per_minute=self._per_minute)
            history.publish(self._outlook)
        except Exception:
            log.exception("Nothing could be learned from the site's finished requests.")

    def _beat(self, token: uuid.UUID) -> None:
        """The gateway takes its time: the leases go on."""
        self._renew()
        reading.renew(token, until=timezone.now() + timedelta(seconds=LEASE_SECONDS))
