"""An httpx transport whose read time-out is the wall-clock limit of a whole exchange.

Time-outs are per socket operation everywhere below, so a server that drips a byte a second outlives any of them. Here
each operation gets what is left of the time: connecting, TLS, sending, the headers and the body.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import httpcore
import httpx

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Iterator

# Small enough never to be sent in parts: a socket is writable when a third of its buffer (16 kB or more) is free.
_WRITE_BYTES = 4096
_KEEPALIVE_SECONDS = 15


@cache
def ssl_context() -> ssl.SSLContext:
    """The one context of this process: making one costs 55 ms."""
    return httpx.create_ssl_context(trust_env=False)


class DeadlineTransport(httpx.BaseTransport):
    """One connection, kept while the server allows; for one thread. Raises httpx's transport errors."""

    def __init__(self) -> None:
        self._clock = _Clock()
        self._pool = httpcore.ConnectionPool(
            ssl_context=ssl_context(),
            max_connections=1,
            keepalive_expiry=_KEEPALIVE_SECONDS,
            network_backend=_Backend(self._clock),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send it and read the headers; the body comes through the answer's stream, under the same deadline."""
        self._clock.start(request.extensions["timeout"]["read"])
        url = request.url
        with _httpx_errors():
            answer = self._pool.handle_request(
                httpcore.Request(
                    method=request.method,
                    url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                    headers=request.headers.raw,
                    content=request.read(),
                    extensions=request.extensions,
                )
            )
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer))

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


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        with _httpx_errors():
            yield from self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


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
        return _Stream(super().connect_tcp(host, port, seconds, local_address, socket_options), self._clock)


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, clock: _Clock) -> None:
        self._stream = stream
        self._clock = clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._clock.left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _WRITE_BYTES):
            seconds = self._clock.left(timeout, httpcore.WriteTimeout)
            self._stream.write(buffer[start : start + _WRITE_BYTES], seconds)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        seconds = self._clock.left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, seconds), self._clock)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


@contextmanager
def _httpx_errors() -> Iterator[None]:
    """Raise httpx's error of the same name: the two libraries name theirs alike."""
    try:
        yield
    except (
        httpcore.TimeoutException,
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.UnsupportedProtocol,
    ) as error:
        same: type[httpx.TransportError] = getattr(httpx, type(error).__name__)
        raise same(str(error)) from error
