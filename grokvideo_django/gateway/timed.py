"""A connection whose waits all end at one wall-clock limit.

A time-out of a socket is for one read or write: a server that drips a byte a second outlives any of them. (CPython
counts a TLS handshake and a TLS read as one wait each.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpcore

if TYPE_CHECKING:
    import ssl

_WRITE_BYTES = 4096
"""Small enough never to be sent in parts: a socket is writable when a third of its buffer (16 kB or more) is free."""

Left = Callable[[float | None, type[httpcore.TimeoutException]], float]
"""Seconds that the next wait may take, at most the given ones; raises, perhaps the given error, when none are left."""


class TimedStream(httpcore.NetworkStream):
    """Another stream, each operation of which gets no more than what is left of the time."""

    def __init__(self, stream: httpcore.NetworkStream, left: Left) -> None:
        self._stream = stream
        self._left = left

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _WRITE_BYTES):
            seconds = self._left(timeout, httpcore.WriteTimeout)
            self._stream.write(buffer[start : start + _WRITE_BYTES], seconds)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        seconds = self._left(timeout, httpcore.ConnectTimeout)
        return TimedStream(self._stream.start_tls(ssl_context, server_hostname, seconds), self._left)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
