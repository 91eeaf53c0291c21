"""Everything goes wrong at random: at the end each request is where it should be, and nothing is left behind.

The same seed gives the same faults, words and people's acts in the same order; the machine's pace is its own. Short
here; ``python -m tests.faults.run`` runs for as long as you like, with more workers and a database server to kill.
"""

import contextlib
import itertools
import json
import os
import time
from pathlib import Path

import pytest
from django.db import connection

from grokvideo_django import credits, services
from grokvideo_django.exceptions import GrokVideoError, InvalidTransition
from grokvideo_django.models import VideoRequest

from . import plan, words
from .chaos import Chaos, patiently
from .settling import Settling

SECONDS = float(os.environ.get("GROKVIDEO_FAULT_SECONDS", "0"))
SHORT_SEED, SHORT_STEPS = 1396, 7
"""No fault twice, no word that takes long."""
SEED = int(os.environ.get("GROKVIDEO_FAULT_SEED", "0")) or SHORT_SEED
WORKERS = int(os.environ.get("GROKVIDEO_FAULT_WORKERS", "2"))
SETTINGS = {"FETCH_SECONDS": 6, "MAX_BYTES": 4 * 1024 * 1024}
CANCEL_AFTER = 3
"""Steps from a start to the cancellation that its word is about."""


class Life:
    """What editors do while everything goes wrong."""

    def __init__(self, site) -> None:
        self.site = site
        self.requests: list[tuple[VideoRequest, str]] = []
        self._to_cancel: list[tuple[int, VideoRequest]] = []

    def go_on(self, number: int, step: plan.Step) -> None:
        for word in step.words:
            self.start(number, word)
        for due, request in list(self._to_cancel):
            if due <= number:
                self._to_cancel.remove((due, request))
                self.cancel(request)
        for pick in step.cancels:
            self.cancel(self.pick(pick))
        for pick in step.retries:
            self.retry(number, pick)

    def pick(self, pick: float) -> VideoRequest:
        return self.requests[int(pick * len(self.requests))][0]

    def start(self, number: int, word: str) -> None:
        """Pressed again until it is clear that it was started: the database may be away."""
        request = patiently(lambda: self.site.draft(words.prompt(len(self.requests), word)))
        self.requests.append((request, word))

        def press() -> None:
            with contextlib.suppress(InvalidTransition):  # it was, only the answer got lost
                services.start(request)

        patiently(press)
        self.note(number, request, word)

    def note(self, number: int, request: VideoRequest, word: str) -> None:
        if words.is_to_be_canceled(word):
            self._to_cancel.append((number + CANCEL_AFTER, request))

    def cancel(self, request: VideoRequest) -> None:
        """Too late is fine."""

        def press() -> None:
            with contextlib.suppress(InvalidTransition):
                services.cancel(request, actor="a person")

        patiently(press)

    def retry(self, number: int, pick: float) -> None:
        """Of what ended without a video: another one, with the same words and the same article."""
        old = self.pick(pick)
        word = next(word for request, word in self.requests if request == old)
        before = VideoRequest.objects.filter(retry_of=old)

        def press() -> None:
            now = VideoRequest.objects.get(pk=old.pk)
            if now.status in {VideoRequest.Status.FAILED, VideoRequest.Status.CANCELED} and not before.exists():
                with contextlib.suppress(GrokVideoError):
                    services.retry(now, actor="a person")

        patiently(press)
        for new in patiently(lambda: list(before)):
            if all(new != request for request, _word in self.requests):
                self.requests.append((new, word))
                self.note(number, new, word)

    def finish(self) -> None:
        """The cancellations that were still to come."""
        for _due, request in self._to_cancel:
            self.cancel(request)


@pytest.mark.skipif(not SECONDS and connection.vendor != "sqlite", reason="short on SQLite; long with tests.faults.run")
def test_random_faults(site):
    print(f"seed {SEED}")
    site.sandbox.options.link_seconds = 24 * 3600
    site.fleet.settings |= SETTINGS
    site.fleet.has_clocks = True
    credits.grant(site.editor, 10**6, reason="for a long run")
    for _cron in range(2):
        site.fleet.cron()
    for _worker in range(WORKERS):
        site.fleet.worker()
    chaos, life = Chaos(site), Life(site)
    began = time.monotonic()
    for number, step in enumerate(itertools.islice(plan.steps(SEED), None if SECONDS else SHORT_STEPS)):
        if SECONDS and time.monotonic() - began > SECONDS:
            break
        life.go_on(number, step)
        time.sleep(step.pause_seconds)
        chaos.strike(step)
        patiently(site.hurry)
        site.fleet.supervise()
    chaos.end()
    life.finish()

    settling = Settling(site, life.requests)
    settling.settle(seconds=120 + SECONDS / 2)
    restarts = site.fleet.restarts
    print(f"{len(life.requests)} requests, {restarts} restarts; faults: {chaos.struck}; left out: {chaos.left_out}")
    print(f"ended as: {settling.tally()}")
    if path := os.environ.get("GROKVIDEO_FAULT_TABLE"):
        Path(path).write_text(json.dumps(report(chaos, settling, restarts)))


def report(chaos: Chaos, settling: Settling, restarts: int) -> dict[str, object]:
    """For the table of ``tests.faults.run``."""
    faults = {
        fault: {"times": times, "under way": settling.tally(chaos.victims.get(fault, set()))}
        for fault, times in chaos.struck.items()
    }
    return {
        "requests": len(settling.requests),
        "restarts": restarts,
        "ends": settling.tally(),
        "posts": settling.posts,
        "faults": faults,
        "left out": dict(chaos.left_out),
        "words": settling.words(),
    }
