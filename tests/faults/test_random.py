"""A random kill loop: workers killed and stopped, Redis emptied and restarted, a gateway that misbehaves."""

import contextlib
import os
import random
import signal
import threading
import time

import pytest

from grokvideo_django import services
from grokvideo_django.exceptions import InvalidTransition
from grokvideo_django.models import VideoRequest

from . import books
from .conftest import Site
from .processes import send

Status = VideoRequest.Status

SECONDS = float(os.environ.get("GROKVIDEO_FAULT_SECONDS", "0"))
SEED = int(os.environ.get("GROKVIDEO_FAULT_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
WORDS = (
    "", "", "", "",
    "delay=1", "delay=3", "create-429=1*1", "create-503*1", "create-500*1", "lost-request", "lost-answer",
    "cut-answer", "no-id", "stall=1", "read-500*2", "read-lost*1", "read-html*1", "read-429=1*1", "read-stall=2*1",
    "media-503*1", "media-cut*1", "media-lost*1", "media-unsigned", "media-stall=2*1", "failed", "expired", "cancelled",
)  # fmt: skip
UNSURE = {"lost-request", "lost-answer", "cut-answer", "no-id"}


class Chaos:
    """One fault after the other, by the dice."""

    def __init__(self, site: Site, dice: random.Random) -> None:
        self.site = site
        self.dice = dice
        self.log: list[str] = []

    def strike(self) -> None:
        kills = [self.kill_worker, self.kill_horse, self.kill_both]
        others = [self.stop_horse, self.flush, self.restart, self.leases]
        fault = self.dice.choices([*kills, *others], weights=[3, 4, 4, 2, 2, 1, 2])[0]
        self.log.append(fault.__name__)
        fault()

    def _worker(self):
        workers = [process for process in self.site.fleet.processes if process.name.startswith("worker")]
        return self.dice.choice(workers)

    def kill_worker(self) -> None:
        self._worker().kill()

    def kill_horse(self) -> None:
        for horse in self._worker().horses():
            send(horse, signal.SIGKILL)

    def kill_both(self) -> None:
        self._worker().kill_with_horses()

    def stop_horse(self) -> None:
        """Past its lease, and on again, by a timer: in a transaction it stops with its locks, SQLite's whole file."""
        horses = self._worker().horses()
        for horse in horses:
            send(horse, signal.SIGSTOP)
        alarm = threading.Timer(self.dice.uniform(0.5, 2), lambda: [send(horse, signal.SIGCONT) for horse in horses])
        alarm.start()
        self.leases()
        alarm.join()

    def flush(self) -> None:
        self.site.redis.flush()

    def restart(self) -> None:
        self.site.redis.stop()
        time.sleep(self.dice.uniform(0, 0.5))
        self.site.redis.start()

    def leases(self) -> None:
        self.site.let_leases_run_out()


@pytest.mark.skipif(not SECONDS, reason="set GROKVIDEO_FAULT_SECONDS=20, or more, to kill at random for so long")
def test_random_kills(site):
    """The seed is printed: GROKVIDEO_FAULT_SEED repeats its dice, though not the machine's."""
    print(f"GROKVIDEO_FAULT_SEED={SEED}")
    dice = random.Random(SEED)
    site.fleet.cron()
    site.fleet.cron()
    for _worker in range(2):
        site.fleet.worker()
    chaos = Chaos(site, dice)
    requests: list[VideoRequest] = []
    ends_at = time.monotonic() + SECONDS
    while time.monotonic() < ends_at:
        for _request in range(dice.choice([0, 1, 1, 2])):
            if len(requests) < 190:
                word = dice.choice(WORDS)
                requests.append(site.start(f"Fox {len(requests)} " + (f"[sandbox:{word}]" if word else "")))
        if dice.random() < 0.15 and requests:
            cancel(dice.choice(requests))
        time.sleep(dice.uniform(0.1, 0.8))
        chaos.strike()
        site.hurry()
        site.fleet.supervise()

    print(f"{len(requests)} requests, {len(chaos.log)} faults, {site.fleet.restarts} restarts")
    wait_for_quiet(site, seconds=120 + SECONDS / 2)  # a download killed at the very end waits for its lease
    assert_all_explained(site, requests)
    site.assert_settled(seconds=40)


def cancel(request: VideoRequest) -> None:
    """Too late is fine."""
    with contextlib.suppress(InvalidTransition):
        services.cancel(request, actor="a person")


def wait_for_quiet(site: Site, *, seconds: float) -> None:
    """A healthy worker and a cron, and nothing waits any more, but for those in doubt."""

    def quiet() -> bool:
        site.fleet.supervise()
        site.hurry()
        site.ring_again_soon()
        site.let_dead_submissions_run_out()
        return not VideoRequest.objects.in_flight().exclude(status=Status.IN_DOUBT).exists()

    site.wait_for("quiet", quiet, seconds=seconds, pause=0.3)


def assert_all_explained(site: Site, requests: list[VideoRequest]) -> None:
    """Never two POSTs. Whatever the gateway accepted is stored, ended there, canceled or in doubt."""
    tally: dict[str, int] = {}
    for request in requests:
        request.refresh_from_db()
        tally[request.status] = tally.get(request.status, 0) + 1
        posts = site.posts(request)
        assert posts <= 1, f"request {request.pk} was paid for {posts} times"
        kinds = [event.kind for event in request.events.all()]
        match request.status:
            case Status.SUCCEEDED:
                assert posts == 1
                site.assert_attached(request)
            case Status.FAILED | Status.CANCELED:
                assert_nothing_was_made(site, request)
            case Status.IN_DOUBT:
                assert "in_doubt" in kinds
                assert request.error_message
            case _:
                pytest.fail(f"request {request.pk} is {request.status}\n{site.report()}", pytrace=False)
        assert sum(kinds.count(ending) for ending in ("succeeded", "canceled", "gateway_failed")) <= 1, kinds
    print(tally)
    assert books.missing_files() == []


def assert_nothing_was_made(site: Site, request: VideoRequest) -> None:
    """Released only if the gateway has no job for it, or one without a video."""
    for job in site.sandbox.jobs.values():
        if job.accepted.idempotency_key == request.key:
            assert site.sandbox.status(job.id) in {"failed", "expired", "cancelled", "canceled"}, request.pk
