"""Reading and cancelling a job: its life, the 304, every shape, every fault."""

from __future__ import annotations

import statistics
import time

import httpx
import pytest

from grokvideo_django.sandbox import Sandbox
from grokvideo_django.sandbox.clips import Factory
from grokvideo_django.sandbox.faults import VOCABULARY, Kind
from tests.sandbox.conftest import Api

READ_STATUSES = sorted(
    n for n, w in VOCABULARY.items() if w.kind is Kind.READ and n[-3:].isdecimal() and n != "read-202"
)
CANCEL_STATUSES = sorted(n for n, w in VOCABULARY.items() if w.kind is Kind.CANCEL and n[-3:].isdecimal())


class TestLife:
    def test_queued_processing_completed(self, api: Api) -> None:
        job = api.job("[sandbox:delay=20 queued=10]")
        seen = []
        for _ in range(3):
            seen.append(api.snapshot(job)["status"])
            api.sandbox.advance(11)
        assert seen == ["queued", "processing", "completed"]

    def test_the_documented_result(self, api: Api) -> None:
        body = api.snapshot(api.job("a fox", duration=5, resolution="720p", aspect_ratio="9:16"))
        assert body["status"] == "completed"
        assert body["result"]["duration"] == 5
        assert body["result"]["resolution"] == "720x1280"
        assert body["result"]["url"].startswith(f"http://{api.sandbox.media_host}/media/{body['id']}/")

    def test_an_unknown_job(self, api: Api) -> None:
        assert api.read("job_0").status_code == 404
        assert api.cancel("job_0").status_code == 404

    def test_again_within_3_seconds_is_304(self, api: Api) -> None:
        api.sandbox.options.read_interval = 3
        job, other = api.job("[sandbox:never]"), api.job("[sandbox:never]")
        answers = [api.read(job), api.read(job), api.read(other)]
        assert [answer.status_code for answer in answers] == [200, 304, 200]
        assert answers[1].content == b""
        api.sandbox.advance(2)
        assert api.read(job).status_code == 304
        api.sandbox.advance(1.1)  # since the last answer, not since the last 304
        assert api.read(job).status_code == 200
        assert api.sandbox.jobs[job].reads == 4

    @pytest.mark.parametrize(
        ("word", "status", "code"),
        [
            ("failed", "failed", "generation_failed"),
            ("fail=out_of_memory", "failed", "out_of_memory"),
            ("moderated", "failed", "content_moderation"),
            ("expired", "expired", None),
            ("cancelled", "cancelled", None),
            ("canceled", "canceled", None),
        ],
    )
    def test_other_ends(self, api: Api, word: str, status: str, code: str | None) -> None:
        body = api.snapshot(api.job(f"[sandbox:{word}]"))
        assert body["status"] == status
        assert body.get("error", {}).get("code") == code
        assert "result" not in body

    def test_never_and_slow(self, api: Api) -> None:
        never, slow = api.job("[sandbox:never]"), api.job("[sandbox:slow=500]")
        api.sandbox.advance(499)
        assert api.snapshot(slow)["status"] == "processing"
        api.sandbox.advance(10**6)
        assert api.snapshot(never)["status"] == "processing"
        assert api.snapshot(slow)["status"] == "completed"

    def test_a_job_can_be_finished_at_will(self, api: Api) -> None:
        one, two, failing = (
            api.job("[sandbox:never]"),
            api.job("[sandbox:queued=99]"),
            api.job("[sandbox:delay=9 fail]"),
        )
        api.sandbox.finish(one)
        assert [api.sandbox.status(job) for job in (one, two)] == ["completed", "queued"]
        api.sandbox.finish()
        assert [api.sandbox.status(job) for job in (one, two, failing)] == ["completed", "completed", "failed"]

    def test_latencies_are_log_normal(self, clips: Factory) -> None:
        with Sandbox(latency=(10, 0.5), seed=1) as sandbox:
            times = [sandbox.world.latency() for _ in range(2000)]
        assert statistics.median(times) == pytest.approx(10, rel=0.1)
        assert statistics.stdev(times) == pytest.approx(6.0, rel=0.2)


class TestShapes:
    def test_the_four_places_of_the_url(self, api: Api) -> None:
        found = {}
        for shape in ("url", "file_url", "result_url", "data"):
            body = api.snapshot(api.job(f"[sandbox:shape={shape}]"))
            places = {
                "url": body["result"].get("url"),
                "file_url": body["result"].get("file_url"),
                "result_url": body.get("result_url"),
                "data": body.get("data", {}).get("result_url"),
            }
            found[shape] = [name for name, url in places.items() if url]
            assert body["result"]["duration"] == 1
        assert found == {shape: [shape] for shape in found}

    @pytest.mark.parametrize(
        ("word", "result"),
        [
            ("duration=99", {"duration": 99}),
            ("duration=4.5", {"duration": 4.5}),
            ("duration=long", {"duration": "long"}),
            ("resolution", {"resolution": "1920x1080"}),
            ("result-url=http://169.254.169.254/x", {"url": "http://169.254.169.254/x"}),
            ("result-url=http://[::1]/x", {"url": "http://[::1]/x"}),
        ],
    )
    def test_lies(self, api: Api, word: str, result: dict[str, object]) -> None:
        assert api.snapshot(api.job(f"[sandbox:{word}]"))["result"].items() >= result.items()

    def test_what_may_be_missing(self, api: Api) -> None:
        assert "duration" not in api.snapshot(api.job("[sandbox:no-duration]"))["result"]
        assert "url" not in api.snapshot(api.job("[sandbox:no-url]"))["result"]
        assert api.snapshot(api.job("[sandbox:result-null]"))["result"] is None

    def test_a_bad_url_at_first(self, api: Api) -> None:
        job = api.job("[sandbox:result-url=http://10.0.0.1/*1 queued=1]")
        assert api.snapshot(job)["status"] == "queued"  # does not count: there is no result yet
        api.sandbox.advance(1)
        assert [api.url(job) == "http://10.0.0.1/" for _ in range(2)] == [True, False]

    @pytest.mark.parametrize(("how", "kind"), [("text", str), ("object", dict), ("none", type(None))])
    def test_errors(self, api: Api, how: str, kind: type) -> None:
        body = api.snapshot(api.job(f"[sandbox:fail error={how}]"))
        assert isinstance(body.get("error"), kind)

    def test_unknown_words_while_pending(self, api: Api) -> None:
        thinking, running = api.job("[sandbox:never status]"), api.job("[sandbox:status=running delay=9]")
        assert api.snapshot(thinking)["status"] == "thinking"
        assert api.snapshot(running)["status"] == "running"
        assert "status" not in api.snapshot(api.job("[sandbox:never no-status]"))
        assert api.post("[sandbox:status]").json()["status"] == "queued"
        api.sandbox.advance(9)
        assert api.snapshot(running)["status"] == "completed"

    def test_created_at(self, api: Api) -> None:
        body = api.snapshot(api.job("[sandbox:created-at]"))
        assert body["created_at"] <= body["updated_at"]


class TestReadFaults:
    @pytest.mark.parametrize("word", READ_STATUSES)
    def test_a_status(self, api: Api, word: str) -> None:
        job = api.job(f"[sandbox:{word}*1]")
        first, second = api.read(job), api.read(job)
        assert (first.status_code, second.status_code) == (int(word[-3:]), 200)

    @pytest.mark.parametrize(
        ("word", "status", "content"),
        [("read-empty", 200, b""), ("read-202-empty", 202, b""), ("read-304", 304, b"")],
    )
    def test_no_body(self, api: Api, word: str, status: int, content: bytes) -> None:
        answer = api.read(api.job(f"[sandbox:{word}]"))
        assert (answer.status_code, answer.content) == (status, content)

    def test_202(self, api: Api) -> None:
        answer = api.read(api.job("[sandbox:read-202]"))
        assert (answer.status_code, answer.json()["status"]) == (202, "processing")

    def test_html_list_and_half(self, api: Api) -> None:
        assert "<html" in api.read(api.job("[sandbox:read-html]")).text
        assert isinstance(api.read(api.job("[sandbox:read-list]")).json(), list)
        with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
            api.read(api.job("[sandbox:read-bad-json]")).json()

    @pytest.mark.parametrize("word", ["read-cut", "read-lost"])
    def test_no_answer(self, api: Api, word: str) -> None:
        job = api.job(f"[sandbox:{word}*1]")
        with pytest.raises(httpx.RemoteProtocolError):
            api.read(job)
        assert api.snapshot(job)["status"] == "completed"

    def test_stall(self, api: Api) -> None:
        job = api.job("[sandbox:read-stall=0.3*1]")
        began = time.monotonic()
        api.read(job)
        assert time.monotonic() - began >= 0.3

    def test_a_failed_read_is_no_read_for_the_304(self, api: Api) -> None:
        api.sandbox.options.read_interval = 3
        job = api.job("[sandbox:read-500*1]")
        assert [api.read(job).status_code for _ in range(3)] == [500, 200, 304]


class TestCancel:
    def test_a_queued_job_and_its_money(self, api: Api) -> None:
        api.sandbox.options.wallet_cents = 10
        job = api.job("[sandbox:queued=60]")
        assert api.sandbox.options.wallet_cents == 5
        answer = api.cancel(job)
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
        assert api.sandbox.options.wallet_cents == 10
        assert api.snapshot(job)["status"] == "cancelled"

    def test_twice_is_once(self, api: Api) -> None:
        api.sandbox.options.wallet_cents = 10
        job = api.job("[sandbox:queued=60]")
        assert [api.cancel(job).status_code for _ in range(2)] == [200, 200]
        assert api.sandbox.options.wallet_cents == 10

    def test_the_other_path(self, api: Api) -> None:
        job = api.job("[sandbox:queued=60]")
        assert api.http.post(f"/jobs/{job}/cancel").json()["status"] == "cancelled"

    def test_processing_is_refused(self, api: Api) -> None:
        answer = api.cancel(api.job("[sandbox:never]"))
        assert answer.status_code == 409
        assert "processing" in answer.json()["error"]["message"]

    def test_an_ended_one_says_how_it_ended(self, api: Api) -> None:
        answer = api.cancel(api.job())
        assert (answer.status_code, answer.json()["status"]) == (200, "completed")

    @pytest.mark.parametrize("word", CANCEL_STATUSES)
    def test_a_status(self, api: Api, word: str) -> None:
        job = api.job(f"[sandbox:queued=60 {word}*1]")
        assert api.cancel(job).status_code == int(word[-3:])
        assert api.sandbox.status(job) == "queued"
        assert api.cancel(job).status_code == 200

    @pytest.mark.parametrize(("word", "status"), [("cancel-lost", "cancelled"), ("cancel-lost-request", "queued")])
    def test_no_answer(self, api: Api, word: str, status: str) -> None:
        job = api.job(f"[sandbox:queued=60 {word}]")
        with pytest.raises(httpx.RemoteProtocolError):
            api.cancel(job)
        assert api.sandbox.status(job) == status

    def test_unconfirmed_and_ignored(self, api: Api) -> None:
        unconfirmed, ignored = (
            api.job("[sandbox:queued=60 cancel-unconfirmed]"),
            api.job("[sandbox:queued=60 cancel-ignored]"),
        )
        answer = api.cancel(unconfirmed)
        assert (answer.status_code, answer.content) == (200, b"")
        assert api.cancel(ignored).json()["status"] == "queued"
        assert {api.sandbox.status(job) for job in (unconfirmed, ignored)} == {"queued"}

    def test_processing_can_be_allowed(self, api: Api) -> None:
        job = api.job("[sandbox:never cancel-processing cancel-stall=0.01]")
        assert api.cancel(job).json()["status"] == "cancelled"
