"""What the supervisor needs of the operating system: sessions, and children that end with their parent."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
_TIE: Final = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM, 0, 0, 0)  # PR_SET_PDEATHSIG; it outlives exec
if os.getppid() != int(sys.argv[1]):
    sys.exit(0)
os.execvp(sys.argv[2], sys.argv[2:])
"""


def members(session: int) -> list[int]:
    """The live processes of a session, whoever their parent is now."""
    return [pid for pid in _all_pids() if _is_member(pid, session)]


def kill(session: int) -> None:
    """End every process of a session at once."""
    for pid in members(session):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:  # it ended in between
            continue


def leashed(command: Sequence[str]) -> list[str]:
    """A command that ends with this process; as it is where the system cannot tie them together.

    When the parent is gone, however that came about, the kernel sends the child SIGTERM. The child ties itself before
    it becomes the command: code between fork and exec of a parent with threads can hang for ever.
    """
    if getattr(ctypes.CDLL(None), "prctl", None) is None:
        return list(command)
    return [sys.executable, "-S", "-c", _TIE, str(os.getpid()), *command]


def how_it_ended(code: int) -> str:
    """A return code of ``subprocess`` in words."""
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def _all_pids() -> Sequence[int]:
    if PROC.exists():
        names = [entry.name for entry in PROC.iterdir()]
    else:
        listed = subprocess.run(["ps", "-A", "-o", "pid="], capture_output=True, text=True, check=True)  # noqa: S607
        names = listed.stdout.split()
    return [int(name) for name in names if name.isdigit()]


def _is_member(pid: int, session: int) -> bool:
    try:
        if os.getsid(pid) != session:
            return False
        if pid == session:
            return True
        # An orphan that was handed to us because we are a container's first process: nobody else buries it.
        return os.waitpid(pid, os.WNOHANG) == (0, 0)
    except ChildProcessError:
        return True
    except (ProcessLookupError, PermissionError):
        return False
