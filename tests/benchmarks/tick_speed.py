"""What a read costs in processor time: the tick with its reader and its writes, beside a plain loop over httpx.

All talk to the same server in another process, which has its answer ready, over as many connections from as many
threads. No rate limit. Processor time of this process is what is compared: on a busy machine the clock on the wall says
little.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx

from grokvideo_django import submission
from grokvideo_django.models import VideoRequest
from grokvideo_django.polling.reader import MAX_THREADS, Reader
from grokvideo_django.polling.reads import ROUND_READS

from .canned import Canned
from .stage import AT_ONCE, machine, rich_user, stage, table
from .tick_cost import Bench

HEAD = ["what reads", "reads", "ms of processor time a read", "reads a second of it", "of bare httpx", "reads a second"]
AIM = 0.7


@dataclass
class Speed:
    """Of one way to read."""

    name: str
    reads: int = 0
    processor_seconds: float = 0.0
    seconds: float = 0.0

    def add(self, work: Callable[[], object], reads: int) -> None:
        began_at, processor_began_at = time.perf_counter(), time.process_time()
        work()
        self.seconds += time.perf_counter() - began_at
        self.processor_seconds += time.process_time() - processor_began_at
        self.reads += reads

    @property
    def milliseconds(self) -> float:
        return self.processor_seconds * 1000 / self.reads


class Bare:
    """Threads with one ``httpx.Client`` each, and nothing else."""

    def __init__(self, canned: Canned, stack: contextlib.ExitStack) -> None:
        self._base_url = canned.settings["BASE_URL"]
        context = httpx.create_ssl_context(trust_env=False)
        headers = {"Authorization": f"Bearer {canned.settings['API_KEY']}"}
        self._clients = [
            stack.enter_context(httpx.Client(headers=headers, verify=context, trust_env=False))
            for _ in range(MAX_THREADS)
        ]
        self._pool = stack.enter_context(ThreadPoolExecutor(MAX_THREADS))

    def read(self, job_ids: Sequence[str]) -> None:
        shares = [job_ids[n::MAX_THREADS] for n in range(MAX_THREADS)]
        list(self._pool.map(self._share, self._clients, shares))

    def _share(self, client: httpx.Client, job_ids: Sequence[str]) -> None:
        for job_id in job_ids:
            assert client.get(f"{self._base_url}/jobs/{job_id}").json()["status"] == "processing"


def compare(rounds: int) -> list[Speed]:
    """In turns, so that all meet the same weather."""
    speeds = [Speed("bare httpx"), Speed("the tick's reader"), Speed("the tick: reads and writes")]
    with contextlib.ExitStack() as stack:
        canned = Canned(stack)
        stack.enter_context(stage(AT_ONCE, **canned.settings))
        reader = stack.enter_context(Reader(submission.client))
        print(f"{MAX_THREADS} threads, rounds of {ROUND_READS} reads. {machine()}.\n")
        bare, bench = Bare(canned, stack), Bench(canned, rich_user(), reader)
        bench.let_be_due(ROUND_READS)
        rows = list(VideoRequest.objects.filter(pk__in=bench.due))
        job_ids = [row.gateway_job_id or "" for row in rows]
        ways = [lambda: bare.read(job_ids), lambda: reader.ask(rows, beat=lambda: None), bench.round]
        for work in ways:  # threads and connections are made
            work()
        for _ in range(rounds):
            for speed, work in zip(speeds, ways, strict=True):
                bench.let_be_due(ROUND_READS)
                speed.add(work, ROUND_READS)
    return speeds


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="tick_speed")
    parser.add_argument("--rounds", type=int, default=40, help=f"of {ROUND_READS} reads")
    options = parser.parse_args(arguments)
    speeds = compare(options.rounds)
    bare = speeds[0].milliseconds
    table(
        HEAD,
        [
            [
                speed.name,
                speed.reads,
                speed.milliseconds,
                1000 / speed.milliseconds,
                f"{bare / speed.milliseconds:.0%}",
                speed.reads / speed.seconds,
            ]
            for speed in speeds
        ],
    )
    share = bare / speeds[-1].milliseconds
    print(f"\nThe tick reaches {share:.0%} of bare httpx; the aim is {AIM:.0%}.")
