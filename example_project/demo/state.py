"""Where a demo keeps its database and files, and what keeps two demos apart."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def _lock(path: Path) -> IO[str] | None:
    """The open file that holds the lock, until it is closed or its process ends; None if another has it."""
    file = path.open("a", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


@contextmanager
def folder(base: Path) -> Iterator[Path]:
    """``base``, or ``base-2``, ``base-3`` … : the first that no running demo uses."""
    number = 1
    while True:
        path = base if number == 1 else base.with_name(f"{base.name}-{number}")
        path.mkdir(parents=True, exist_ok=True)
        if lock := _lock(path / "lock"):
            break
        number += 1
    try:
        yield path
    finally:
        lock.close()


class Turn:
    """Only one demo of this user at a time chooses ports: a port is free until its server listens."""

    def __init__(self) -> None:
        self._path = Path(tempfile.gettempdir()) / f"grokvideo-demo-{os.getuid()}.lock"
        self._lock: IO[str] | None = None

    def take(self) -> bool:
        """Whether it is ours; try again otherwise."""
        self._lock = _lock(self._path)
        return self._lock is not None

    def give_up(self) -> None:
        """The next one's turn. The end of the process does it, too."""
        if self._lock is not None:
            self._lock.close()
