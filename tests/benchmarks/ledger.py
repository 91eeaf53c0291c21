"""Holds a second: of different users, and of different users under one budget of the site; beside the same SQL alone.

On PostgreSQL each hold's statements are replayed with fresh parameters through bare psycopg, in turns with the holds.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import connection, connections

from grokvideo_django import credits
from grokvideo_django.models import Budget, CreditAccount

from .stage import machine, stage, table

HEAD = ["what", "threads", "holds a second", "bare psycopg", "of bare", "statements"]
AIM = 0.5
PLENTY = 10**12
AMOUNT = 7

Work = Callable[[int], None]
"""One hold by the thread of this number."""


@dataclass
class Rate:
    """Of one way to hold."""

    holds: int = 0
    seconds: float = 0.0

    @property
    def each_second(self) -> float:
        return self.holds / self.seconds


def run(rate: Rate, work: Work, *, threads: int, seconds: float) -> None:
    """Let so many threads hold for some seconds, from one moment on."""
    done = [0] * threads
    ready = threading.Barrier(threads + 1)
    stop = threading.Event()
    failed: list[BaseException] = []

    def loop(number: int) -> None:
        try:
            work(number)  # connected
            ready.wait()
            while not stop.is_set():
                work(number)
                done[number] += 1
        except BaseException as error:
            failed.append(error)
            ready.abort()
        finally:
            connections.close_all()

    crew = [threading.Thread(target=loop, args=[number]) for number in range(threads)]
    for thread in crew:
        thread.start()
    ready.wait()
    began_at = time.perf_counter()
    time.sleep(seconds)
    stop.set()
    for thread in crew:
        thread.join()
    if failed:
        raise failed[0]
    rate.seconds += time.perf_counter() - began_at
    rate.holds += sum(done)


class Bench:
    """People with plenty of credits, who hold."""

    def __init__(self, people: int) -> None:
        if connection.vendor == "postgresql":
            from . import bare  # noqa: PLC0415 - psycopg is there with PostgreSQL

            bare.keep_keys_apart()
        self.users = [User.objects.create(username=f"user{number}") for number in range(people)]
        for user in self.users:
            credits.grant(user, PLENTY)

    def hold(self, number: int) -> None:
        credits.hold(self.users[number], AMOUNT)

    def bare(self) -> tuple[Work, int]:
        """A way to do the same by psycopg alone, and of how many statements."""
        from . import bare  # noqa: PLC0415

        accounts = [CreditAccount.objects.for_user(user) for user in self.users]
        credits.hold(self.users[0], AMOUNT)  # opens the budgets' counters
        recorded, replay = bare.record(self.users[0], accounts[0])
        keys = [bare.keys(user, account) for user, account in zip(self.users, accounts, strict=True)]
        local = threading.local()

        def hold(number: int) -> None:
            if not hasattr(local, "link"):
                local.link = bare.link()
            replay.hold(local.link, keys[number])

        return hold, len(recorded)

    def row(self, name: str, *, threads: int, seconds: float, rounds: int) -> list[object]:
        """A line of the table, measured in turns."""
        ours, theirs = Rate(), Rate()
        bare, count = self.bare() if connection.vendor == "postgresql" else (None, "-")
        for _round in range(rounds):
            run(ours, self.hold, threads=threads, seconds=seconds)
            if bare is not None:
                run(theirs, bare, threads=threads, seconds=seconds)
        if bare is None:
            return [name, threads, ours.each_second, "-", "-", count]
        return [
            name, threads, ours.each_second, theirs.each_second, f"{ours.each_second / theirs.each_second:.0%}", count,
        ]  # fmt: skip


def deadlocks() -> int:
    """That the database has seen; on MariaDB the whole server. SQLite knows none."""
    queries = {
        "postgresql": "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()",
        "mysql": "SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'",
    }
    if connection.vendor not in queries:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(queries[connection.vendor])
        row = cursor.fetchone()
    return int(row[-1]) if row else 0


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="ledger")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--seconds", type=float, default=3.0, help="of a round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    with stage():
        print(f"Holds of {AMOUNT} credits. {machine()}.\n")
        bench, before = Bench(max(options.threads)), deadlocks()
        how = {"seconds": options.seconds, "rounds": options.rounds}
        rows = [bench.row("different users", threads=threads, **how) for threads in options.threads]
        Budget.objects.create(name="the site", limit_credits=PLENTY)
        rows += [bench.row("one budget of the site", threads=threads, **how) for threads in options.threads]
        table(HEAD, rows)
        time.sleep(1)  # until PostgreSQL has counted
        print(f"\nDeadlocks: {deadlocks() - before}. The aim is {AIM:.0%} of bare psycopg for different users.")
