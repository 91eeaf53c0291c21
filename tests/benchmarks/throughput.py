"""How many videos one stock ``rqworker`` brings home in a minute, where its time goes, and how much memory it takes.

All requests are started before the worker is, so that nothing but the worker is measured; the gateway answers at once
and has every video ready at the first read. Beside them, in the same run, through such a worker: jobs that do nothing.
Then what a round of the tick asks of the database with 10, 100 and 1,000 rows waiting.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Self

import django_rq
from django.contrib.auth.models import User
from django.db.models import Max, Min

from grokvideo_django import services, submission
from grokvideo_django.models import GatewayState, VideoRequest, VideoRequestEvent
from grokvideo_django.polling.reader import Reader

from ..faults.processes import Fleet, Process
from .stage import Gateway, machine, rich_user, stage, table, worker_settings
from .tick_cost import Bench

Status = VideoRequest.Status
NOTHING = "time.time"
ANSWERS = ("create 202", "read 200", "media 200")
BEAT_SECONDS = 0.1
PATIENCE_SECONDS = 600


class Memory:
    """The peaks of a worker and of its horses, in MB, as far as they can be seen from outside.

    Of the worker and of the largest horse the kernel keeps the peak; both together are looked at ten times a second.
    """

    def __init__(self, worker: Process) -> None:
        self._worker = worker
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.worker = self.both = 0.0
        self._cpu_ms: list[float] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def horse(self) -> float:
        """The largest of all processes that have ended: ask when the worker was waited for."""
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000

    def _watch(self) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            pid = self._worker.pid
            self.worker = max(self.worker, peak(pid))
            self._note_cpu(pid)
            children = _text(f"/proc/{pid}/task/{pid}/children").split()
            self.both = max(self.both, sum(_proportional(child) for child in [pid, *map(int, children)]))

    def _note_cpu(self, pid: int) -> None:
        fields = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()[11:15]
        own, of_system, of_horses, of_their_system = (int(field) for field in fields or "0000")
        if of_horses:  # the first one has ended, so the worker's own start is over
            self._cpu_ms.append((own + of_system + of_horses + of_their_system) * 1000 / os.sysconf("SC_CLK_TCK"))

    @property
    def cpu_ms(self) -> float:
        """Processor time of the worker and its horses, from the end of the first horse on."""
        return self._cpu_ms[-1] - self._cpu_ms[0] if self._cpu_ms else 0.0


def peak(pid: int) -> float:
    """The most that a process has held so far, in MB; 0 if it has ended."""
    for line in _text(f"/proc/{pid}/status").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1000
    return 0.0


def _proportional(pid: int) -> float:
    """MB of a process, with what it shares counted once among those that share it."""
    for line in _text(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1000
    return 0.0


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def wait_until_done(count: int) -> None:
    """Until all are stored. Raises SystemExit where one ends in another way, or after ten minutes."""
    ends_at = time.monotonic() + PATIENCE_SECONDS
    rows = VideoRequest.objects.all()
    while rows.filter(status=Status.SUCCEEDED).count() < count:
        wrong = rows.filter(status__in=[Status.FAILED, Status.IN_DOUBT, Status.CANCELED]).first()
        if wrong is not None or time.monotonic() > ends_at:
            sys.exit(f"Request {wrong and wrong.pk} is {wrong and wrong.status}: {wrong and wrong.error_message}")
        time.sleep(0.2)


def milliseconds_of_nothing(fleet: Fleet, count: int) -> float:
    """Of a job that does nothing, in a worker that is warm."""
    work = django_rq.get_queue("default")
    fleet.worker()
    first = work.enqueue(NOTHING, result_ttl=60)
    while not first.is_finished:
        time.sleep(0.05)
        first.refresh()
    jobs = [work.enqueue(NOTHING, result_ttl=600) for _ in range(count)]
    while not jobs[-1].is_finished:
        time.sleep(0.05)
        jobs[-1].refresh()
    jobs[0].refresh()
    fleet.retire()
    began_at, ended_at = jobs[0].started_at, jobs[-1].ended_at
    return (ended_at - began_at).total_seconds() * 1000 / count if began_at and ended_at else 0.0


def span(kind: str) -> tuple[datetime, datetime]:
    """When the first and when the last event of this kind was."""
    found = VideoRequestEvent.objects.filter(kind=kind).aggregate(first=Min("at"), last=Max("at"))
    return found["first"], found["last"]


def run(gateway: Gateway, owner: User, fleet: Fleet, count: int) -> None:
    """All requests through one worker; prints what came of it."""
    for _ in range(count):
        request = VideoRequest.objects.create(owner=owner, prompt="A fox crosses a lake", duration_seconds=1)
        services.start(request)
    ticks_before = GatewayState.objects.current().tick_token
    worker = fleet.worker()
    with Memory(worker) as memory:
        wait_until_done(count)
    began_at, last_sent_at = span("submitted")[0], span("submitted")[1]
    first_rendered_at, last_rendered_at = span("rendered")
    seconds = (span("succeeded")[1] - span("submitting")[0]).total_seconds()
    ticks = GatewayState.objects.current().tick_token - ticks_before
    fleet.retire()
    horse = memory.horse
    answers = gateway.state()["answers"]
    empty = milliseconds_of_nothing(fleet, count)
    jobs = 2 * count + ticks
    rows: list[tuple[str, object]] = [
        ("videos a minute", count / seconds * 60),
        ("seconds for all", seconds),
        ("… until the last was sent", (last_sent_at - began_at).total_seconds()),
        ("… until the first was seen to be finished", (first_rendered_at - began_at).total_seconds()),
        ("… until the last was seen to be finished", (last_rendered_at - began_at).total_seconds()),
        ("RQ jobs", f"{jobs} ({count} submissions, {count} downloads, {ticks} ticks)"),
        ("ms a job", seconds * 1000 / jobs),
        ("ms of processor time a job", memory.cpu_ms / jobs),
        ("ms of a job that does nothing, in a worker of its own", empty),
        ("share of RQ's own work", f"{empty * jobs / seconds / 10:.0f} %"),
        ("POSTs, reads, downloads", ", ".join(str(answers.get(kind, 0)) for kind in ANSWERS)),
        ("peak MB: worker, its horse", f"{memory.worker:.0f}, {horse:.0f}"),
        ("peak MB: both, shared pages once", memory.both),
    ]
    print(f"{count} requests through one stock rqworker. {machine()}.\n")
    table(["figure", "value"], rows)


def queries(gateway: Gateway, owner: User) -> None:
    """Of one round of the tick and of a whole tick, by the rows that wait; a tenth of them is due."""
    with Reader(submission.client) as reader:
        bench = Bench(gateway, owner, reader)
        lines = [bench.row(waiting=waiting, due=max(1, waiting // 10), times=3) for waiting in (10, 100, 1_000)]
    print("\nQueries, with so many rows waiting.\n")
    head = ["rows waiting", "rows due", "queries of a round", "queries of a whole tick"]
    table(head, [[*line[:2], line[3], line[8]] for line in lines])


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="throughput")
    parser.add_argument("--requests", type=int, default=200)
    options = parser.parse_args(arguments)
    with stage() as gateway, tempfile.TemporaryDirectory() as logs:
        fleet = Fleet(Path(logs), worker_settings())
        owner = rich_user()
        try:
            run(gateway, owner, fleet, options.requests)
        finally:
            fleet.retire()
        queries(gateway, owner)
