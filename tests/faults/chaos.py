"""What can happen to a site, for real: each fault of the plan strikes processes, servers, sockets or clocks."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

import redis
from django.db import Error as DatabaseTrouble
from django.db import connection
from rq import Worker
from rq.exceptions import NoSuchJobError

from grokvideo_django import queue
from grokvideo_django.models import VideoRequest
from grokvideo_django.polling.tick import LEASE_SECONDS

from . import clocks, servers
from .processes import Process, send

if TYPE_CHECKING:
    from .conftest import Site
    from .plan import Step

T = TypeVar("T")

FARTHEST_SECONDS = 3 * 3600
"""How far a clock goes wrong: from two minutes to three hours, either way."""
LINK_SECONDS = 24 * 3600
CUT: dict[str, tuple[str, str]] = {
    "postgresql": (
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
        "SELECT pg_terminate_backend({})",
    ),
    "mysql": (
        "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()",
        "KILL {}",
    ),
}


def patiently(act: Callable[[], T], *, seconds: float = 60) -> T:
    """Again while the database is away or locked, as a person would press the button again."""
    ends_at = time.monotonic() + seconds
    while True:
        try:
            return act()
        except DatabaseTrouble:
            if time.monotonic() > ends_at:
                raise
            connection.close()
            time.sleep(0.2)


class Chaos:
    """One fault after the other. ``struck`` counts them; ``victims`` are the requests that were under way then."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.server = servers.from_environment()
        self.struck: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        self.victims: dict[str, set[int]] = {}
        self._alarms: list[threading.Timer] = []

    def strike(self, step: Step) -> None:
        """Let the step's fault happen; what this machine has no means for is left out, and counted."""
        under_way = patiently(lambda: set(VideoRequest.objects.in_flight().values_list("pk", flat=True)))
        act: Callable[[float, float], bool] = getattr(self, step.fault.replace(" ", "_").replace("'", ""))
        if act(step.pick, step.size) is False:
            self.left_out[step.fault] += 1
            return
        self.struck[step.fault] += 1
        self.victims.setdefault(step.fault, set()).update(under_way)

    def end(self) -> None:
        """Everybody who was stopped goes on, and all clocks are right."""
        for alarm in self._alarms:
            alarm.join()
        for process in self.site.fleet.processes:
            process.clock.set(0)

    # Processes

    def _worker(self, pick: float) -> Process:
        workers = self.site.fleet.workers()
        return workers[int(pick * len(workers))]

    def kill_worker(self, pick: float, _size: float) -> None:
        self._worker(pick).kill()

    def kill_horse(self, pick: float, _size: float) -> None:
        for horse in self._worker(pick).horses():
            send(horse, signal.SIGKILL)

    def kill_worker_and_horse(self, pick: float, _size: float) -> None:
        self._worker(pick).kill_with_horses()

    def kill_cron(self, pick: float, _size: float) -> None:
        crons = self.site.fleet.crons()
        crons[int(pick * len(crons))].kill()

    def stop_horse(self, pick: float, size: float) -> None:
        """For some seconds, while its leases are declared to be over: a download's takes a minute."""
        self._stop(self._worker(pick).horses(), 0.5 + 2 * size)
        self.all_leases_over(pick, size)

    def stop_worker_and_horse(self, pick: float, size: float) -> None:
        worker = self._worker(pick)
        if worker.is_alive:
            self._stop([worker.pid, *worker.horses()], 0.5 + 2 * size)
            self.all_leases_over(pick, size)

    def stop_the_tick(self, _pick: float, size: float) -> None:
        """Who holds the tick's lease stops for longer than it lasts, by everybody's clock."""
        self._stop(list(self._ticking()), LEASE_SECONDS + 1 + size)

    def _ticking(self) -> Iterator[int]:
        """Horses that run a tick, as RQ has it."""
        with contextlib.suppress(redis.RedisError, NoSuchJobError):  # it has ended just then
            for worker in Worker.all(connection=queue.connection()):
                job = worker.get_current_job()
                if job is not None and job.func_name == queue.TICK:
                    for process in self.site.fleet.workers():
                        if process.pid == worker.pid:
                            yield from process.horses()

    def _stop(self, pids: list[int], seconds: float) -> None:
        """SIGSTOP, and SIGCONT by a timer: who is stopped in a transaction keeps its locks."""
        for pid in pids:
            send(pid, signal.SIGSTOP)
        alarm = threading.Timer(seconds, lambda: [send(pid, signal.SIGCONT) for pid in pids])
        self._alarms.append(alarm)
        alarm.start()

    # Redis

    def empty_Redis(self, _pick: float, _size: float) -> None:  # noqa: N802 - by the fault's name
        self.site.redis.flush()

    def restart_Redis(self, _pick: float, size: float) -> None:  # noqa: N802
        self.site.redis.stop()
        time.sleep(size / 2)
        self.site.redis.start()

    def cut_Redis_connections(self, _pick: float, _size: float) -> None:  # noqa: N802
        with redis.Redis.from_url(self.site.redis.url) as client:
            for kind in ("normal", "pubsub"):
                client.client_kill_filter(_type=kind, skipme=True)

    # The database

    def restart_the_database(self, pick: float, size: float) -> None:
        """kill -9 and a new start of a server of our own; on somebody else's server only the connections die."""
        if self.server is None:
            self.cut_the_databases_connections(pick, size)
            return
        connection.close()
        self.server.kill()
        time.sleep(size)
        self.server.start()

    def cut_the_databases_connections(self, _pick: float, size: float) -> None:
        """SQLite has none: somebody holds its one lock instead, for longer than Django waits for it."""
        if connection.vendor == "sqlite":
            self._hold_the_lock(4 + 3 * size)
            return
        listing, killing = CUT[connection.vendor]
        with connection.cursor() as cursor:
            cursor.execute(listing)
            for (pid,) in cursor.fetchall():
                with contextlib.suppress(DatabaseTrouble):  # it has just left by itself
                    cursor.execute(killing.format(int(pid)))

    def _hold_the_lock(self, seconds: float) -> None:
        name = str(connection.settings_dict["NAME"])
        connection.close()
        with contextlib.closing(sqlite3.connect(name, timeout=30, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            time.sleep(seconds)
            other.execute("ROLLBACK")

    # The gateway

    def gateway_away(self, _pick: float, size: float) -> None:
        """Open connections are cut, and new ones refused."""
        with self.site.sandbox.offline():
            time.sleep(0.1 + size)

    def links_expire(self, _pick: float, _size: float) -> None:
        """A day passes at the gateway."""
        self.site.sandbox.advance(LINK_SECONDS + 60)

    # Time

    def all_leases_over(self, _pick: float, _size: float) -> None:
        patiently(self.site.let_leases_run_out)

    def _seconds(self, size: float) -> int:
        return int(120 + size * (FARTHEST_SECONDS - 120))

    def _set(self, processes: list[Process], seconds: int) -> bool:
        for process in processes:
            process.clock.set(seconds)
        return clocks.library() is not None

    def clock_forward(self, pick: float, size: float) -> bool:
        return self._set([self._worker(pick)], self._seconds(size))

    def clock_back(self, pick: float, size: float) -> bool:
        return self._set([self._worker(pick)], -self._seconds(size))

    def all_clocks_forward(self, _pick: float, size: float) -> bool:
        return self._set(self.site.fleet.processes, self._seconds(size))

    def all_clocks_back(self, _pick: float, size: float) -> bool:
        return self._set(self.site.fleet.processes, -self._seconds(size))

    def clocks_right(self, _pick: float, _size: float) -> bool:
        return self._set(self.site.fleet.processes, 0)
