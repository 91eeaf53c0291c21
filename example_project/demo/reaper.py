"""The last resort against orphans: a process that waits for its parent to vanish, then ends what the parent started.

Run as a script with nothing but the standard library. Standard input is a pipe from the parent that says, a line each,
which processes are the parent's (``+ PID``) and which are not any more (``- PID``); its end is the parent's end.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
INSIST_SECONDS = 2.0
"""Then it is asked again: RQ takes that as a request to give up its job, too."""
GRACE_SECONDS = 10.0
"""Then it is killed."""
PAUSE_SECONDS = 0.05


@dataclass(frozen=True)
class Process:
    """A living process: who it is, who started it, and whose session it is in."""

    pid: int
    parent: int
    session: int


def living() -> Iterator[Process]:
    """Every process of this machine that is more than a zombie."""
    if not (PROC / "self" / "stat").exists():
        yield from _living_elsewhere()
        return
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # ended meanwhile
                state, parent, _, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
                if state != "Z":
                    yield Process(int(entry.name), int(parent), int(session))


def _living_elsewhere() -> Iterator[Process]:
    """Where there is no /proc: macOS, the BSDs."""
    listing = subprocess.run(["/bin/ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=False)
    for line in listing.stdout.splitlines():
        pid, parent, state = line.split(maxsplit=2)
        with contextlib.suppress(OSError):
            if not state.startswith("Z"):
                yield Process(int(pid), int(parent), os.getsid(int(pid)))


def family(leaders: Iterable[int]) -> set[int]:
    """The living among the leaders, their sessions and all their descendants."""
    kin = set(leaders)
    processes = list(living())
    while True:
        more = {p.pid for p in processes if p.pid in kin or p.parent in kin or p.session in kin} - kin
        if not more:
            return kin & {p.pid for p in processes}
        kin |= more


def send(pids: Iterable[int], number: int) -> None:
    """A signal to each that is still there."""
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, number)


def end(leaders: set[int]) -> None:
    """Ask the leaders to stop, ask again, and kill what is left."""
    began = time.monotonic()
    known = family(leaders)
    send(leaders & known, signal.SIGTERM)
    insisted = False
    while (left := family(leaders | known)) and time.monotonic() - began < GRACE_SECONDS:
        known |= left
        if not insisted and time.monotonic() - began > INSIST_SECONDS:
            insisted = True
            send(leaders & left, signal.SIGTERM)
        time.sleep(PAUSE_SECONDS)
    send(left, signal.SIGKILL)


def main() -> None:
    """Wait for the end of standard input."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    leaders: set[int] = set()
    for line in sys.stdin:
        sign, pid = line.split()
        (leaders.add if sign == "+" else leaders.discard)(int(pid))
    end(leaders)


if __name__ == "__main__":
    main()
