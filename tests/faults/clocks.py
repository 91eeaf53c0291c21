"""Clocks that go wrong: each process of a fleet has a wall clock of its own, which a test sets (``clock.c``).

Only the wall clock moves (``timezone.now``): ``time.monotonic``, sleeps and time-outs go on as they are, as they do
when a machine's clock is set.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
from pathlib import Path

from .. import settings as test_settings

SOURCE = Path(__file__).with_name("clock.c")


def missing() -> str | None:
    """Why this machine cannot have wrong clocks; None if it can."""
    if not sys.platform.startswith("linux"):
        return "wrong clocks are preloaded as Linux does it"
    return None if shutil.which("cc") else "no C compiler for the clocks"


@functools.cache
def library() -> Path | None:
    """The compiled library; None where there is nothing to compile it with."""
    if missing():
        return None
    made = test_settings.SCRATCH / "clock.so"
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", str(made), str(SOURCE)], check=True)
    return made


class Clock:
    """One process's wall clock, and its children's."""

    def __init__(self, file: Path) -> None:
        """``file`` is where it is read from."""
        self._file = file
        self.ahead_seconds = 0
        file.write_bytes(bytes(8))

    def set(self, ahead_seconds: int) -> None:
        """Ahead of the machine's clock by so much, from now on; negative: behind it."""
        self.ahead_seconds = ahead_seconds
        with self._file.open("r+b") as file:  # in place: it is mapped
            file.write(ahead_seconds.to_bytes(8, sys.byteorder, signed=True))

    def environment(self) -> dict[str, str]:
        """What a process needs in order to live by it; nothing where there are no such clocks."""
        found = library()
        return {"LD_PRELOAD": str(found), "GROKVIDEO_TEST_CLOCK": str(self._file)} if found else {}
