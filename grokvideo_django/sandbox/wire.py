"""HTTP/1.1 as bytes: reading a request from a stream, writing an answer whole, in pieces, or cut short on purpose."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol
from urllib.parse import parse_qsl, unquote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_BODY_BYTES = 32 * 1024 * 1024
"""A request larger than this is answered with 413: room for a 20 MB image as a ``data:`` URL."""

_MAX_LINE = 65536
_MAX_HEADERS = 100
_NO_BODY = frozenset({204, 304})
_REASONS = {status.value: status.phrase for status in HTTPStatus}


class Sink(Protocol):
    """What can be written to: a socket."""

    def sendall(self, data: bytes, /) -> object:
        """Send all of *data*."""
        ...


class Hangup(Exception):  # noqa: N818 - an instruction, not an error
    """Close the connection without an answer (or without the rest of it)."""


class BadRequestError(Exception):
    """What arrived is not HTTP that this server reads; ``status`` is the answer, and the connection is closed."""

    def __init__(self, status: int, message: str) -> None:
        """Keep *status* beside the message."""
        super().__init__(message)
        self.status = status


@dataclass(slots=True, frozen=True)
class Request:
    """One request; header names are lower case, the path is unquoted."""

    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    keep_alive: bool = True

    @property
    def bearer(self) -> str:
        """The API key of the Authorization header, or nothing."""
        scheme, _, key = self.headers.get("authorization", "").partition(" ")
        return key.strip() if scheme.lower() == "bearer" else ""


@dataclass(slots=True)
class Answer:
    """What to send. ``length`` overrides Content-Length; without it, a ``body`` of pieces ends with the connection."""

    status: int
    body: bytes | Iterator[bytes] = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    close: bool = False


def json_answer(payload: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    """*payload* as JSON."""
    return Answer(status, json.dumps(payload, separators=(",", ":")).encode(), headers=headers or {})


def read_request(stream: BinaryIO, sink: Sink) -> Request | None:
    """The next request of a connection; None when the peer is gone. Raises :class:`BadRequestError`."""
    line = stream.readline(_MAX_LINE)
    while line in {b"\r\n", b"\n"}:  # RFC 9112, 2.2: empty lines before a request are ignored
        line = stream.readline(_MAX_LINE)
    if not line:
        return None
    parts = line.decode("latin-1").split()
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise BadRequestError(400, "This is not an HTTP/1.1 request.")
    method, target, version = parts
    headers = _read_headers(stream)
    if headers is None:
        return None
    body = _read_body(stream, sink, headers)
    if body is None:
        return None
    path, _, query = target.partition("?")
    tokens = headers.get("connection", "").lower()
    keep_alive = "close" not in tokens and (version != "HTTP/1.0" or "keep-alive" in tokens)
    pairs = dict(parse_qsl(query, keep_blank_values=True)) if query else {}
    return Request(method, unquote(path), pairs, headers, body, keep_alive)


def _read_headers(stream: BinaryIO) -> dict[str, str] | None:
    headers: dict[str, str] = {}
    for _ in range(_MAX_HEADERS):
        line = stream.readline(_MAX_LINE)
        if not line:
            return None
        if line in {b"\r\n", b"\n"}:
            return headers
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    raise BadRequestError(431, "Too many header fields.")


def _read_body(stream: BinaryIO, sink: Sink, headers: dict[str, str]) -> bytes | None:
    if "transfer-encoding" in headers:
        raise BadRequestError(411, "Send a Content-Length: the sandbox reads no chunked requests.")
    length = headers.get("content-length", "0")
    if not length.isdecimal():
        raise BadRequestError(400, "Content-Length is not a number.")
    if int(length) > MAX_BODY_BYTES:
        raise BadRequestError(413, f"The request is larger than {MAX_BODY_BYTES} bytes.")
    if length == "0":
        return b""
    if headers.get("expect", "").lower() == "100-continue":
        sink.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = stream.read(int(length))
    return body if len(body) == int(length) else None


def head(answer: Answer) -> bytes:
    """The status line and the header fields, with the empty line after them."""
    lines = [f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'Unknown')}"]
    if answer.status not in _NO_BODY:
        lines.append(f"Content-Type: {answer.content_type}")
        length = len(answer.body) if answer.length is None and isinstance(answer.body, bytes) else answer.length
        if length is not None:
            lines.append(f"Content-Length: {length}")
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    if answer.close:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")


def pieces(answer: Answer, *, only_head: bool) -> Iterable[bytes]:
    """What goes to the socket, one ``sendall`` each: a small answer is one piece, head and body together."""
    if only_head or answer.status in _NO_BODY:
        yield head(answer)
    elif isinstance(answer.body, bytes):
        yield head(answer) + answer.body
    else:
        yield head(answer)
        yield from answer.body
