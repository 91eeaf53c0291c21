"""The sockets: keep-alive, bad input, peers that leave, many at once, and nothing left behind."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from grokvideo_django.sandbox import Sandbox, server
from grokvideo_django.sandbox.clips import Factory
from grokvideo_django.sandbox.server import Server
from grokvideo_django.sandbox.wire import MAX_BODY_BYTES, Answer
from tests.sandbox.conftest import KEY, Api


def raw(sandbox: Sandbox, data: bytes) -> bytes:
    """What comes back for *data* until the connection closes."""
    host, port = sandbox.media_host.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=5) as peer:
        peer.sendall(data)
        peer.shutdown(socket.SHUT_WR)
        found = b""
        while piece := peer.recv(65536):
            found += piece
        return found


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/2\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"411"),
        (b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1), b"413"),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 101 + b"\r\n", b"431"),
    ],
)
def test_bad_requests(sandbox: Sandbox, data: bytes, status: bytes) -> None:
    answer = raw(sandbox, data)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"Connection: close" in answer


@pytest.mark.parametrize(
    "data", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nA: b\r\n", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf"]
)
def test_peers_that_leave_early(sandbox: Sandbox, data: bytes) -> None:
    assert b" 200 " not in raw(sandbox, data)


def test_keep_alive_and_close(sandbox: Sandbox) -> None:
    two = raw(
        sandbox,
        b"\r\nGET / HTTP/1.1\r\n\r\n" + b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n" + b"GET / HTTP/1.1\r\n\r\n",
    )
    assert two.count(b"HTTP/1.1 200 OK") == 2
    old = raw(sandbox, b"GET / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n")
    assert old.count(b"HTTP/1.1 200 OK") == 1


def test_expect_100_continue(sandbox: Sandbox) -> None:
    body = b'{"word": "never"}'
    head = b"POST /sandbox/behave HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body)
    assert raw(sandbox, head + body).startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")


def test_words_that_no_header_can_hold(api: Api) -> None:
    assert "?" in api.media(api.job("[sandbox:media-type=video/狐]")).headers["content-type"]


def test_a_peer_that_leaves_during_a_long_answer(api: Api) -> None:
    with api.anonymous.stream("GET", api.url(api.job("[sandbox:media-endless]"))) as answer:
        next(answer.iter_raw())
    assert api.http.get("/balance").status_code == 200


def test_stopping_ends_waits_and_threads(clips: Factory) -> None:
    before = threading.active_count()
    sandbox = Sandbox(clips=clips).start()
    api = Api(sandbox)
    with ThreadPoolExecutor(3) as threads:
        stalled = [threads.submit(api.post, "[sandbox:stall=60]") for _ in range(3)]
        while sandbox.world.jobs.all().__len__() < 3:
            time.sleep(0.01)
        began = time.monotonic()
        sandbox.stop()
        sandbox.stop()
        assert time.monotonic() - began < 30
        assert all(isinstance(future.exception(), httpx.TransportError) for future in stalled)
    api.close()
    assert threading.active_count() == before


def test_a_port_that_is_taken(sandbox: Sandbox) -> None:
    other = Sandbox(port=int(sandbox.media_host.rsplit(":", 1)[1]))
    with pytest.raises(OSError, match="in use"):
        other.start()
    other.stop()


def test_idle_connections_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "IDLE_SECONDS", 0.05)
    with Sandbox() as sandbox, socket.create_connection(("127.0.0.1", int(sandbox.media_host[10:])), timeout=5) as peer:
        assert peer.recv(1) == b""


def test_ipv6() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    try:
        sandbox = Sandbox("::1").start()
    except OSError:
        pytest.skip("no IPv6 loopback")
    with sandbox:
        pass


def test_accept_survives_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    served = Server("127.0.0.1", 0, lambda request: Answer(200, b"{}"))
    served.open()

    class Flaky:
        """A listener that has no file descriptor left, once."""

        failures = 1

        def __init__(self, listener: socket.socket) -> None:
            self.listener = listener

        def accept(self) -> object:
            if self.failures:
                self.failures = 0
                raise OSError("too many open files")
            return self.listener.accept()

    assert served._listener is not None
    second = threading.Thread(target=served._accept, args=(Flaky(served._listener),), daemon=True)
    second.start()
    for _ in range(4):
        assert httpx.get(f"http://127.0.0.1:{served.port}/", trust_env=False).status_code == 200
    served._closing = True
    for _ in range(2):
        socket.create_connection(("127.0.0.1", served.port)).close()
    second.join(2)
    assert not second.is_alive()
    served.close()


def test_many_at_once(api: Api) -> None:
    """200 connections, each reading a job of its own; nobody is refused, and it is not slow."""
    jobs = [api.job("[sandbox:never]") for _ in range(200)]
    host, port = api.sandbox.media_host.rsplit(":", 1)
    heads = [f"GET /v1/jobs/{job} HTTP/1.1\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode() for job in jobs]
    peers = [socket.create_connection((host, int(port)), timeout=10) for _ in jobs]
    began = time.monotonic()
    for _ in range(5):
        for peer, head in zip(peers, heads, strict=True):
            peer.sendall(head)
        for peer in peers:
            assert peer.recv(4096).startswith(b"HTTP/1.1 200")
    rate = 1000 / (time.monotonic() - began)
    for peer in peers:
        peer.close()
    assert api.sandbox.answers["read 200"] == 1000
    assert rate > 200, f"{rate:.0f} reads a second"  # far more on an idle machine
