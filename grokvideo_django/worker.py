"""RQ's own worker and cron processes, kept alive by their parent: for sites that have no supervisor.

Each child leads a session of its own, for three reasons: Ctrl-C in a terminal reaches the supervisor alone, which then
asks each child once; RQ's horse leaves its worker's process group, but not its session, so nothing escapes the last
kill; and a horse whose worker was killed can finish its job while a new worker starts.

When the supervisor itself is killed, the kernel sends its children SIGTERM (on Linux): an idle one ends at once, a busy
one after its job. Other systems have no such thing: there they go on working until they are stopped.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final

from . import conf, processes

CRON_MODULE: Final = "grokvideo_django.cron"
BEAT_SECONDS: Final = 0.2
PING_SECONDS: Final = 2.0
FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 30.0
HEALTHY_SECONDS: Final = 60.0
"""A child that ran so long starts again without a growing pause."""
GRACE_SECONDS: Final = 60.0
COLD_SECONDS: Final = 1.2
"""RQ ignores a second signal within a second of the first."""
KILL_SECONDS: Final = 3.0
HANGING_SECONDS: Final = 180.0
"""What was asked to end and runs no job ends within seconds, unless its broken connection makes it wait for ever.
Longer than a submission, for RQ's SimpleWorker, whose job is no process of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What a child runs, and what it is called."""

    name: str
    command: Sequence[str]


def programs(*, workers: int, manage: Sequence[str], verbosity: int = 1) -> list[Program]:
    """The stock management commands: so many workers, and the cron that brings the tick back.

    Each runs without the system checks, which the supervisor's own command has made. Their log begins at WARNING;
    verbosity 2 is INFO, 3 is DEBUG.
    """
    level = ("WARNING", "WARNING", "INFO", "DEBUG")[verbosity]
    work = [*manage, "rqworker", conf.current().QUEUE, "--skip-checks", "--verbosity", str(max(0, verbosity - 1))]
    cron = [*manage, "rqcron", CRON_MODULE, "--skip-checks", "--logging-level", level]
    numbered = [Program(name=f"worker {number}", command=work) for number in range(1, workers + 1)]
    return [*numbered, Program(name="cron", command=cron)]


def manage_command(argv: Sequence[str], subcommand: str) -> list[str]:
    """How this process was started, up to the subcommand: ``manage.py``, ``django-admin`` or ``python -m django``."""
    script = Path(argv[0])
    if list(argv[1:2]) == [subcommand] and script.is_file() and script.name != "__main__.py":
        return [sys.executable, str(script)]
    return [sys.executable, "-m", "django"]


class Child:
    """One program that is kept running."""

    def __init__(self, program: Program, *, environment: Mapping[str, str]) -> None:
        """``environment`` is the whole of its environment."""
        self.name = program.name
        self._command = program.command
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._asked_at: float | None = None
        self._started_at = self._next_start_at = 0.0
        self._pause_seconds = FIRST_PAUSE_SECONDS

    @property
    def pid(self) -> int | None:
        """The process while it runs; its session has the same number."""
        return None if self._process is None else self._process.pid

    def start(self, now: float) -> bool:
        """Start it, unless it runs or still pauses."""
        if self._process is not None or now < self._next_start_at:
            return False
        self._process = subprocess.Popen(  # noqa: S603 - our own command lines
            processes.leashed(self._command),
            env=self._environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._started_at, self._asked_at = now, None
        return True

    def ended(self, now: float) -> str | None:
        """In words how it has ended, if it has since the last call. The pause before the next start begins."""
        code = None if self._process is None else self._process.poll()
        if code is None:
            return None
        self._process = None
        how = processes.how_it_ended(code)
        if self._asked_at is not None:
            self._next_start_at = now
            return f"{how}, as asked"
        if now - self._started_at >= HEALTHY_SECONDS:
            self._pause_seconds = FIRST_PAUSE_SECONDS
        pause = self._pause_seconds
        self._next_start_at = now + pause
        self._pause_seconds = min(pause * 2, LONGEST_PAUSE_SECONDS)
        return f"{how}; it starts again in {pause:g} s"

    def ask_to_end(self, now: float) -> None:
        """SIGTERM, once: the running job may end first."""
        if self._process is not None and self._asked_at is None:
            self._asked_at = now
            self._process.terminate()

    def insist(self) -> None:
        """SIGTERM, perhaps for the second time: RQ then ends the job as well."""
        if self._process is not None:
            self._process.terminate()

    def hangs(self, now: float) -> bool:
        """Whether it was asked to end, has not, and no job of its own is the reason: RQ runs each in a process."""
        if self.pid is None or self._asked_at is None or now - self._asked_at < HANGING_SECONDS:
            return False
        return processes.members(self.pid) == [self.pid]


@dataclass(kw_only=True)
class Supervisor:
    """Starts children, starts them again when they die, and ends them all."""

    children: Sequence[Child]
    say: Callable[[str], object]
    trouble: Callable[[], str | None]
    """Why Redis cannot be reached; None if it can."""
    grace_seconds: float = GRACE_SECONDS

    _signals: int = field(default=0, init=False)
    _trouble: str | None = field(default=None, init=False)
    _ping_at: float = field(default=0.0, init=False)
    _orphaned: set[int] = field(default_factory=set, init=False)
    """Sessions whose leader is gone: a horse may still finish its job in them."""

    def run(self) -> None:
        """Until SIGINT or SIGTERM. What runs then may end within the grace; a second signal ends it at once."""
        with self._counting_signals():
            try:
                while not self._signals:
                    self._beat(time.monotonic())
                    time.sleep(BEAT_SECONDS)
            finally:
                self._end()

    @contextlib.contextmanager
    def _counting_signals(self) -> Iterator[None]:
        def count(_number: int, _frame: FrameType | None) -> None:
            self._signals += 1

        before = {number: signal.signal(number, count) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _beat(self, now: float) -> None:
        for words in self._bury(now):
            self.say(words)
        self._kill_what_hangs(now)
        if now >= self._ping_at:
            self._ping_at = now + PING_SECONDS
            self._ask_redis(now)
        if self._trouble is None:
            for child in self.children:
                if child.start(now):
                    self.say(f"{child.name} runs as process {child.pid}.")

    def _bury(self, now: float) -> list[str]:
        """Who has ended, in words."""
        words = []
        for child in self.children:
            pid, how = child.pid, child.ended(now)
            if pid is not None and how is not None:
                self._orphaned.add(pid)
                words.append(f"{child.name} {how}.")
        self._orphaned = {session for session in self._orphaned if processes.members(session)}
        return words

    def _kill_what_hangs(self, now: float) -> None:
        for child in self.children:
            if child.pid is not None and child.hangs(now):
                self.say(f"{child.name} does not end, and runs no job: it is killed.")
                processes.kill(child.pid)

    def _ask_redis(self, now: float) -> None:
        """Without Redis a new child only dies; and a worker that lost it may wait for a minute after it is back."""
        before, self._trouble = self._trouble, self.trouble()
        if self._trouble is not None and before is None:
            self.say(f"Redis cannot be reached ({self._trouble}). Nothing is lost: work goes on when it answers.")
        if self._trouble is None and before is not None:
            self.say("Redis answers.")
            for child in self.children:
                child.ask_to_end(now)

    def _end(self) -> None:
        began_at = time.monotonic()
        for child in self.children:
            child.ask_to_end(began_at)

        def patience_seconds() -> float:
            return COLD_SECONDS if self._signals > 1 else max(self.grace_seconds, COLD_SECONDS)

        if not self._wait_until_empty(0):
            self.say(f"What runs may end, for {self.grace_seconds:g} s at most. A second signal ends it now.")
        while not self._wait_until_empty(0):
            if time.monotonic() - began_at >= patience_seconds():
                self._kill()
                break
            time.sleep(BEAT_SECONDS)
        self.say("All processes have ended.")

    def _kill(self) -> None:
        """As RQ wants it first, the worker with its horse; then whatever is left of their sessions."""
        for child in self.children:
            child.insist()
        if not self._wait_until_empty(KILL_SECONDS):
            for session in self._orphaned.union(child.pid for child in self.children if child.pid is not None):
                processes.kill(session)
            self._wait_until_empty(KILL_SECONDS)

    def _wait_until_empty(self, seconds: float) -> bool:
        ends_at = time.monotonic() + seconds
        while True:
            now = time.monotonic()
            self._bury(now)
            if not self._orphaned and all(child.pid is None for child in self.children):
                return True
            if now >= ends_at:
                return False
            time.sleep(BEAT_SECONDS)
