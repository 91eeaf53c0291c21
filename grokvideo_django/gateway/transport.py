"""A connection to one server, whose time-out is the wall-clock limit of a whole exchange.

Time-outs are per socket operation everywhere below, so a server that drips a byte a second outlives any of them. Here
each operation gets what is left of the time: connecting, TLS, sending, the headers and the body.

Spoken through httpcore alone. What httpx adds is a third of a read's processor time, and nothing of it is wanted here:
no redirects, no cookies, no proxies of the environment.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

import httpcore
import httpx

from .timed import TimedStream

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Iterator, Sequence

_KEEPALIVE_SECONDS = 15

# With these not a byte of the request has left: raised while connecting, or while writing the headers down.
NEVER_SENT = (
    httpcore.ConnectError,
    httpcore.ConnectTimeout,
    httpcore.PoolTimeout,
    httpcore.UnsupportedProtocol,
    httpcore.LocalProtocolError,
)
TRANSPORT_ERRORS = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
)


@cache
def ssl_context() -> ssl.SSLContext:
    """The one context of this process: making one costs 55 ms."""
    return httpx.create_ssl_context(trust_env=False)


class Connection:
    """One connection, kept while the server allows; for one thread. Raises ``TRANSPORT_ERRORS``."""

    def __init__(self, seconds: float, *, connect_seconds: float) -> None:
        """``seconds`` for a whole exchange; opening the connection takes ``connect_seconds`` of them at most."""
        self._seconds = seconds
        connecting = min(seconds, connect_seconds)
        self._timeout = {"connect": connecting, "read": seconds, "write": seconds, "pool": seconds}
        self._clock = _Clock()
        self._pool = httpcore.ConnectionPool(
            ssl_context=ssl_context(),
            max_connections=1,
            keepalive_expiry=_KEEPALIVE_SECONDS,
            network_backend=_Backend(self._clock),
        )

    @contextmanager
    def exchange(
        self, method: str, url: httpcore.URL, headers: Sequence[tuple[bytes, bytes]], content: bytes | None = None
    ) -> Iterator[httpcore.Response]:
        """Send a request and read the headers; the body comes through ``iter_stream``, under the same deadline."""
        self._clock.start(self._seconds)
        request = httpcore.Request(method, url, headers=headers, content=content, extensions={"timeout": self._timeout})
        response = self._pool.handle_request(request)
        try:
            yield response
        finally:
            response.close()

    def close(self) -> None:
        """Close the connection."""
        self._pool.close()


class _Clock:
    """What is left of the running exchange."""

    _ends_at = 0.0

    def start(self, seconds: float) -> None:
        self._ends_at = time.monotonic() + seconds

    def left(self, timeout: float | None, error: type[httpcore.TimeoutException]) -> float:
        """Seconds for the next operation; raises ``error`` when there are none."""
        seconds = self._ends_at - time.monotonic()
        if seconds <= 0:
            raise error("out of time")
        return seconds if timeout is None else min(seconds, timeout)


class _Backend(httpcore.SyncBackend):
    def __init__(self, clock: _Clock) -> None:
        self._clock = clock

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        seconds = self._clock.left(timeout, httpcore.ConnectTimeout)
        stream = super().connect_tcp(host, port, seconds, local_address, socket_options)
        return TimedStream(stream, self._clock.left)
