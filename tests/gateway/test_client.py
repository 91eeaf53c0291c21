from __future__ import annotations

import json
import pickle
import socket
import struct
import threading
import time
import traceback
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime

import pytest

from grokvideo_django.gateway import (
    AccountRefused,
    AnswerLost,
    GatewayClient,
    GatewayError,
    JobError,
    JobNotFound,
    JobState,
    NotAccepted,
    RateLimit,
    RequestRefused,
    ServerFault,
)
from tests.gateway.conftest import KEY
from tests.gateway.server import reply
from tests.gateway.test_wire import order

URL = "https://media.aigateway.sh/v.mp4"
ACCEPTED = {"id": "job_1", "status": "queued", "model": "m", "created": 1_782_000_000}


def say(data: bytes):
    """Say it and hang up."""
    return lambda connection: connection.sendall(data)


def hang_up(connection: socket.socket) -> None:
    """Say nothing at all."""


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def error_of(call, *args, **kwargs) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        call(*args, **kwargs)
    return caught.value


class TestCreate:
    @pytest.mark.parametrize("status", [200, 201, 202])
    def test_accepted(self, server, client, status):
        server.answer(reply(status, ACCEPTED))
        job = client.create(order())
        assert (job.id, job.state, job.status) == ("job_1", JobState.QUEUED, "queued")

    def test_the_request(self, server, client):
        server.answer(reply(202, ACCEPTED))
        sent = order(prompt="a cat, größer \ud800", tag="site\r\nX-Evil: ü" + "x" * 100)
        client.create(sent)
        (request,) = server.received
        assert (request.method, request.target) == ("POST", "/v1/videos/generations")
        assert request.json == sent.payload()
        assert request.headers["authorization"] == f"Bearer {KEY}"
        assert request.headers["idempotency-key"] == "key-1"
        assert request.headers["content-type"] == "application/json"
        assert request.headers["accept-encoding"] == "identity"
        assert request.headers["connection"] == "close"
        assert request.headers["user-agent"] == "grokvideo-django"
        assert request.headers["x-aig-tag"] == ("siteX-Evil: " + "x" * 100)[:64]
        assert "x-evil" not in request.headers

    def test_no_tag_no_header(self, server, client):
        server.answer(reply(202, ACCEPTED))
        client.create(order(tag=""))
        assert "x-aig-tag" not in server.received[0].headers

    def test_a_fresh_connection_each_time(self, server, client):
        server.answer(reply(200, ACCEPTED), reply(202, ACCEPTED), reply(202, ACCEPTED))
        client.read("job_1")
        client.create(order())
        client.create(order())
        assert len({request.connection for request in server.received}) == 3

    def test_a_big_image_arrives(self, server, client):
        server.answer(reply(202, ACCEPTED))
        client.create(order(image_url="data:image/png;base64," + "A" * 3_000_000))
        assert len(server.received[0].json["image_url"]) > 3_000_000

    def test_a_slash_after_the_base_url(self, server):
        server.answer(reply(202, ACCEPTED))
        with GatewayClient(base_url=f" {server.url}/ ", api_key=f"{KEY}\n") as client:
            client.create(order())
        assert server.received[0].target == "/v1/videos/generations"
        assert server.received[0].headers["authorization"] == f"Bearer {KEY}"

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, RequestRefused),
            (401, AccountRefused),
            (402, AccountRefused),
            (403, AccountRefused),
            (404, RequestRefused),
            (405, RequestRefused),
            (408, AnswerLost),
            (409, RequestRefused),
            (413, RequestRefused),
            (422, RequestRefused),
            (429, NotAccepted),
            (499, RequestRefused),
            (500, ServerFault),
            (501, AnswerLost),
            (502, AnswerLost),
            (503, NotAccepted),
            (504, AnswerLost),
            (520, AnswerLost),
            (300, AnswerLost),
            (304, AnswerLost),
        ],
    )
    def test_refused(self, server, client, status, kind):
        server.answer(reply(status, None if status == 304 else {"error": {"message": "Because.", "code": "why"}}))
        error = error_of(client.create, order())
        assert type(error) is kind
        assert error.status == status
        if status >= 400:
            assert (str(error), error.message, error.code) == ("Because.", "Because.", "why")

    @pytest.mark.parametrize("status", [301, 302, 307, 308])
    def test_no_redirect_is_followed(self, server, client, status):
        server.answer(reply(status, headers={"Location": f"{server.url}/elsewhere"}))
        error = error_of(client.create, order())
        assert type(error) is AnswerLost
        assert error.status == status
        assert len(server.received) == 1

    def test_switching_protocols_is_no_answer(self, server, client):
        server.answer(say(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"))
        assert type(error_of(client.create, order())) is AnswerLost

    @pytest.mark.parametrize(
        "body",
        [
            {},
            [],
            {"id": ""},
            {"id": "  "},
            {"id": None},
            {"id": "x" * 201},
            {"id": ["job_1"]},
            b"",
            b"<html>ok</html>",
            b'{"id": "job_1", "sta',
            b"[" * 200_000,
            b'{"id": ' + b"9" * 5000 + b"}",
        ],
    )
    def test_accepted_without_a_readable_id(self, server, client, body):
        server.answer(reply(202, body))
        error = error_of(client.create, order())
        assert type(error) is AnswerLost
        assert error.status == 202
        assert error.message == "The gateway's answer has no readable id."

    def test_accepted_without_an_id_but_with_words(self, server, client):
        server.answer(reply(200, {"error": {"message": "Try later."}}))
        error = error_of(client.create, order())
        assert type(error) is AnswerLost
        assert error.message.endswith("no readable id. It said: Try later.")

    @pytest.mark.parametrize(
        "answer",
        [
            hang_up,
            reset,
            say(b"HTTP/1.1 20"),
            say(b"nonsense\r\n\r\n"),
            say(b'HTTP/1.1 202 OK\r\nContent-Length: 500\r\n\r\n{"id": "job_1"}'),
            say(b'HTTP/1.1 202 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"id"\r\n'),
            say(b"HTTP/1.1 202 OK\r\nX-Long: " + b"x" * 200_000),
        ],
        ids=["hang up", "reset", "half a line", "nonsense", "cut body", "cut chunks", "endless header"],
    )
    def test_a_lost_answer(self, server, client, answer):
        server.answer(answer)
        error = error_of(client.create, order())
        assert type(error) is AnswerLost
        assert error.message.startswith("The gateway's answer was lost: ")
        assert len(server.received) == 1

    def test_an_endless_answer(self, server, client):
        server.answer(reply(202, b'{"id": "job_1", "pad": "' + b"x" * 1024 * 1024 + b'"}'))
        error = error_of(client.create, order())
        assert type(error) is AnswerLost
        assert error.message == "The gateway's answer was lost: it is too long"

    def test_a_long_answer(self, server, client):
        server.answer(reply(202, b'{"id": "job_1", "pad": "' + b"x" * 1_000_000 + b'"}'))
        assert client.create(order()).id == "job_1"

    def test_an_encoding_that_nobody_asked_for(self, server, client):
        server.answer(reply(202, ACCEPTED, headers={"Content-Encoding": "gzip"}))
        assert type(error_of(client.create, order())) is AnswerLost
        server.answer(reply(202, ACCEPTED, headers={"Content-Encoding": "Identity"}))
        assert client.create(order()).id == "job_1"

    def test_an_encoding_behind_another(self, server, client):
        body = json.dumps(ACCEPTED).encode()
        head = b"HTTP/1.1 202 OK\r\nContent-Encoding: gzip\r\nContent-Encoding: identity\r\n"
        server.answer(say(head + b"Content-Length: %d\r\n\r\n" % len(body) + body))
        assert error_of(client.create, order()).message == "The gateway's answer was lost: it is encoded"

    def test_a_byte_order_mark_and_a_bad_byte_do_not_lose_a_paid_video(self, server, client):
        server.answer(reply(202, b'\xef\xbb\xbf{"id": "job_1", "prompt": "\xff"}'))
        assert client.create(order()).id == "job_1"


class TestTime:
    """A deadline is wall clock: none of these servers ever lets a single read time out."""

    @pytest.fixture(autouse=True)
    def _prompt(self):
        started = time.monotonic()
        yield
        assert time.monotonic() - started < 50

    def test_a_server_that_says_nothing(self, server, hurried):
        server.answer(server.stall)
        error = error_of(hurried.create, order())
        assert type(error) is AnswerLost
        assert error.status is None

    @pytest.mark.parametrize(
        ("head", "piece"),
        [
            (b"", b"H"),
            (b"HTTP/1.1 202 OK\r\nX-Drip: ", b"x"),
            (b"HTTP/1.1 202 OK\r\nContent-Length: 900\r\n\r\n", b"x"),
            (b"HTTP/1.1 202 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
            (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        ],
        ids=["status line", "header", "body", "chunks", "continue"],
    )
    @pytest.mark.parametrize("call", ["create", "read"])
    def test_a_server_that_drips(self, server, hurried, head, piece, call):
        server.answer(server.drip(head, piece))
        error = error_of(getattr(hurried, call), order() if call == "create" else "job_1")
        assert type(error) is AnswerLost

    @pytest.mark.parametrize("pieces", [0, 8000], ids=["hangs up", "slowly"])
    def test_a_server_that_does_not_take_the_request(self, pieces):
        def take() -> None:
            connection, _ = listener.accept()
            with connection:
                for _ in range(pieces):
                    if done.wait(0.012) or not connection.recv(65536):
                        break

        done = threading.Event()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
            with GatewayClient(base_url=url, api_key=KEY, post_timeout=0.4) as client:
                thread = threading.Thread(target=take)
                thread.start()
                error = error_of(client.create, order(image_url="data:," + "A" * 40_000_000))
        done.set()
        thread.join()
        assert type(error) is AnswerLost

    def test_a_refusal_whose_body_stalls_is_still_a_refusal(self, server):
        server.answer(server.drip(b"HTTP/1.1 401 No\r\nContent-Length: 900\r\n\r\n"))
        with GatewayClient(base_url=server.url, api_key=KEY, post_timeout=3) as client:
            error = error_of(client.create, order())
        assert type(error) is AccountRefused
        assert error.message == "The gateway answered 401 without saying why."

    def test_no_time_at_all_is_never_sent(self, server):
        with GatewayClient(base_url=server.url, api_key=KEY, post_timeout=0) as client:
            assert type(error_of(client.create, order())) is NotAccepted
        assert server.received == []

    def test_a_deadline_does_not_outlive_its_exchange(self, server):
        server.answer(server.stall, reply(200, ACCEPTED))
        with GatewayClient(base_url=server.url, api_key=KEY, read_timeout=3) as client:
            error_of(client.read, "job_1")
            assert client.read("job_1").state is JobState.QUEUED


class TestNeverSent:
    def create(self, url: str, post_timeout: float = 30, **changes) -> GatewayError:
        with GatewayClient(base_url=url, api_key=KEY, post_timeout=post_timeout) as client:
            return error_of(client.create, order(**changes))

    def test_refused_connection(self):
        error = self.create(f"http://127.0.0.1:{unused_port()}/v1")
        assert type(error) is NotAccepted
        assert "refused" in error.message
        assert error.status is None

    def test_no_tls(self, server):
        error = self.create(server.url.replace("http:", "https:"))
        assert type(error) is NotAccepted

    def test_tls_that_stalls(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            started = time.monotonic()
            error = self.create(f"https://127.0.0.1:{listener.getsockname()[1]}/v1", post_timeout=1)
            assert time.monotonic() - started < 50
        assert type(error) is NotAccepted

    def test_unknown_host(self):
        assert type(self.create("http://gateway.invalid/v1")) is NotAccepted

    def test_a_connection_that_does_not_open_in_time(self, monkeypatch):
        monkeypatch.setattr("grokvideo_django.gateway.client.CONNECT_SECONDS", 0.2)
        started = time.monotonic()
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            address = listener.getsockname()
            with socket.create_connection(address):  # fills the backlog, so that the next one waits
                assert type(self.create(f"http://127.0.0.1:{address[1]}/v1")) is NotAccepted
        assert time.monotonic() - started < 50

    @pytest.mark.parametrize("url", ["", "api.aigateway.sh/v1", "ftp://127.0.0.1/v1", "http://[/v1", "http://:x/v1"])
    def test_no_usable_url(self, url):
        assert type(self.create(url)) is NotAccepted

    @pytest.mark.parametrize("key", ["a\nb", "ключ"])
    def test_no_usable_header(self, server, key):
        assert type(self.create(server.url, idempotency_key=key)) is NotAccepted
        assert server.received == []

    def test_no_usable_number(self, server):
        assert type(self.create(server.url, duration_seconds=10**5000)) is NotAccepted
        assert server.received == []

    @pytest.mark.parametrize("key", ["", "  ", "sk-aig-ключ", "sk-aig\n-x"])
    def test_no_usable_key_pauses_the_site(self, server, key):
        with GatewayClient(base_url=server.url, api_key=key) as client:
            error = error_of(client.create, order())
        assert type(error) is AccountRefused
        assert error.status is None
        assert server.received == []


class TestWords:
    @pytest.mark.parametrize(
        ("body", "code", "message"),
        [
            ({"error": {"message": "No.", "type": "bad", "code": "c1", "param": "p"}}, "c1", "No."),
            ({"error": {"message": "No.", "type": "bad"}}, "bad", "No."),
            ({"error": {"message": "No.", "code": 7}}, "7", "No."),
            ({"error": "No."}, "", "No."),
            ({"error": "No.", "code": "c2"}, "c2", "No."),
            ({"message": "No."}, "", "No."),
            ({"detail": "No."}, "", "No."),
            ({"detail": [{"loc": ["body"], "msg": "No."}]}, "", "No."),
            ("No.", "", "No."),
            (b"No.", "", "No."),
            ({"error": {"message": "N\0o.\ud800"}}, "", "No.?"),
            ({"error": {"message": "x" * 9000}}, "", "x" * 2000),
        ],
    )
    def test_the_gateways_own(self, server, client, body, code, message):
        server.answer(reply(422, body))
        error = error_of(client.create, order())
        assert (error.code, error.message) == (code, message)

    @pytest.mark.parametrize(
        "body",
        [
            None,
            b"<!DOCTYPE html><html><body>Bad gateway</body></html>",
            b'{"error": {"message": "cu',
            b"x" * 301,
            {},
            [],
            {"error": {"message": ["a"]}},
            {"error": ["a"]},
            {"error": None, "detail": []},
            {"detail": ["a"]},
            {"detail": [{"msg": 7}]},
            7,
        ],
    )
    def test_ours(self, server, client, body):
        server.answer(reply(400, body))
        error = error_of(client.create, order())
        assert error.message in {"The gateway answered 400 without saying why.", "7" if body == 7 else ""}

    def test_a_default_for_every_error(self):
        for kind in (GatewayError, NotAccepted, AccountRefused, ServerFault, RequestRefused, JobNotFound, AnswerLost):
            assert str(kind()) == kind.__doc__

    def test_it_survives_a_queue(self):
        error = pickle.loads(pickle.dumps(NotAccepted("No.", status=429, retry_after=3.0)))
        assert (type(error), error.message, error.status, error.retry_after) == (NotAccepted, "No.", 429, 3.0)


class TestKey:
    """The key is in no message, no repr, no traceback and no job, even if the gateway sends it back."""

    @pytest.mark.parametrize(
        "body",
        [
            {"error": {"message": f"Bad key {KEY}!", "code": KEY}},
            {"error": f"Bad key {KEY}!"},
            f"Bad key {KEY}!".encode(),
            b'{"error": "Bad key ' + "".join(f"\\u{ord(char):04x}" for char in KEY).encode() + b'!"}',
        ],
    )
    def test_an_echo_in_an_error(self, server, client, body):
        server.answer(reply(401, body))
        error = error_of(client.create, order())
        assert error.message == "Bad key [key]!"
        text = repr(error) + repr(vars(error)) + "".join(traceback.format_exception(error)) + repr(client)
        assert KEY not in text

    def test_an_echo_in_a_job(self, server, client):
        server.answer(reply(200, {"id": "j", "status": KEY, "error": KEY, "result_url": f"https://a/?{KEY}"}))
        job = client.read("j")
        assert (job.status, job.error) == ("[key]", JobError(message="[key]"))
        assert KEY not in repr(job)

    def test_a_key_with_quotes_in_it(self, server):
        key = 'sk-"aig"-\\0123'
        server.answer(reply(401, {"error": f"Bad {key}"}))
        with GatewayClient(base_url=server.url, api_key=key) as client:
            assert error_of(client.create, order()).message == "Bad [key]"

    def test_an_echo_in_an_exception(self, server):
        for url in (f"http://127.0.0.1:{KEY}/v1", f"{KEY}://127.0.0.1/v1"):
            with GatewayClient(base_url=url, api_key=KEY) as client:
                assert KEY not in str(error_of(client.create, order()))

    def test_too_short_for_a_secret(self, server):
        server.answer(reply(202, {"id": "id-1"}))
        with GatewayClient(base_url=server.url, api_key="i") as client:
            assert client.create(order()).id == "id-1"

    def test_no_environment(self, server, client, monkeypatch):
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{unused_port()}")
        monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{unused_port()}")
        server.answer(reply(202, ACCEPTED))
        assert client.create(order()).id == "job_1"


class TestLimits:
    def test_retry_after_and_rate_limit(self, server, client):
        headers = {
            "Retry-After": "7",
            "x-ratelimit-limit-requests": "10",
            "X-RateLimit-Remaining-Requests": "0",
            "x-ratelimit-reset-requests": "30",
        }
        server.answer(reply(429, {"error": "slow"}, headers=headers))
        error = error_of(client.create, order())
        assert error.retry_after == 7.0
        assert error.rate_limit == RateLimit(limit=10, remaining=0, reset_seconds=30.0)
        assert client.last_rate_limit == error.rate_limit

    @pytest.mark.parametrize("date", ["Sun, 22 Nov 2026 06:00:00 GMT", "Sun, 22 Nov 2099 06:00:00 GMT"])
    def test_moments_count_from_what_the_gateway_calls_now(self, server, client, date):
        """Hours of a wrong clock of ours would be hours in which nobody asks anything."""
        now = parsedate_to_datetime(date)
        headers = {
            "Date": date,
            "Retry-After": format_datetime(now + timedelta(seconds=30), usegmt=True),
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-requests": str(now.timestamp() + 40),
        }
        server.answer(reply(429, headers=headers))
        error = error_of(client.read, "job_1")
        assert (error.retry_after, error.rate_limit.reset_seconds) == (30.0, 40.0)

    @pytest.mark.parametrize("date", ["", "soon", "Sun, 22 Nov 99999999999 12:01:00 GMT"])
    def test_an_answer_that_does_not_say_when_it_is(self, server, client, date):
        later = datetime.now(UTC) + timedelta(seconds=30)
        server.answer(reply(429, headers={"Date": date, "Retry-After": format_datetime(later, usegmt=True)}))
        assert error_of(client.read, "job_1").retry_after == pytest.approx(30, abs=5)

    def test_the_newest_is_kept(self, server, client):
        assert client.last_rate_limit is None
        server.answer(
            reply(200, ACCEPTED, headers={"x-ratelimit-limit-requests": "600"}),
            reply(200, ACCEPTED),
            reply(503),
        )
        client.read("job_1")
        client.read("job_1")
        assert client.last_rate_limit == RateLimit(limit=600)
        error = error_of(client.read, "job_1")
        assert (error.rate_limit, error.retry_after) == (None, None)
        assert client.last_rate_limit == RateLimit(limit=600)


class TestRead:
    def test_a_finished_job(self, server, client):
        server.answer(reply(200, {"id": "job_1", "status": "completed", "result": {"url": URL}}))
        job = client.read("job_1")
        assert (job.state, job.result_url) == (JobState.COMPLETED, URL)
        (request,) = server.received
        assert (request.method, request.target, request.body) == ("GET", "/v1/jobs/job_1", b"")
        assert request.headers["authorization"] == f"Bearer {KEY}"
        assert request.headers["accept-encoding"] == "identity"

    def test_the_connection_is_kept(self, server, client):
        server.answer(reply(200, ACCEPTED), reply(304), reply(404), reply(200, ACCEPTED))
        client.read("job_1")
        client.read("job_1")
        error_of(client.read, "job_1")
        client.cancel("job_1")
        assert {request.connection for request in server.received} == {1}

    def test_a_connection_that_the_server_closed(self, server, client):
        server.answer(reply(200, ACCEPTED, close=True), reply(200, ACCEPTED))
        client.read("job_1")
        assert client.read("job_1").state is JobState.QUEUED

    @pytest.mark.parametrize(
        "answer",
        [
            reply(200),
            reply(202),
            reply(304),
            reply(204),
            reply(200, b"<html>"),
            reply(200, b'{"id": "job_1", "status": "fai'),
            reply(200, b"null"),
            reply(200, []),
            reply(200, {}),
            reply(200, b"[" * 200_000),
        ],
    )
    def test_nothing_readable_is_pending(self, server, client, answer):
        server.answer(answer)
        job = client.read("job_1")
        assert (job.id, job.state, job.status) == ("job_1", JobState.PENDING, "")

    @pytest.mark.parametrize(
        ("word", "state"),
        [("completed", JobState.PENDING), ("failed", JobState.PENDING), ("queued", JobState.QUEUED)],
    )
    def test_202_says_not_yet(self, server, client, word, state):
        server.answer(reply(202, {"id": "job_1", "status": word, "progress": 40}))
        job = client.read("job_1")
        assert (job.state, job.status, job.progress) == (state, word, 40)

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (302, AnswerLost),
            (400, RequestRefused),
            (401, AccountRefused),
            (402, AccountRefused),
            (403, AccountRefused),
            (404, JobNotFound),
            (408, AnswerLost),
            (422, RequestRefused),
            (429, NotAccepted),
            (500, ServerFault),
            (502, AnswerLost),
            (503, NotAccepted),
        ],
    )
    def test_refused(self, server, client, status, kind):
        server.answer(reply(status, {"error": "Because."}, headers={"Location": server.url}))
        error = error_of(client.read, "job_1")
        assert type(error) is kind
        assert len(server.received) == 1

    @pytest.mark.parametrize("answer", [hang_up, say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}")])
    def test_lost(self, server, client, answer):
        server.answer(answer)
        assert type(error_of(client.read, "job_1")) is AnswerLost

    def test_unreachable(self):
        with GatewayClient(base_url=f"http://127.0.0.1:{unused_port()}", api_key=KEY) as client:
            assert type(error_of(client.read, "job_1")) is NotAccepted

    @pytest.mark.parametrize(
        ("job_id", "segment"),
        [
            ("a/b", "a%2Fb"),
            ("../balance", "..%2Fbalance"),
            (".", "%2E"),
            ("..", "%2E%2E"),
            ("a?b=c#d", "a%3Fb%3Dc%23d"),
            ("a b\r\nX: y", "a%20b%0D%0AX%3A%20y"),
            ("%2e%2e", "%252e%252e"),
            ("jöb\ud800", "j%C3%B6b%3F"),
            ("a.b_c-1", "a.b_c-1"),
        ],
    )
    @pytest.mark.parametrize("call", ["read", "cancel"])
    def test_a_hostile_id_stays_one_segment(self, server, client, job_id, segment, call):
        server.answer(reply(200, {"status": "queued"}))
        assert getattr(client, call)(job_id).id == job_id
        assert server.received[0].target == f"/v1/jobs/{segment}"

    @pytest.mark.parametrize("call", ["read", "cancel"])
    @pytest.mark.parametrize(
        "about",
        [{"id": "job_2"}, {"id": 2}, {"id": "job_2", "data": {"status": "completed", "result_url": URL}}],
    )
    def test_an_answer_about_another_job_is_none(self, server, client, call, about):
        server.answer(reply(200, {"status": "cancelled", **about}))
        error = error_of(getattr(client, call), "job_1")
        assert type(error) is AnswerLost
        assert f"about another job, {about['id']}." in error.message

    @pytest.mark.parametrize("call", ["read", "cancel"])
    @pytest.mark.parametrize("about", [{"data": {"id": "vid_2"}}, {"id": "env_2", "data": {"id": "job_1"}}, {"id": ""}])
    def test_other_things_have_ids_too(self, server, client, call, about):
        server.answer(reply(200, {"status": "completed", **about}))
        assert getattr(client, call)("job_1").state is JobState.COMPLETED

    @pytest.mark.parametrize("call", ["read", "cancel"])
    def test_no_id_asks_nothing(self, server, client, call):
        assert type(error_of(getattr(client, call), " ")) is JobNotFound
        assert server.received == []


class TestCancel:
    @pytest.mark.parametrize(
        ("answer", "state"),
        [
            (reply(200, {"id": "job_1", "status": "cancelled"}), JobState.CANCELED),
            (reply(202, {"id": "job_1", "status": "canceled"}), JobState.CANCELED),
            (reply(200, {"id": "job_1", "status": "completed"}), JobState.COMPLETED),
            (reply(200, {"id": "job_1", "status": "processing"}), JobState.RUNNING),
            (reply(204), JobState.PENDING),
            (reply(200, b"<html>"), JobState.PENDING),
            (reply(200, {"ok": True}), JobState.PENDING),
        ],
    )
    def test_only_the_state_confirms(self, server, client, answer, state):
        server.answer(answer)
        job = client.cancel("job_1")
        assert (job.id, job.state) == ("job_1", state)
        assert (server.received[0].method, server.received[0].target) == ("DELETE", "/v1/jobs/job_1")

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (304, AnswerLost),
            (400, RequestRefused),
            (404, JobNotFound),
            (405, RequestRefused),
            (409, RequestRefused),
            (429, NotAccepted),
            (500, ServerFault),
            (502, AnswerLost),
        ],
    )
    def test_refused(self, server, client, status, kind):
        server.answer(reply(status))
        assert type(error_of(client.cancel, "job_1")) is kind


class TestSignedUrl:
    @pytest.mark.parametrize(("asked", "sent"), [(3600, 3600), (1, 60), (10**9, 604_800)])
    def test_signed(self, server, client, asked, sent):
        server.answer(reply(200, {"url": URL, "expires_at": 1}))
        assert client.signed_url("job/1", "a b.mp4", expires_in=asked) == URL
        assert server.received[0].target == f"/v1/files/jobs/job%2F1/a%20b.mp4/signed?expires_in={sent}"

    @pytest.mark.parametrize("body", [None, [], {}, {"url": ""}, {"url": 7}, b"<html>"])
    def test_none(self, server, client, body):
        server.answer(reply(200, body))
        error = error_of(client.signed_url, "job_1", "v.mp4")
        assert (type(error), error.message) == (AnswerLost, "The gateway gave no signed URL.")

    def test_refused(self, server, client):
        server.answer(reply(404, {"error": "gone"}))
        error = error_of(client.signed_url, "job_1", "v.mp4")
        assert (type(error), error.message) == (JobNotFound, "gone")


class TestBalance:
    def test_as_it_comes(self, server, client):
        balance = {"balance_cents": 1234, "recent": [1]}
        server.answer(reply(200, balance))
        assert client.balance() == balance
        assert server.received[0].target == "/v1/balance"

    def test_unreadable(self, server, client):
        server.answer(reply(200, b"<html>"))
        assert type(error_of(client.balance)) is AnswerLost

    def test_refused(self, server, client):
        server.answer(reply(404))
        assert type(error_of(client.balance)) is RequestRefused


def test_closing_it_hangs_up(server):
    server.answer(reply(200, ACCEPTED))
    client = GatewayClient(base_url=server.url, api_key=KEY)
    client.read("job_1")
    client.close()
    (connection,) = server._threads[1:]
    connection.join(3)
    assert not connection.is_alive()
    assert json.loads(server.received[0].body or "null") is None
