"""What a tick does besides reading: rows that nobody looks after, accounts, files and videos whose time is over."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

from django.utils import timezone

from .. import credits
from ..lifecycle import expiring, reading, site, storing, submitting
from ..lifecycle.starting import RING_AGAIN_SECONDS
from ..models import GatewayState, VideoRequest
from .answers import PUT_ASIDE_SECONDS

log = logging.getLogger("grokvideo_django")

ROUND_ROWS: Final = 500

Status = VideoRequest.Status


class Doorbell(Protocol):
    """What upkeep needs of the queue."""

    def room(self) -> int: ...
    def submit(self, pks: Iterable[int]) -> None: ...
    def fetch(self, pks: Iterable[int]) -> None: ...


def once_a_tick() -> None:
    """What may wait for a tick: accounts, warnings, and what could not be delivered."""
    # Grants expire first, so that what is left of them is known when the next allowance is issued.
    for act in (credits.expire_due, credits.issue_due, expiring.warn):
        try:
            act(timezone.now())
        except Exception:
            log.exception("%s could not be done.", act.__name__)
    due = VideoRequest.objects.due(timezone.now()).filter(expiring.UNDELIVERED)
    for pk in due.values_list("pk", flat=True)[:ROUND_ROWS]:
        _guarded(storing.undelivered, pk)


def look_after(bell: Doorbell, state: GatewayState) -> None:
    """Rows in other hands that are due: nobody took them in time, or who did is dead."""
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
        _guarded(submitting.abandoned, pk)
    if by_status[Status.QUEUED] or too_old:
        _queued(bell, state, by_status[Status.QUEUED], too_old)
    waiting = [*by_status[Status.RENDERED], *by_status[Status.SUCCEEDED]]
    _ring_again(waiting, bell, bell.fetch)


def _queued(bell: Doorbell, state: GatewayState, pks: list[int], too_old: list[int]) -> None:
    """Rows whose submission nobody took. While the site is paused they do not age, and only a probe goes out."""
    now = timezone.now()
    if not state.is_paused:
        for pk in too_old:
            _guarded(submitting.too_old, pk)
        _ring_again(pks, bell, bell.submit)
        return
    pks = pks + too_old
    if state.let_one_through:
        first = site.first_to_try(VideoRequest.objects.filter(pk__in=pks, status=Status.QUEUED))
        _ring_again([pk for pk in pks if pk == first], bell, bell.submit)
        pks = [pk for pk in pks if pk != first]
    later = max(state.probe_at or now, now + timedelta(seconds=RING_AGAIN_SECONDS))
    reading.ring_again(pks, now=now, due_at=later)


def _ring_again(pks: Sequence[int], bell: Doorbell, ring: Callable[[Iterable[int]], None]) -> None:
    pks = pks[: bell.room()] if pks else pks
    if pks:
        now = timezone.now()
        reading.ring_again(pks, now=now, due_at=now + timedelta(seconds=RING_AGAIN_SECONDS * 2))
        ring(pks)


def _guarded(act: Callable[[int, datetime], bool], pk: int) -> None:
    """One row that raises does not stop the others: it waits, they go on."""
    now = timezone.now()
    try:
        act(pk, now)
    except Exception:
        log.exception("Request %s could not be looked after.", pk)
        reading.wait_on(pk, now=now, due_at=now + timedelta(seconds=PUT_ASIDE_SECONDS))
