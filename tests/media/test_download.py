from __future__ import annotations

import errno
import gzip
import hashlib
import logging
import socket
import ssl
import threading
import time
import tracemalloc
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from io import BytesIO

import httpcore
import pytest

from grokvideo_django.exceptions import MediaExpired, MediaForbidden, MediaRefused, MediaUnavailable
from grokvideo_django.media import download as module
from grokvideo_django.media.addresses import Policy
from grokvideo_django.media.download import Downloaded, download, retry_after_seconds, system_resolve

SANDBOX = Policy(hosts=["127.0.0.1", "media.test", "other.test"], allow_private=True)
BODY = bytes(range(256)) * 1_000


def whole(body: bytes = BODY, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def redirect(location: str, status: int = 302) -> bytes:
    return whole(b"moved", f"Location: {location}", status=f"{status} Moved")


def fetch(url, into=None, *, policy=SANDBOX, max_bytes=10_000_000, max_seconds=15.0, **options):
    return download(url, into or BytesIO(), policy=policy, max_bytes=max_bytes, max_seconds=max_seconds, **options)


def on_loopback(host, port):
    return ["127.0.0.1"]


def endless(connection, prefix: bytes, piece: bytes, seconds_between: float = 0.0):
    connection.sendall(prefix)
    while True:
        connection.sendall(piece)
        time.sleep(seconds_between)


def test_the_bytes_arrive_with_their_sum(serve):
    server, into = serve(whole()), BytesIO()
    assert fetch(server.url + "?sig=1", into) == Downloaded(
        size_bytes=len(BODY), sha256=hashlib.sha256(BODY).hexdigest()
    )
    assert into.getvalue() == BODY
    assert not into.closed


def test_chunks_and_a_body_that_ends_with_the_connection_arrive(serve):
    chunked = serve(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    until_closed = serve(b"HTTP/1.0 200 OK\r\n\r\nabcde")
    assert fetch(chunked.url).size_bytes == fetch(until_closed.url).size_bytes == 5


def test_nothing_but_what_a_file_needs_is_sent(serve, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    server = serve(whole(b"x", "Set-Cookie: a=b"))
    fetch(server.url + "?signature=secret")
    fetch(server.url)
    first, second = (head.decode().split("\r\n") for head in server.heads)
    assert first[0] == "GET /video.mp4?signature=secret HTTP/1.1"
    assert (
        second[1:]
        == first[1:]
        == [
            f"Host: 127.0.0.1:{server.port}",
            "Accept: video/mp4, */*;q=0.1",
            "Accept-Encoding: identity",
            "Connection: close",
            "User-Agent: grokvideo_django",
            "",
            "",
        ]
    )
    assert not caplog.records


# Where to connect to


def test_a_name_is_looked_up_once_and_the_checked_address_is_used(serve):
    server = serve(whole(b"video"))
    answers = iter([["127.0.0.1"], ["169.254.169.254"]])
    asked = []

    def rebinding(host, port):
        asked.append((host, port))
        return next(answers)

    url = f"http://media.test:{server.port}/a"
    assert fetch(url, resolve=rebinding).size_bytes == 5
    assert asked == [("media.test", server.port)]
    assert f"Host: media.test:{server.port}".encode() in server.heads[0]
    with pytest.raises(MediaRefused, match="not a public one"):
        fetch(url, resolve=rebinding)
    assert server.connections == 1


def test_a_name_that_answers_differently_after_a_redirect_gains_nothing(serve):
    server = serve(redirect("/again"))
    answers = iter([["127.0.0.1"], ["::ffff:169.254.169.254"]])
    with pytest.raises(MediaRefused, match="not a public one"):
        fetch(f"http://media.test:{server.port}/a", resolve=lambda host, port: next(answers))
    assert server.connections == 1


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["::1"],
        ["10.0.0.1"],
        ["169.254.169.254"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::a9fe:a9fe"],
        ["2002:7f00:1::1"],
        ["fe80::1%lo"],
        ["0.0.0.0"],
        ["8.8.8.8", "127.0.0.1"],  # one bad answer spoils the others
        ["not-an-address"],
    ],
)
def test_a_listed_name_with_a_forbidden_address_is_refused_before_connecting(addresses, monkeypatch):
    monkeypatch.setattr(socket, "create_connection", lambda *args, **kwargs: pytest.fail("it connected"))
    policy = Policy(hosts=["media.test"])
    with pytest.raises(MediaRefused):
        fetch("https://media.test/a", policy=policy, resolve=lambda host, port: addresses)


def test_the_next_address_is_tried_when_one_refuses(serve):
    server = serve(whole(b"video"))
    url = f"http://media.test:{server.port}/a"
    assert fetch(url, resolve=lambda host, port: ["127.0.0.2", "127.0.0.1"]).size_bytes == 5


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(MediaUnavailable, match="failed"):
        fetch(f"http://media.test:{port}/a", resolve=lambda host, port: ["127.0.0.1", "127.0.0.2"])


@pytest.mark.parametrize("failure", [socket.gaierror(-2, "Name or service not known"), OSError("no network")])
def test_a_name_that_cannot_be_looked_up_may_be_there_later(failure):
    def fail(host, port):
        raise failure

    with pytest.raises(MediaUnavailable, match=r"media\.test could not be looked up"):
        fetch("http://media.test/a", resolve=fail)


def test_a_name_without_an_address_may_have_one_later():
    with pytest.raises(MediaUnavailable, match="no address"):
        fetch("http://media.test/a", resolve=lambda host, port: [])


def test_a_fault_in_the_resolver_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        fetch("http://media.test/a", resolve=lambda host, port: [str(1 // 0)])


def test_a_look_up_that_hangs_is_left_behind():
    hang = threading.Event()
    with pytest.raises(MediaUnavailable, match="no answer"):
        fetch("http://media.test/a", max_seconds=0.2, resolve=lambda host, port: [str(hang.wait(20))])
    hang.set()


def test_the_system_knows_loopback():
    assert set(system_resolve("localhost", 80)) <= {"127.0.0.1", "::1"}
    assert system_resolve("127.0.0.1", 80) == ["127.0.0.1"]


def test_a_forbidden_url_is_refused_before_anything(monkeypatch):
    with pytest.raises(MediaRefused):
        fetch("http://127.0.0.1:1/", policy=Policy(hosts=["127.0.0.1"]), resolve=lambda *args: pytest.fail("asked"))


# TLS


def test_tls_is_checked_for_the_name_at_the_pinned_address(serve, tls):
    names = []
    server_context, client_context = tls
    server_context.sni_callback = lambda sock, name, context: names.append(name)
    server = serve(whole(b"video"), server_context)
    url = f"https://media.test:{server.port}/a"
    assert fetch(url, resolve=on_loopback, ssl_context=client_context).size_bytes == 5
    assert names == ["media.test"]


def test_a_certificate_for_another_name_is_not_accepted(serve, tls):
    server_context, client_context = tls
    server = serve(whole(b"video"), server_context)
    for host in ("other.test", "127.0.0.1"):
        with pytest.raises(MediaUnavailable, match="certificate"):
            fetch(f"https://{host}:{server.port}/a", resolve=on_loopback, ssl_context=client_context)
    assert not server.heads


def test_a_certificate_of_nobody_is_not_accepted(serve, tls, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))  # the environment opens nothing
    server = serve(whole(b"video"), tls[0])
    with pytest.raises(MediaUnavailable, match="certificate"):
        fetch(f"https://media.test:{server.port}/a", resolve=on_loopback)
    assert not server.heads


def test_a_redirect_to_another_name_at_the_same_address_is_checked_anew(serve, tls):
    server_context, client_context = tls
    server = serve(
        lambda connection, head: connection.sendall(redirect(f"https://other.test:{server.port}/")), server_context
    )
    with pytest.raises(MediaUnavailable, match="certificate"):
        fetch(f"https://media.test:{server.port}/a", resolve=on_loopback, ssl_context=client_context)
    assert server.connections == 2
    assert len(server.heads) == 1


def test_a_handshake_that_never_ends_is_left(serve):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def accept():
            connection, _ = listener.accept()
            with connection:
                try:
                    connection.sendall(b"\x16\x03\x03\x40\x00")  # a handshake record of 16 kB, byte by byte
                    while True:
                        connection.sendall(b"\x02")
                        time.sleep(0.05)
                except OSError:
                    pass

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        started = time.monotonic()
        with pytest.raises(MediaUnavailable):
            fetch(f"https://media.test:{port}/a", resolve=on_loopback, max_seconds=0.5)
        assert time.monotonic() - started < 60
        thread.join(10)


def test_a_drip_inside_tls_is_left(serve, tls):
    server_context, client_context = tls
    drip = serve(lambda connection, head: endless(connection, b"HTTP/1.1 200 OK\r\nX: ", b"a", 0.05), server_context)
    with pytest.raises(MediaUnavailable, match=r"within 0\.5 seconds|in time"):
        fetch(f"https://media.test:{drip.port}/", resolve=on_loopback, ssl_context=client_context, max_seconds=0.5)


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(serve, status):
    def behave(connection, head):
        connection.sendall(whole(b"video") if b"GET /there" in head else redirect("/there?x=1", status))

    server = serve(behave)
    assert fetch(server.url).size_bytes == 5
    assert server.connections == 2


def test_at_most_three_redirects_are_followed(serve):
    def countdown(connection, head):
        left = int(head.split(b"/")[1].split()[0])
        connection.sendall(redirect(f"/{left - 1}") if left else whole(b"video"))

    server = serve(countdown)
    assert fetch(server.url.replace("video.mp4", "3")).size_bytes == 5
    with pytest.raises(MediaRefused, match="more than 3"):
        fetch(server.url.replace("video.mp4", "4"))


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://[::ffff:a9fe:a9fe]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://127.0.0.1./",
        "http://[::1%25lo]/",
        "http://user@127.0.0.1/",
        "http://127.0.0.2/",
        "//evil.test/",
        "https://evil.test/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "",
    ],
)
def test_redirects_to_elsewhere_are_refused(serve, location):
    server = serve(redirect(location))
    with pytest.raises(MediaRefused):
        fetch(server.url)
    assert server.connections == 1


def test_a_redirect_to_another_port_is_refused(serve):
    inside = serve(whole())
    server = serve(redirect(inside.url))
    with pytest.raises(MediaRefused, match="MEDIA_HOSTS"):
        fetch(server.url, policy=Policy(hosts=[f"127.0.0.1:{server.port}"], allow_private=True))
    assert inside.connections == 0


def test_two_locations_are_one_too_many(serve):
    server = serve(whole(b"", "Location: /a", "Location: /b", status="302 Found"))
    with pytest.raises(MediaRefused):
        fetch(server.url)


# Other answers


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, MediaForbidden),
        (403, MediaForbidden),
        (404, MediaExpired),
        (410, MediaExpired),
        (204, MediaRefused),
        (206, MediaRefused),
        (300, MediaRefused),
        (304, MediaRefused),
        (400, MediaRefused),
        (418, MediaRefused),
        (408, MediaUnavailable),
        (425, MediaUnavailable),
        (429, MediaUnavailable),
        (500, MediaUnavailable),
        (503, MediaUnavailable),
        (599, MediaUnavailable),
    ],
)
def test_other_statuses(serve, status, kind):
    into = BytesIO()
    with pytest.raises(kind, match=str(status)) as caught:
        fetch(serve(whole(b"", status=f"{status} No")).url, into)
    assert type(caught.value) is kind
    assert not into.getvalue()


def test_the_host_may_ask_for_a_pause(serve):
    with pytest.raises(MediaUnavailable) as caught:
        fetch(serve(whole(b"", "Retry-After: 7", status="503 Busy")).url)
    assert caught.value.retry_after == 7
    dates = ("Date: Sun, 22 Nov 2026 06:00:00 GMT", "Retry-After: Sun, 22 Nov 2026 06:00:30 GMT")
    with pytest.raises(MediaUnavailable) as caught:
        fetch(serve(whole(b"", *dates, status="503 Busy")).url)
    assert caught.value.retry_after == 30
    with pytest.raises(MediaUnavailable) as caught:
        fetch(serve(whole(b"", status="503 Busy")).url)
    assert caught.value.retry_after is None


NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        (" 120 ", 120),
        ("999999999", 3_600),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90),
        (format_datetime(NOW - timedelta(seconds=90), usegmt=True), 0),
        ("Sun, 22 Nov 2026 12:01:00 -0000", 60),  # no time zone: UTC
        ("Sun, 22 Nov 99999999999 12:01:00 GMT", None),
        ("-1", None),
        ("1.5", 1.5),
        ("9" * 5_000, 3_600),
        ("7\x1f", None),
        ("\u0663", None),
        ("soon", None),
        ("", None),
    ],
)
def test_pauses_are_read_with_care(value, seconds):
    assert retry_after_seconds(value, now=NOW) == seconds


# Hostile bodies


@pytest.mark.parametrize(
    "encoding", ["gzip", "GZIP", "gzip, gzip", "identity, gzip", "br", "zstd", "deflate", "x-unknown"]
)
def test_compressed_bodies_are_refused_unread(serve, encoding):
    doubled, into = gzip.compress(gzip.compress(bytes(10_000_000))), BytesIO()
    with pytest.raises(MediaRefused, match="compressed"):
        fetch(serve(whole(doubled, f"Content-Encoding: {encoding}")).url, into)
    assert not into.getvalue()


def test_two_encoding_headers_hide_nothing(serve):
    server = serve(whole(b"x", "Content-Encoding: identity", "Content-Encoding: gzip"))
    with pytest.raises(MediaRefused, match="compressed"):
        fetch(server.url)


def test_identity_is_no_compression(serve):
    assert fetch(serve(whole(b"video", "Content-Encoding: identity")).url).size_bytes == 5


def test_a_compressed_transfer_is_refused(serve):
    with pytest.raises(MediaUnavailable):
        fetch(serve(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n").url)


def test_a_promise_of_too_much_is_refused_unread(serve):
    into = BytesIO()
    with pytest.raises(MediaRefused, match="larger than 1000 bytes"):
        fetch(serve(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n").url, into, max_bytes=1_000)
    assert fetch(serve(whole(bytes(1_000))).url, max_bytes=1_000).size_bytes == 1_000


@pytest.mark.parametrize(
    "head", ["Transfer-Encoding: chunked\r\n", "", "Content-Length: 10\r\nTransfer-Encoding: chunked\r\n"]
)
def test_an_endless_body_ends_at_the_limit(serve, head):
    piece = b"10000\r\n" + bytes(65_536) + b"\r\n"
    server = serve(lambda connection, _: endless(connection, f"HTTP/1.1 200 OK\r\n{head}\r\n".encode(), piece))
    into = BytesIO()
    with pytest.raises(MediaRefused, match="larger"):
        fetch(server.url, into, max_bytes=1_000_000)
    assert len(into.getvalue()) <= 1_000_000


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 10\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"",
    ],
)
def test_a_cut_is_noticed(serve, answer):
    with pytest.raises(MediaUnavailable, match="cut off"):
        fetch(serve(answer).url)


def test_a_reset_is_a_passing_fault(serve):
    def reset(connection, head):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        connection.close()

    with pytest.raises(MediaUnavailable, match="cut off"):
        fetch(serve(reset).url)


def test_a_length_that_is_too_short_ends_the_file_there(serve):
    """What is too short for a video is left to the probe."""
    into = BytesIO()
    fetch(serve(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef").url, into)
    assert into.getvalue() == b"abc"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1e9\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFFFFFFFFF\r\n",
        b"HTTP/1.1 200 OK\r\nBad Header: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 300_000,
        b"HTTP/9.9 two hundred\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"\x00" * 1_000,
    ],
)
def test_what_is_not_http_is_a_passing_fault(serve, answer):
    with pytest.raises(MediaUnavailable) as caught:
        fetch(serve(answer).url)
    assert len(str(caught.value)) < 400


def test_the_same_length_twice_is_one_length(serve):
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc"
    assert fetch(serve(answer).url).size_bytes == 3
    assert fetch(serve(b"HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\nabc").url).size_bytes == 3


@pytest.mark.parametrize(
    ("prefix", "piece", "pause"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"a", 0.05),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n", 0.05),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"a", 0.05),
        (b"HTTP/1.1 200 OK\r\nX: ", b"a", 0.05),
        (b"", b"\r", 0.05),
        (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", 0.0),
    ],
    ids=["body", "chunks", "chunk head", "headers", "first line", "informational"],
)
def test_a_drip_ends_at_the_deadline(serve, prefix, piece, pause):
    server = serve(lambda connection, head: endless(connection, prefix, piece, pause))
    started = time.monotonic()
    with pytest.raises(MediaUnavailable):
        fetch(server.url, max_seconds=0.6)
    assert time.monotonic() - started < 60


def test_the_deadline_is_over_all_redirects(serve):
    def slowly(connection, head):
        time.sleep(0.3)
        connection.sendall(redirect("/again"))

    with pytest.raises(MediaUnavailable):
        fetch(serve(slowly).url, max_seconds=0.7)


def test_silence_ends_sooner_than_the_deadline(serve, monkeypatch):
    monkeypatch.setitem(module.PHASE_SECONDS, "read", 0.2)
    silent = serve(lambda connection, head: time.sleep(2))
    with pytest.raises(MediaUnavailable, match="in time"):
        fetch(silent.url, max_seconds=300)


def test_slow_storage_counts_too(serve):
    class Slow(BytesIO):
        def write(self, data):
            time.sleep(0.3)
            return super().write(data)

    with pytest.raises(MediaUnavailable, match=r"within 0\.2 seconds"):
        fetch(serve(whole()).url, Slow(), max_seconds=0.2)


def test_no_time_at_all():
    with pytest.raises(MediaUnavailable, match="within 0 seconds"):
        fetch("http://127.0.0.1:1/", max_seconds=0)


# Our own storage


@pytest.mark.parametrize("method", ["write", "flush"])
def test_a_full_disk_is_our_own_fault(serve, method):
    class Full(BytesIO):
        pass

    def fail(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    setattr(Full, method, fail)
    with pytest.raises(OSError, match="No space left") as caught:
        fetch(serve(whole()).url, Full())
    assert caught.value.errno == errno.ENOSPC


def test_a_time_out_of_our_own_storage_is_not_the_hosts(serve):
    class Hung(BytesIO):
        def write(self, data):
            raise TimeoutError("storage")

    with pytest.raises(TimeoutError, match="storage"):
        fetch(serve(whole()).url, Hung())


def test_memory_stays_flat(serve):
    total, piece = 100 * 1024 * 1024, bytes(1024 * 1024)

    def send(connection, head):
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {total}\r\n\r\n".encode())
        for _ in range(total // len(piece)):
            connection.sendall(piece)

    class Sink(BytesIO):
        largest = 0

        def write(self, data):
            self.largest = max(self.largest, len(data))
            return len(data)

    server, sink = serve(send), Sink()
    fetch(serve(whole(b"warm")).url)
    tracemalloc.start()
    try:
        downloaded = fetch(server.url, sink, max_bytes=total, max_seconds=300)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert downloaded.size_bytes == total
    assert sink.largest <= 65_536
    assert peak < 8 * 1024 * 1024


def test_a_backend_without_addresses_connects_nowhere():
    backend = module._PinnedBackend([], module._Deadline(1))
    with pytest.raises(httpcore.ConnectError, match="no address"):
        backend.connect_tcp("media.test", 80)


def test_each_hop_has_a_connection_of_its_own(serve):
    server = serve(lambda connection, head: connection.sendall(whole(b"v") if b"/b" in head else redirect("/b")))
    fetch(server.url)
    assert server.connections == 2


def test_the_usual_authorities_are_loaded_once():
    assert module.usual_authorities() is module.usual_authorities()
    assert module.usual_authorities().verify_mode is ssl.CERT_REQUIRED
