"""A crew of processes: started together, heard together, stopped together."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Self

from . import reaper

PR_SET_CHILD_SUBREAPER = 36
WIDTH = 8
COLOURS = {"site": "36", "worker": "32", "sandbox": "35", "redis": "31", "content": "33"}
PAUSE_SECONDS = 0.05
IRRELEVANT = re.compile(r"Memory overcommit must be enabled")  # concerns saving, and the demo's Redis saves nothing


class Stopped(Exception):  # noqa: N818 - no error: somebody asked for it
    """Somebody pressed Ctrl-C, or sent SIGTERM."""


class ChildEnded(Exception):  # noqa: N818
    """A process ended that should not have."""

    def __init__(self, name: str, code: int) -> None:
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        super().__init__(f"“{name}” {how}; its last lines above say why. Everything else was stopped.")


class Child:
    """One process in a session of its own, whose lines appear with its name before them."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], *, words: str = "") -> None:
        """Start it; ``words`` go to its standard input."""
        self.name = name
        self.process = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches only us, so that the order of stopping is ours
        )
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self.process.stdin as pipe:
            pipe.write(words.encode())
        self._reader = threading.Thread(target=self._show, args=(self.process.stdout,), daemon=True)
        self._reader.start()

    def _show(self, stream: IO[bytes]) -> None:
        for line in stream:
            text = line.decode(errors="replace").rstrip()
            if text and not IRRELEVANT.search(text):
                say(self.name, text)

    def finish(self) -> None:
        """Show its last lines; a grandchild that keeps the pipe open is not waited for."""
        self._reader.join(timeout=0.5)


def _adopt_orphans() -> None:
    """Be the new parent of grandchildren whose parent dies, so that they stay in sight (on Linux: prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


_speaking = threading.Lock()


def say(name: str, text: str) -> None:
    """One line of the log."""
    prefix = f"{name:<{WIDTH}}|"
    if sys.stdout.isatty():
        prefix = f"\033[{COLOURS.get(name, '0')}m{prefix}\033[0m"
    with _speaking, contextlib.suppress(BrokenPipeError):
        print(prefix, text, flush=True)


class Crew:
    """All children. Use it as ``with Crew() as crew``: leaving the block, for whatever reason, stops them."""

    def __init__(self) -> None:
        self.children: list[Child] = []
        self._signals = 0
        _adopt_orphans()
        self._reaper = subprocess.Popen(
            [sys.executable, str(Path(reaper.__file__))], stdin=subprocess.PIPE, start_new_session=True
        )

    def __enter__(self) -> Self:
        """Listen to signals from here on."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop everything."""
        self.stop()

    def _on_signal(self, *_: object) -> None:
        self._signals += 1

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str], *, words: str = "") -> Child:
        """One more child, that is meant to run until the end."""
        child = Child(name, command, environment, words=words)
        self.children.append(child)
        self._tell_reaper("+", child)
        return child

    def _tell_reaper(self, sign: str, child: Child) -> None:
        assert self._reaper.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._reaper.stdin.write(f"{sign} {child.process.pid}\n".encode())
            self._reaper.stdin.flush()

    def finish(self, child: Child) -> None:
        """Wait for a child that does one thing and ends.

        Raises:
            ChildEnded: it did not end well, or another ended.
            Stopped: somebody asked for it.
        """
        self.until(lambda: child.process.poll() is not None, ignoring=child)
        child.finish()
        self._tell_reaper("-", child)
        if child.process.returncode:
            raise ChildEnded(child.name, child.process.returncode)
        self.children.remove(child)

    def until(self, ready: Callable[[], bool], *, ignoring: Child | None = None, seconds: float = float("inf")) -> None:
        """Wait until ``ready``, and no longer than every child lives.

        Raises:
            ChildEnded: one ended.
            Stopped: somebody asked for it.
            TimeoutError: it took longer than ``seconds``.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > deadline:
                raise TimeoutError(f"It was not ready after {seconds:.0f} seconds; the lines above may say why.")
            if self._signals:
                raise Stopped
            for child in self._ended():
                if child is not ignoring:
                    child.finish()
                    raise ChildEnded(child.name, child.process.returncode)
            time.sleep(PAUSE_SECONDS)

    def _ended(self) -> Iterator[Child]:
        return (child for child in self.children if child.process.poll() is not None)

    def stop(self) -> None:
        """The last one first, each with some time to end its work; a second Ctrl-C kills at once what is left."""
        signals_before = max(self._signals, 1)
        known = self._family()
        for child in reversed(self.children):
            self._ask(child, lambda: self._signals > signals_before)
        reaper.send(reaper.family(known) | self._family(), signal.SIGKILL)
        for child in self.children:
            child.process.wait()
            child.finish()
        self._reaper.kill()
        self._reaper.wait()

    def _family(self) -> set[int]:
        """All that this crew started, and what that started."""
        own = {process.pid for process in reaper.living() if process.parent == os.getpid()} - {self._reaper.pid}
        return reaper.family(own | {child.process.pid for child in self.children})

    @staticmethod
    def _ask(child: Child, impatient: Callable[[], bool]) -> None:
        """SIGTERM, a second one, and then no more."""
        for seconds in (reaper.INSIST_SECONDS, reaper.GRACE_SECONDS - reaper.INSIST_SECONDS):
            child.process.terminate()
            deadline = time.monotonic() + seconds
            while child.process.poll() is None and time.monotonic() < deadline and not impatient():
                time.sleep(PAUSE_SECONDS)
