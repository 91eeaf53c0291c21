"""What one round of the tick costs, and a whole tick of one round: by how many rows wait, and by how many are due.

The real tick in this process, on the real database, with the sandbox in another process. Every due row has a job of its
own that stays pending; the other rows wait for a time far away. A whole tick is what the RQ job does: the sweep, the
lease, expired grants, the round, and the look at what comes next; and its connections to the gateway are new.
"""

from __future__ import annotations

import argparse
import statistics
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from grokvideo_django import jobs, queue, submission
from grokvideo_django.models import VideoRequest
from grokvideo_django.polling import rate
from grokvideo_django.polling.reader import Reader
from grokvideo_django.polling.reads import ROUND_READS
from grokvideo_django.polling.tick import Tick

from .stage import machine, rich_user, stage, submitted, table

AGE_SECONDS = 45.0
HEAD = [
    "rows waiting", "rows due", "rows read", "queries", "ms", "of it in the database", "ms a row read", "MB at most",
    "queries of a whole tick", "its ms", "of it in the database",
]  # fmt: skip


@dataclass(frozen=True)
class Cost:
    """Of one round, or of one tick."""

    queries: int
    milliseconds: float
    database_milliseconds: float


class Meter:
    """Counts queries, and the time in them."""

    def __init__(self) -> None:
        self.queries = 0
        self.seconds = 0.0

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        self.queries += 1
        began_at = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            self.seconds += time.perf_counter() - began_at


def measured(work: Callable[[], object]) -> Cost:
    """What ``work`` costs."""
    meter = Meter()
    began_at = time.perf_counter()
    with connection.execute_wrapper(meter):
        work()
    return Cost(meter.queries, (time.perf_counter() - began_at) * 1000, meter.seconds * 1000)


class Accepting(Protocol):
    """A gateway that takes orders."""

    def accept(self, prompt: str = ...) -> str: ...


class Bench:
    """Rows, and a tick that looks at them."""

    def __init__(self, gateway: Accepting, owner: User, reader: Reader) -> None:
        self._gateway = gateway
        self._owner = owner
        self._tick = Tick(queue.Bell(), reader, rate.gate(), token=0)
        self._due: list[int] = []
        self._waiting = 0
        self.queries: list[int] = []
        """Of each round that is in the table."""

    def let_wait(self, count: int) -> None:
        """So many rows in flight in all."""
        names = [f"waiting-{number}" for number in range(self._waiting, count)]
        now = timezone.now()
        submitted(self._owner, names, submitted_at=now, due_at=now + timedelta(days=1))
        self._waiting = max(self._waiting, count)
        with connection.cursor() as cursor:
            if connection.vendor != "mysql":
                cursor.execute("ANALYZE")
            else:
                cursor.execute(f"ANALYZE TABLE {VideoRequest._meta.db_table}")
                cursor.fetchall()

    def let_be_due(self, count: int) -> None:
        """So many of the rows with a job are due, and no others."""
        now = timezone.now()
        jobs = [self._gateway.accept("A fox [sandbox:never]") for _ in range(len(self._due), count)]
        self._due += [row.pk for row in submitted(self._owner, jobs, submitted_at=now, due_at=now + timedelta(days=1))]
        first, last = self._due[0], self._due[-1]
        rows = VideoRequest.objects.filter(pk__gte=first, pk__lte=last).exclude(gateway_job_id__startswith="waiting")
        rows.update(due_at=now + timedelta(days=1), lease_token=None)
        chosen = self._due[:count]
        # All of one age: each different next look of a round is a statement, and there are few of them, but not one.
        same = {"submitted_at": now - timedelta(seconds=AGE_SECONDS), "last_read_at": None}
        rows.filter(pk__lte=chosen[-1]).update(due_at=now - timedelta(seconds=1), **same)

    @property
    def due(self) -> list[int]:
        """The rows with a job."""
        return self._due

    def round(self) -> Cost:
        """The cost of a round, without its memory."""
        return measured(self._tick.round)

    def tick(self) -> Cost:
        """The cost of a whole tick."""
        return measured(lambda: jobs.tick(0))

    def megabytes(self) -> float:
        """The most that a round holds at once, in Python's objects."""
        tracemalloc.start()
        try:
            self._tick.round()
            return tracemalloc.get_traced_memory()[1] / 1e6
        finally:
            tracemalloc.stop()

    def row(self, *, waiting: int, due: int, times: int) -> list[object]:
        """A line of the table: medians."""
        self.let_wait(waiting)
        rounds, ticks = [], []
        for _ in range(times):
            self.let_be_due(due)
            rounds.append(self.round())
            self.let_be_due(due)
            ticks.append(self.tick())
        self.let_be_due(due)
        megabytes = self.megabytes()
        read = min(due, ROUND_READS)
        self.queries += [cost.queries for cost in rounds]
        queries, milliseconds, in_database = medians(rounds)
        head = [waiting, due, read, queries, milliseconds, in_database, milliseconds / read, megabytes]
        return [*head, *medians(ticks)]


def medians(costs: Sequence[Cost]) -> tuple[int | str, float, float]:
    """Queries (from-to where they differ), milliseconds, and those in the database."""
    least, most = (function(cost.queries for cost in costs) for function in (min, max))
    return (
        least if least == most else f"{least}-{most}",
        statistics.median(cost.milliseconds for cost in costs),
        statistics.median(cost.database_milliseconds for cost in costs),
    )


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="tick_cost")
    parser.add_argument("--waiting", type=int, nargs="+", default=[100, 1_000, 10_000, 100_000])
    parser.add_argument("--due", type=int, nargs="+", default=[10, 100, 200, 500, 1_000, 2_000])
    parser.add_argument("--times", type=int, default=5, help="rounds of which the median is told")
    options = parser.parse_args(arguments)
    with stage() as gateway, Reader(submission.client) as reader:
        bench = Bench(gateway, rich_user(), reader)
        bench.let_be_due(10)
        bench.round()  # the first round makes threads and connections
        print(
            f"One round of the tick, and a whole tick. {machine()}. At most {ROUND_READS} rows are read in a round.\n"
        )
        by_due = [bench.row(waiting=min(options.waiting), due=due, times=options.times) for due in sorted(options.due)]
        print("By the rows that are due.\n")
        table(HEAD, by_due)
        due = min(100, max(options.due))
        by_waiting = [bench.row(waiting=count, due=due, times=options.times) for count in sorted(options.waiting)]
        print("\nBy the rows that wait.\n")
        table(HEAD, by_waiting)
        print(f"\nQueries of a round: {told(bench.queries)}.")


def told(counts: Sequence[int]) -> str:
    """How often which number."""
    return ", ".join(f"{count} ({times} times)" for count, times in sorted(Counter(counts).items()))
