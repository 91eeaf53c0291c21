"""``grokvideo_worker`` as a process, seen from outside."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from grokvideo_django.worker import GRACE_SECONDS

from ..faults.processes import MARK, ROOT, marked, send
from ..timing import PATIENCE


class Command:
    """A management command in a process of its own, with what it prints, and everything that it starts."""

    def __init__(self, arguments: list[str], log: Path) -> None:
        self.log = log
        self.mark = uuid.uuid4().hex
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "django", *arguments],
                env={
                    **os.environ,
                    "DJANGO_SETTINGS_MODULE": os.environ.get("DJANGO_SETTINGS_MODULE", "tests.settings"),
                    "GROKVIDEO_TEST_WORKER": "1",
                    "PYTHONFAULTHANDLER": "1",
                    MARK: self.mark,
                },
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def pids(self, name: str) -> list[int]:
        """All processes that were ever started under this name, in their order."""
        return [int(pid) for pid in re.findall(rf"^{name} runs as process (\d+)\.$", self.text, re.MULTILINE)]

    def alive(self) -> list[int]:
        """Its processes, horses and orphans too."""
        return list(marked(self.mark))

    def wait_for(self, what: str, condition: Callable[[], object]) -> None:
        ends_at = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > ends_at:
                pytest.fail(f"{what}: not within {PATIENCE:g} s.\n{self.text}", pytrace=False)
            time.sleep(0.05)

    def end(self, number: int = signal.SIGTERM, *, seconds: float = GRACE_SECONDS + 40) -> int:
        """Send a signal and wait; returns the exit code. What does not end says where it is.

        An idle worker that was stopped may hear the signal in its other thread, and go on waiting for Redis: then the
        end of the grace ends it.
        """
        self.process.send_signal(number)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            for pid in self.alive():
                send(pid, signal.SIGABRT)  # faulthandler prints its stacks into the log
            time.sleep(1)
            pytest.fail(f"The end: not within {seconds:g} s.\n{self.text}", pytrace=False)

    def clean_up(self) -> None:
        for _attempt in range(100):
            for pid in self.alive():
                send(pid, signal.SIGKILL)
            if self.process.poll() is not None and not self.alive():
                return
            time.sleep(0.02)


@pytest.fixture
def command(tmp_path: Path, transactional_db: None) -> Iterator[Callable[..., Command]]:
    """Starts management commands on the test's own database, and cleans up after them."""
    started: list[Command] = []

    def start(*arguments: str) -> Command:
        started.append(Command(list(arguments), tmp_path / f"{len(started)}.log"))
        return started[-1]

    yield start
    for each in started:
        each.clean_up()
