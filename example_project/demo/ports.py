"""Ports that nobody uses."""

from __future__ import annotations

import socket

HOST = "127.0.0.1"
TRIES = 100


def is_open(port: int) -> bool:
    """Whether something listens there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


def is_free(port: int) -> bool:
    """Whether a server could listen there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return not is_open(port)


def any_free() -> int:
    """One that the system chooses."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def from_(preferred: int) -> int:
    """The preferred one, or the next that is free, or any."""
    last = min(preferred + TRIES, 65536)
    return next((port for port in range(preferred, last) if is_free(port)), None) or any_free()
