"""Database servers of the tests' own, to be killed and started again: the ones that others use stay alone.

A server lives in a folder; any process that knows the folder can kill it and start it again.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from .processes import children, lives, send

VARIABLE = "GROKVIDEO_FAULT_SERVER"
"""In the environment of a test run: the server that it may kill."""
START_SECONDS = 60.0


def free_port(address: str = "127.0.0.1") -> int:
    """One that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def as_user(name: str, command: Sequence[str]) -> list[str]:
    """Database servers refuse to be root."""
    return ["runuser", "-u", name, "--", *command] if os.geteuid() == 0 else list(command)


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")


@dataclass(frozen=True)
class Server:
    """One server in a folder of its own."""

    folder: Path
    port: int
    address: str = "127.0.0.1"

    user = ""
    kind = ""

    @classmethod
    def missing(cls) -> str | None:
        """Why this machine cannot run one; None if it can."""
        raise NotImplementedError

    @classmethod
    def create(cls, address: str = "127.0.0.1", port: int | None = None) -> Self:
        """Make one, and start it, on a free port if none is given."""
        folder = Path(tempfile.mkdtemp(prefix=f"grokvideo-{cls.kind}-"))
        folder.chmod(0o755)
        if os.geteuid() == 0:
            shutil.chown(folder, cls.user)
        server = cls(folder=folder, port=port or free_port(address), address=address)
        try:
            server.install()
            server.start()
        except BaseException:
            server.remove()
            raise
        return server

    @property
    def data(self) -> Path:
        """Where its files are."""
        return self.folder / "data"

    @property
    def pid_file(self) -> Path:
        """What it writes its process into."""
        raise NotImplementedError

    def pid(self) -> int | None:
        """Its process, if it lives."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            pid = int(self.pid_file.read_text().split()[0])
            return pid if lives(pid) else None
        return None

    def install(self) -> None:
        """Make its files."""
        raise NotImplementedError

    def launch(self) -> None:
        """Begin to start it; raises RuntimeError if it cannot be just now."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether it takes connections and says something sensible."""
        raise NotImplementedError

    def start(self) -> None:
        """Until it answers. What a killed one left behind may need a moment to go away."""
        ends_at = time.monotonic() + START_SECONDS
        while True:
            try:
                if self.pid() is None:
                    self.launch()
                if self.answers():
                    return
            except RuntimeError:
                if time.monotonic() > ends_at:
                    raise
            if time.monotonic() > ends_at:
                raise RuntimeError(f"The {self.kind} server in {self.folder} does not start.")
            time.sleep(0.1)

    def kill(self) -> None:
        """SIGKILL, as if the machine had lost its mind. Returns when it and what it had forked are gone."""
        pid = self.pid()
        if pid is None:
            return
        family = [pid, *children(pid)]
        send(pid, signal.SIGKILL)
        ends_at = time.monotonic() + START_SECONDS
        while any(lives(one) for one in family) and time.monotonic() < ends_at:
            time.sleep(0.02)
        self.pid_file.unlink(missing_ok=True)  # its process may be a zombie, which a server takes for alive

    def remove(self) -> None:
        """Kill it, and delete it."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def to_environment(self) -> str:
        """For ``from_environment`` in another process."""
        return json.dumps({"kind": self.kind, "folder": str(self.folder), "port": self.port, "address": self.address})


def _postgres_folder() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    which = shutil.which("initdb")
    return found[-1].parent if found else Path(which).parent if which else None


class Postgres(Server):
    """PostgreSQL."""

    user = kind = "postgres"

    @classmethod
    def missing(cls) -> str | None:
        """Its programs."""
        return None if _postgres_folder() else "no initdb of PostgreSQL on this machine"

    @property
    def pid_file(self) -> Path:
        """The postmaster's."""
        return self.data / "postmaster.pid"

    def _program(self, name: str) -> str:
        folder = _postgres_folder()
        assert folder is not None
        return str(folder / name)

    def install(self) -> None:
        """Trusts everybody who reaches it: it listens on loopback, or on a bridge of the tests' own."""
        _run(as_user(self.user, [self._program("initdb"), "-D", str(self.data), "-A", "trust", "-U", "postgres"]))
        with (self.data / "pg_hba.conf").open("a") as lines:
            lines.write("host all all 0.0.0.0/0 trust\n")

    def launch(self) -> None:
        """What is committed survives the server's death without fsync, though not the machine's."""
        options = f"-p {self.port} -k {self.folder} -c listen_addresses={self.address} -c fsync=off"
        log = str(self.folder / "log")
        command = [self._program("pg_ctl"), "-D", str(self.data), "-l", log, "-w", "-o", options, "start"]
        _run(as_user(self.user, command))

    def answers(self) -> bool:
        """By its own tool."""
        command = [self._program("pg_isready"), "-q", "-h", self.address, "-p", str(self.port)]
        return subprocess.run(command, check=False).returncode == 0


class MariaDB(Server):
    """MariaDB."""

    user = "mysql"
    kind = "mariadb"

    @classmethod
    def missing(cls) -> str | None:
        """Its programs."""
        found = shutil.which("mariadbd") and shutil.which("mariadb-install-db")
        return None if found else "no mariadbd on this machine"

    @property
    def pid_file(self) -> Path:
        """Its own."""
        return self.folder / "pid"

    def install(self) -> None:
        """Anybody who reaches it is root there; it listens on loopback."""
        options = ["--no-defaults", f"--datadir={self.data}", "--skip-test-db"]
        _run(as_user(self.user, ["mariadb-install-db", *options, "--auth-root-authentication-method=normal"]))

    def launch(self) -> None:
        """At each commit its log goes to the system (2): that survives the server's death, though not the machine's."""
        command = ["mariadbd", "--no-defaults", f"--datadir={self.data}", f"--port={self.port}"]
        command += [f"--bind-address={self.address}", f"--socket={self.folder}/socket", f"--pid-file={self.pid_file}"]
        command += ["--innodb-flush-log-at-trx-commit=2", "--innodb-lock-wait-timeout=10"]
        command = as_user(self.user, ["setsid", "--fork", *command])  # it outlives whoever starts it
        with (self.folder / "log").open("ab") as log:
            subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True)
        ends_at = time.monotonic() + START_SECONDS
        while self.pid() is None and time.monotonic() < ends_at:
            time.sleep(0.05)

    def answers(self) -> bool:
        """By its own tool."""
        command = ["mariadb", "--no-defaults", "-h", self.address, "-P", str(self.port), "-u", "root", "-e", "SELECT 1"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


SERVERS: dict[str, type[Server]] = {server.kind: server for server in (Postgres, MariaDB)}


@contextlib.contextmanager
def running(kind: str, address: str = "127.0.0.1") -> Iterator[Server]:
    """A server for a while."""
    server = SERVERS[kind].create(address)
    try:
        yield server
    finally:
        server.remove()


def from_environment() -> Server | None:
    """The server that this test run may kill, if there is one."""
    text = os.environ.get(VARIABLE)
    if not text:
        return None
    said = json.loads(text)
    return SERVERS[said["kind"]](folder=Path(said["folder"]), port=said["port"], address=said["address"])
