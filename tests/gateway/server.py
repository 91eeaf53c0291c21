"""A real HTTP server on loopback that answers whatever a test says, byte by byte."""

from __future__ import annotations

import json
import socket
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Received:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def json(self):
        return json.loads(self.body)


def reply(status: int, body: object = None, *, headers: dict[str, str] | None = None, close: bool = False) -> bytes:
    """A whole answer; a body that is not bytes is sent as JSON."""
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Whatever"]
    if status != 304:
        lines.append(f"Content-Length: {len(raw)}")
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    lines += ["Connection: close"] if close else []
    return "\r\n".join([*lines, "", ""]).encode() + raw


class Server:
    """Answers the requests it gets with ``script``, in turn; each is bytes, or a function of the connection."""

    def __init__(self) -> None:
        self.script: list[bytes | Callable[[socket.socket], None]] = []
        self.received: list[Received] = []
        self.stopped = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._connections: list[socket.socket] = []
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def answer(self, *script: bytes | Callable[[socket.socket], None]) -> None:
        self.script += script

    def close(self) -> None:
        self.stopped.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        for connection in self._connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # it is gone already
        for thread in self._threads[1:]:
            thread.join()

    def stall(self, connection: socket.socket) -> None:
        """Say nothing until the test ends, or for a minute."""
        self.stopped.wait(60)

    def drip(self, head: bytes = b"", piece: bytes = b"x") -> Callable[[socket.socket], None]:
        """Say ``head``, then for a minute ``piece`` every 50 ms, so that no time-out of a single read ever strikes."""

        def answer(connection: socket.socket) -> None:
            connection.sendall(head)
            ends_at = time.monotonic() + 60
            while time.monotonic() < ends_at and not self.stopped.wait(0.05):
                connection.sendall(piece)

        return answer

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection, len(self._connections)))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with connection, connection.makefile("rb") as stream:
            try:
                while (request := _read(stream, number)) is not None:
                    self.received.append(request)
                    answer = self.script.pop(0)
                    if callable(answer):
                        answer(connection)
                        return
                    connection.sendall(answer)
                    if b"\r\nConnection: close\r\n" in answer:
                        return
            except (OSError, ValueError):
                return  # the client has left, or does not speak HTTP


def _read(stream, number: int) -> Received | None:
    line = stream.readline().decode()
    if not line:
        return None
    method, target, _ = line.split(" ")
    headers = {}
    while header := stream.readline().strip().decode():
        name, _, value = header.partition(": ")
        headers[name.lower()] = value
    body = stream.read(int(headers.get("content-length", 0)))
    return Received(method, target, headers, body, number)
