"""The sockets: one thread a connection, keep-alive, and a stop that leaves neither thread nor socket behind.

Written on plain sockets because a sandbox must be able to hang up in the middle of an answer, and because it is the
peer of polling benchmarks: hundreds of connections, a thousand small reads a second.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Generator
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, cast

from grokvideo_django.sandbox.wire import Answer, BadRequestError, Hangup, Request, json_answer, pieces, read_request

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger("grokvideo_django.sandbox")

BACKLOG = 1024
IDLE_SECONDS = 120.0
"""A kept-alive connection on which nothing is said for so long is closed."""


class Server:
    """Listens on *host*:*port* (0: a free one) and lets *answer* turn each request into an answer."""

    def __init__(self, host: str, port: int, answer: Callable[[Request], Answer]) -> None:
        """Nothing is opened before :meth:`open`."""
        self.host = host
        self.port = port
        self._answer = answer
        self._listener: socket.socket | None = None
        self._acceptor: threading.Thread | None = None
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._lock = threading.Lock()
        self._closing = False

    def open(self) -> None:
        """Bind and listen; after a :meth:`close`, on the same port. Twice is once."""
        if self._listener is not None:
            return
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self.host, self.port))
            listener.listen(BACKLOG)
        except OSError:
            listener.close()
            raise
        self.port = listener.getsockname()[1]
        self._listener = listener
        self._closing = False
        self._acceptor = threading.Thread(target=self._accept, args=(listener,), name="sandbox-accept", daemon=True)
        self._acceptor.start()

    def close(self) -> None:
        """Refuse new connections, cut the open ones, and wait for their threads. Twice is once."""
        if self._listener is None or self._acceptor is None:
            return
        self._closing = True
        with suppress(OSError):  # wakes accept(); closing the listener alone does not on every system
            socket.create_connection(self._listener.getsockname()[:2], timeout=1).close()
        self._acceptor.join()
        self._listener.close()
        self._listener = None
        with self._lock:
            threads = list(self._connections.values())
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # out of file descriptors, or the peer left before it was accepted
                time.sleep(0.05)
                continue
            if self._closing:
                connection.close()
                return
            thread = threading.Thread(target=self._serve, args=(connection,), name="sandbox-peer", daemon=True)
            with self._lock:
                self._connections[connection] = thread
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.settimeout(IDLE_SECONDS)
            with cast("BinaryIO", connection.makefile("rb", 65536)) as stream:
                while True:
                    request = read_request(stream, connection)
                    if request is None or not self._respond(connection, request):
                        break
        except BadRequestError as error:
            self._refuse(connection, error)
        except (OSError, Hangup):  # the peer left, or is meant to see us leave
            pass
        finally:
            with self._lock:
                del self._connections[connection]
            connection.close()

    def _respond(self, connection: socket.socket, request: Request) -> bool:
        """Whether the connection stays open."""
        try:
            answer = self._answer(request)
        except Hangup:
            raise
        except Exception as error:  # a defect of the sandbox must be seen by the caller, and kill no other request
            logger.exception("The sandbox could not answer %s %s", request.method, request.path)
            problem = {"message": f"The sandbox broke: {error!r}", "type": "sandbox_error", "code": 500, "param": None}
            answer = json_answer({"error": problem}, 500)
        endless = not isinstance(answer.body, bytes) and answer.length is None
        answer.close = answer.close or endless or not request.keep_alive
        try:
            for piece in pieces(answer, only_head=request.method == "HEAD"):
                connection.sendall(piece)
        finally:
            if isinstance(answer.body, Generator):  # closes its file now, not whenever it is collected
                answer.body.close()
        return not answer.close

    @staticmethod
    def _refuse(connection: socket.socket, error: BadRequestError) -> None:
        problem = {"message": str(error), "type": "invalid_request_error", "code": error.status, "param": None}
        answer = json_answer({"error": problem}, error.status)
        answer.close = True
        with suppress(OSError):
            for piece in pieces(answer, only_head=False):
                connection.sendall(piece)
