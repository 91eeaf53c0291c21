"""Network namespaces as hosts, on a bridge: each has an address, a name of its own, and a cable that can be pulled."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

NAME = re.compile(r"\bgv(\d+)([a-z]+)\b")
HOSTNAME = 'hostname "$0" && exec "$@"'


def missing() -> str | None:
    """Why nobody can make namespaces here; None if all is there."""
    if os.geteuid() != 0:
        return "network namespaces are made by root"
    absent = [name for name in ("ip", "unshare", "hostname") if shutil.which(name) is None]
    return f"no {' and no '.join(absent)} on this machine" if absent else None


def refused() -> str | None:
    """Why root cannot make them although all is there; None if it can."""
    probe = subprocess.run(["unshare", "--net", "--uts", "true"], capture_output=True, check=False)
    return "this machine does not let root make namespaces" if probe.returncode else None


def ip(*words: str) -> str:
    """iproute2's command. Raises CalledProcessError."""
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


class Host:
    """One machine."""

    def __init__(self, name: str, prefix: str, subnet: str, number: int) -> None:
        """Plugged into the bridge ``<prefix>br``, at ``<subnet>.<number>``."""
        self.name = name
        self.address = f"{subnet}.{number}"
        self._namespace = f"{prefix}{name}"
        self._cable = f"{prefix}{name}o"
        inside = f"{prefix}{name}i"
        ip("netns", "add", self._namespace)
        ip("link", "add", self._cable, "type", "veth", "peer", "name", inside, "netns", self._namespace)
        ip("link", "set", self._cable, "master", f"{prefix}br", "up")
        ip("-n", self._namespace, "addr", "add", f"{self.address}/24", "dev", inside)
        ip("-n", self._namespace, "link", "set", inside, "up")
        ip("-n", self._namespace, "link", "set", "lo", "up")

    @property
    def prefix(self) -> list[str]:
        """What a command line begins with that is to run there, with the same process id."""
        where = ["ip", "netns", "exec", self._namespace, "unshare", "--uts"]
        return [*where, "sh", "-c", HOSTNAME, f"host-{self.name}"]

    def cut_off(self) -> None:
        """Nothing arrives any more, either way, and nobody is told."""
        ip("link", "set", self._cable, "down")

    def reconnect(self) -> None:
        """What was on its way arrives when TCP tries again."""
        ip("link", "set", self._cable, "up")


def clear_away(pid: int) -> None:
    """Every namespace and link of one test process."""
    for namespace in {found[0] for found in NAME.finditer(ip("netns", "list")) if int(found[1]) == pid}:
        ip("netns", "del", namespace)  # its end of the cable goes with it, and so the other
    for link in {found[0] for found in NAME.finditer(ip("-o", "link")) if int(found[1]) == pid}:
        with contextlib.suppress(subprocess.CalledProcessError):
            ip("link", "del", link)


def clear_away_the_dead() -> None:
    """What test processes left that were killed."""
    text = ip("netns", "list") + ip("-o", "link")
    for pid in {int(found[1]) for found in NAME.finditer(text)}:
        if not Path(f"/proc/{pid}").exists():
            clear_away(pid)


@contextlib.contextmanager
def network(subnet: str, names: str) -> Iterator[dict[str, Host]]:
    """Hosts with these one-letter names on a bridge at ``<subnet>.1``; gone afterwards, whatever happens."""
    clear_away_the_dead()
    prefix = f"gv{os.getpid()}"
    try:
        ip("link", "add", f"{prefix}br", "type", "bridge")
        ip("addr", "add", f"{subnet}.1/24", "dev", f"{prefix}br")
        ip("link", "set", f"{prefix}br", "up")
        yield {name: Host(name, prefix, subnet, number) for number, name in enumerate(names, start=11)}
    finally:
        clear_away(os.getpid())
