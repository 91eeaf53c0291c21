"""``manage.py demo`` as somebody in a terminal has it: a process with an output and an end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from .timing import PATIENCE

MANAGE = Path(__file__).resolve().parent.parent / "example_project" / "manage.py"
READY = re.compile(
    r"^Ready: (?P<url>http://127\.0\.0\.1:(?P<port>\d+)/)admin/ · user (?P<user>\S+) · password (?P<password>\S+)"
    r" · or user (?P<editor>\S+), same password"
)
COMMAND = (sys.executable, str(MANAGE), "demo")
LEFT_OUT = ("AIGATEWAY_API_KEY", "DJANGO_SETTINGS_MODULE", "REDIS_URL", "CI")


class RunningDemo:
    """Runs in a folder of its own; leaving the block ends it if it still runs."""

    def __init__(
        self, folder: Path, *, command: Sequence[str] = COMMAND, cwd: str | Path = "/", **environment: str
    ) -> None:
        self.folder = folder
        self.lines: list[str] = []
        self.started_at = time.monotonic()
        kept = {name: value for name, value in os.environ.items() if name not in LEFT_OUT}
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**kept, "GROKVIDEO_DEMO_DIR": str(folder), "PYTHONUNBUFFERED": "1", **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            self.lines.extend(iter(stream.readline, ""))  # keeps extending as lines come

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.stop()
        self._reader.join()
        if error is not None:
            print(self.output)

    def ready(self, seconds: float = PATIENCE) -> re.Match[str]:
        """The line that says where it is."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = next(filter(None, map(READY.match, list(self.lines))), None)
            if found:
                return found
            assert self.process.poll() is None, f"The demo ended:\n{self.output}"
            time.sleep(0.05)
        raise AssertionError(f"The demo was not ready:\n{self.output}")

    def stop(self, number: int = signal.SIGINT) -> int:
        """As Ctrl-C does; the exit code."""
        os.killpg(self.process.pid, number)
        return self.wait()

    def wait(self, seconds: float = PATIENCE) -> int:
        code = self.process.wait(timeout=seconds)
        self._reader.join()
        return code

    def processes(self) -> dict[int, str]:
        """What runs for it, by process id: whatever has its folder in its environment or works there."""
        found = {}
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and (self._is_named_in(entry) or self._is_home_of(entry)):
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    if command:  # a zombie has none
                        found[int(entry.name)] = command.strip()
            except OSError:
                continue
        return found

    def _is_named_in(self, entry: Path) -> bool:
        return os.fsencode(self.folder) in (entry / "environ").read_bytes()

    def _is_home_of(self, entry: Path) -> bool:
        return str((entry / "cwd").readlink()).startswith(str(self.folder))

    def gone(self, seconds: float = PATIENCE) -> dict[int, str]:
        """What is left after so long; empty as soon as nothing is."""
        deadline = time.monotonic() + seconds
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.1)
        return left
