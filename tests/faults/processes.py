"""Stock worker and cron processes that a test starts, kills, stops and cleans up, horses included."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .. import settings as test_settings
from .clocks import Clock

ROOT = Path(__file__).parents[2]
MARK = "GROKVIDEO_TEST_PROCESS"
"""An environment variable that every process of one fleet inherits: finds horses whose parent is dead."""
ARMING = {"GROKVIDEO_CRASH_AT", "GROKVIDEO_STOP_AT", "GROKVIDEO_CRASH_ONCE"}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it ended meanwhile
        return b""


def _stat(pid: int) -> tuple[str, int]:
    """State and parent of a process; ("", 0) if there is none."""
    text = _read(Path(f"/proc/{pid}/stat")).decode(errors="replace")
    if not text:
        return "", 0
    state, parent = text.rpartition(")")[2].split()[:2]
    return state, int(parent)


def lives(pid: int) -> bool:
    """Whether the process runs, or is stopped."""
    return _stat(pid)[0] not in {"", "Z", "X"}


def children(pid: int) -> list[int]:
    """What a process has forked and still lives. Ask before it is killed: orphans have another parent."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    return [child for child in pids if _stat(child)[1] == pid and lives(child)]


def marked(mark: str) -> Iterator[int]:
    """All living processes of a fleet."""
    wanted = f"{MARK}={mark}".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            pid = int(entry.name)
            if wanted in _read(entry / "environ").split(b"\0") and lives(pid):
                yield pid


def send(pid: int, number: int) -> None:
    """A signal to one process, if it still lives."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


class Process:
    """One ``manage.py`` process and the horses that it forks."""

    def __init__(
        self,
        name: str,
        arguments: list[str],
        environment: dict[str, str],
        log: Path,
        *,
        clock: Clock,
        prefix: list[str],
    ) -> None:
        self.name = name
        self.log = log
        self.clock = clock
        self._arguments = [*prefix, sys.executable, "-m", "django", *arguments]
        self._environment = environment
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                self._arguments,
                env=self._environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def is_alive(self) -> bool:
        return self._popen.poll() is None

    def horses(self) -> list[int]:
        """What it has forked and still lives."""
        return children(self.pid)

    def stopped_horses(self) -> list[int]:
        return [pid for pid in self.horses() if _stat(pid)[0] == "T"]

    def kill(self) -> None:
        """SIGKILL, this process only."""
        self._popen.kill()
        self._popen.wait()

    def kill_with_horses(self) -> None:
        """SIGKILL, the horses too."""
        send(self.pid, signal.SIGSTOP)  # so that it forks no other meanwhile
        for horse in self.horses():
            send(horse, signal.SIGKILL)
        self.kill()

    def tail(self, characters: int = 4000) -> str:
        return _read(self.log).decode(errors="replace")[-characters:]


class Fleet:
    """The processes of one test."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        """``settings`` is what the processes get on top of the tests' ``GROKVIDEO``."""
        self.folder = folder
        self.settings = settings
        self.environment: dict[str, str] = {}
        """What the processes get besides, from the next one on."""
        self.prefix: list[str] = []
        """What the next ones' command lines begin with."""
        self.has_clocks = False
        """Whether the next ones get wall clocks of their own."""
        self.mark = uuid.uuid4().hex
        self.processes: list[Process] = []
        self.restarts = 0

    def worker(self, *, crash_at: str = "", stop_at: str = "") -> Process:
        """A stock worker; its horse dies or stops at the point, once in the life of this fleet."""
        extra = {"GROKVIDEO_CRASH_ONCE": str(self.crashed)} if crash_at or stop_at else {}
        extra |= {"GROKVIDEO_CRASH_AT": crash_at, "GROKVIDEO_STOP_AT": stop_at}
        return self._start("worker", ["rqworker", "--skip-checks", "default"], extra)

    def cron(self) -> Process:
        return self._start("cron", ["rqcron", "--skip-checks", "grokvideo_django.cron"], {})

    @property
    def crashed(self) -> Path:
        """Made by the process that died or stopped."""
        return self.folder / "crashed"

    def _start(self, kind: str, arguments: list[str], extra: dict[str, str]) -> Process:
        environment = {
            **{name: value for name, value in os.environ.items() if name not in ARMING},
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "GROKVIDEO_TEST_WORKER": "1",
            "GROKVIDEO_TEST_SETTINGS": json.dumps(self.settings),
            "TMPDIR": str(test_settings.SCRATCH / "tmp"),
            "PYTHONWARNINGS": "default",
            MARK: self.mark,
            **self.environment,
            **extra,
        }
        name = f"{kind}-{len(self.processes) + 1}"
        clock = Clock(self.folder / f"{name}.clock")
        if self.has_clocks:
            environment |= clock.environment()
        log = self.folder / f"{name}.log"
        process = Process(name, arguments, environment, log, clock=clock, prefix=self.prefix)
        self.processes.append(process)
        return process

    def workers(self) -> list[Process]:
        """Without the crons."""
        return [process for process in self.processes if process.name.startswith("worker")]

    def crons(self) -> list[Process]:
        """Without the workers."""
        return [process for process in self.processes if process.name.startswith("cron")]

    def supervise(self) -> None:
        """Start again what has ended, as a supervisor would."""
        for process in self.processes:
            if not process.is_alive:
                self.restarts += 1
                process.start()

    def retire(self) -> None:
        """Kill every process and horse, orphans too."""
        for _attempt in range(50):
            for process in self.processes:
                if process.is_alive:
                    process.kill()
            orphans = list(marked(self.mark))
            if not orphans:
                break
            for pid in orphans:
                send(pid, signal.SIGKILL)
            time.sleep(0.02)
        self.processes.clear()

    def report(self) -> str:
        """The ends of all logs."""
        return "\n".join(f"--- {log.name}\n{_read(log).decode(errors='replace')[-3000:]}" for log in self.logs())

    def logs(self) -> list[Path]:
        return sorted(self.folder.glob("*.log"))
