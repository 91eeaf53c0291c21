"""One URL into an open file, within limits of bytes and of time, with nothing trusted on the way.

**Why httpcore and not httpx.Client.** The connection pool under httpx takes a network backend, and both promises of
this module live there, below TLS and HTTP:

- *Pinned.* The name is looked up here, once a hop; every address is checked; the backend connects to those
  addresses and to nothing else. A name that answers differently the second time gains nothing. The URL keeps its
  host name, so ``Host``, SNI and the certificate's check are the ordinary ones. A fresh pool for each hop: a pooled
  connection could be reused for another name at the same address without a look at its certificate.
- *Timed.* A time-out of a socket is for one read: a server that drips a byte a second, in its headers too, outlives
  any. The backend gives each connect, handshake, write and read no more than what is left of one wall-clock limit.
  (CPython counts a TLS handshake and a TLS read as one wait each.) No thread has to close a socket under another
  one; only the look-up, which nothing can interrupt, waits in a thread of its own.

The pool itself sends only the headers given here, keeps no cookies, reads no environment, follows no redirect, decodes
nothing and does not log URLs, which may be signed.
"""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, BinaryIO

import httpcore

from ..exceptions import MediaExpired, MediaForbidden, MediaRefused, MediaUnavailable
from ..gateway.timed import TimedStream
from ..gateway.transport import ssl_context as usual_authorities
from ..gateway.wire import parse_date, parse_retry_after
from .addresses import (
    Policy,
    Target,
    check_address,
    check_redirect,
    check_url,
    literal_address,
)

if TYPE_CHECKING:
    import ssl

MAX_REDIRECTS = 3
MAX_RETRY_AFTER_SECONDS = 3600.0
# The most that one wait may take; the wall-clock limit is over all of them.
PHASE_SECONDS = {"connect": 10.0, "read": 30.0, "write": 10.0}

Resolve = Callable[[str, int], Sequence[str]]
"""The addresses of a host name and port, as text, the best first. Raises OSError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Downloaded:
    """What was written to the file. ``sha256`` is in lower-case hexadecimal."""

    size_bytes: int
    sha256: str


def system_resolve(host: str, port: int) -> Sequence[str]:
    """What the operating system says. Raises OSError."""
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))


def download(
    url: str,
    into: BinaryIO,
    *,
    policy: Policy,
    max_bytes: int,
    max_seconds: float,
    resolve: Resolve = system_resolve,
    ssl_context: ssl.SSLContext | None = None,
) -> Downloaded:
    """Stream what is at ``url`` to ``into``, which is neither rewound nor closed, and may hold a part after an error.

    ``ssl_context`` replaces the usual certificate authorities (certifi's).

    Raises MediaRefused when the URL, an address, a redirect or the answer is not acceptable (MediaExpired for 404
    and 410, MediaForbidden for 401 and 403); MediaUnavailable when it may work later: no connection, 408, 425, 429,
    5xx, too slow, cut off; and OSError untouched, only from ``into``: our own storage's fault.
    """
    deadline = _Deadline(max_seconds)
    target = check_url(url, policy)
    for _ in range(MAX_REDIRECTS + 1):
        addresses = _checked_addresses(target, policy, resolve, deadline)
        with _answer(target, _PinnedBackend(addresses, deadline), ssl_context) as response:
            if response.status not in {301, 302, 303, 307, 308}:
                _check_head(response, max_bytes)
                return _save(response, into, max_bytes, deadline)
            target = check_redirect(_header(response, b"location"), target, policy)
    raise MediaRefused(f"The video's URL redirects more than {MAX_REDIRECTS} times.")


class _Deadline:
    """One wall-clock limit over many waits."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self, at_most: float | None = None) -> float:
        """Seconds that a wait may take, always above zero. Raises MediaUnavailable when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise MediaUnavailable(f"The video did not arrive within {self._seconds:g} seconds.")
        return left if at_most is None else min(left, at_most)


class _PinnedBackend(httpcore.NetworkBackend):
    """Connects to the given addresses only, whatever host is asked for; the first that answers serves."""

    def __init__(self, addresses: Sequence[str], deadline: _Deadline) -> None:
        self._addresses = addresses
        self._deadline = deadline
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        failure: Exception = httpcore.ConnectError(f"{host} has no address.")
        for address in self._addresses:
            left = self._deadline.left(timeout)
            try:
                stream = self._sockets.connect_tcp(address, port, left, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return TimedStream(stream, lambda at_most, _error: self._deadline.left(at_most))
        raise failure


@contextmanager
def _answer(
    target: Target, backend: httpcore.NetworkBackend, ssl_context: ssl.SSLContext | None
) -> Iterator[httpcore.Response]:
    """The answer to one GET over one fresh connection, with its body still to come."""
    url = httpcore.URL(
        scheme=target.scheme.encode(),
        host=target.host.encode(),
        port=target.port,
        target=target.path_and_query.encode(),
    )
    headers = [
        ("Host", target.authority),
        ("Accept", "video/mp4, */*;q=0.1"),
        ("Accept-Encoding", "identity"),
        ("Connection", "close"),
        ("User-Agent", "grokvideo_django"),
    ]
    pool = httpcore.ConnectionPool(ssl_context=ssl_context or usual_authorities(), network_backend=backend)
    try:
        with pool, pool.stream("GET", url, headers=headers, extensions={"timeout": PHASE_SECONDS}) as response:
            yield response
    except httpcore.TimeoutException as error:
        raise MediaUnavailable(f"{target.host} did not answer in time.") from error
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise MediaUnavailable(f"The connection to {target.host} failed or was cut off: {str(error)[:200]}") from error


def _checked_addresses(target: Target, policy: Policy, resolve: Resolve, deadline: _Deadline) -> Sequence[str]:
    """Where to connect to. One forbidden address among the answers refuses them all."""
    addresses = [target.host] if literal_address(target.host) else _look_up(target, resolve, deadline)
    for address in addresses:
        check_address(address, policy)
    return addresses


def _look_up(target: Target, resolve: Resolve, deadline: _Deadline) -> Sequence[str]:
    answer: Future[Sequence[str]] = Future()

    def ask() -> None:
        try:
            answer.set_result(resolve(target.host, target.port))
        except BaseException as error:  # noqa: BLE001 - it is raised again in the thread that waits
            answer.set_exception(error)

    # Not an executor: leaving a process would wait for its threads.
    threading.Thread(target=ask, name="grokvideo-look-up", daemon=True).start()
    try:
        addresses = answer.result(deadline.left(PHASE_SECONDS["connect"]))
    except OSError as error:  # a TimeoutError is one too
        raise MediaUnavailable(
            f"The host name {target.host} could not be looked up: {str(error) or 'no answer'}"
        ) from error
    if not addresses:
        raise MediaUnavailable(f"The host name {target.host} has no address.")
    return addresses


def _header(response: httpcore.Response, name: bytes) -> str:
    """All values of a header in one text."""
    return ", ".join(value.decode("latin-1") for key, value in response.headers if key.lower() == name)


def _check_head(response: httpcore.Response, max_bytes: int) -> None:
    """Raises unless a whole, plain, acceptably long file follows."""
    if response.status != 200:
        _raise_for_status(response)
    encodings = {word.strip().lower() for word in _header(response, b"content-encoding").split(",")}
    if not encodings <= {"", "identity"}:
        raise MediaRefused("The video came compressed, though an uncompressed one was asked for.")
    if (_content_length(response) or 0) > max_bytes:
        raise _too_big(max_bytes)


def _raise_for_status(response: httpcore.Response) -> None:
    status = response.status
    if status in {408, 425, 429} or status >= 500:
        now = parse_date(_header(response, b"date")) or datetime.now(UTC)
        retry_after = retry_after_seconds(_header(response, b"retry-after"), now=now)
        raise MediaUnavailable(f"The video's host answered {status}.", retry_after=retry_after)
    if status in {401, 403}:
        raise MediaForbidden(f"The video's host answered {status}: the URL is not signed, or not any more.")
    if status in {404, 410}:
        raise MediaExpired(f"The video's host answered {status}: the file is not at this URL any more.")
    raise MediaRefused(f"The video's host answered {status} instead of the file.")


def retry_after_seconds(value: str, *, now: datetime) -> float | None:
    """Seconds that a ``Retry-After`` header (a number or an HTTP date) asks for, at most an hour; None without one."""
    seconds = parse_retry_after(value, now=now)
    return None if seconds is None else min(seconds, MAX_RETRY_AFTER_SECONDS)


def _content_length(response: httpcore.Response) -> int | None:
    """How many bytes were promised. h11 has checked that it is a number of at most 20 digits."""
    value = _header(response, b"content-length")
    return int(value) if value else None


def _save(response: httpcore.Response, into: BinaryIO, max_bytes: int, deadline: _Deadline) -> Downloaded:
    """Write the body piece by piece: no piece is larger than the 64 kB that httpcore reads at once."""
    size_bytes, digest = 0, hashlib.sha256()
    for piece in response.iter_stream():
        size_bytes += len(piece)
        if size_bytes > max_bytes:
            raise _too_big(max_bytes)
        into.write(piece)
        digest.update(piece)
        deadline.left()  # writing takes time too
    into.flush()  # so that a full disk is noticed here
    promised = _content_length(response)
    if promised is not None and size_bytes < promised:  # a chunked body may promise a length as well
        raise MediaUnavailable(f"The video was cut off after {size_bytes} of {promised} bytes.")
    return Downloaded(size_bytes=size_bytes, sha256=digest.hexdigest())


def _too_big(max_bytes: int) -> MediaRefused:
    return MediaRefused(f"The video is larger than {max_bytes} bytes, the most that this site stores.")
