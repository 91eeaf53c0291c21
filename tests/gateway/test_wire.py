from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grokvideo_django.gateway import (
    Job,
    JobError,
    JobState,
    RateLimit,
    VideoOrder,
    parse_job,
    parse_rate_limit,
    parse_retry_after,
)

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
URL = "https://media.aigateway.sh/v.mp4"
NAMES = [
    *("id", "request_id", "status", "result", "video", "data", "url", "file_url", "result_url", "duration"),
    *("resolution", "error", "code", "message", "created", "created_at", "progress"),
]
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=3), inner, max_size=6)
    ),
    max_leaves=20,
)


def order(**changes) -> VideoOrder:
    fields = {
        "model": "xai/grok-imagine-video",
        "prompt": "a cat",
        "duration_seconds": 5,
        "aspect_ratio": "16:9",
        "resolution": "480p",
        "idempotency_key": "key-1",
    }
    return VideoOrder(**fields | changes)


class TestOrder:
    def test_what_is_always_sent(self):
        assert order(tag="site").payload() == {
            "model": "xai/grok-imagine-video",
            "prompt": "a cat",
            "duration": 5,
            "aspect_ratio": "16:9",
            "resolution": "480p",
        }

    def test_mode_and_image_are_sent_when_chosen(self):
        payload = order(mode="fun", image_url="https://example.com/a.png").payload()
        assert payload["mode"] == "fun"
        assert payload["image_url"] == "https://example.com/a.png"

    def test_megabytes_of_image_stay_out_of_the_repr(self):
        assert "base64" not in repr(order(image_url="data:image/png;base64,AAAA"))


class TestState:
    @pytest.mark.parametrize(
        ("word", "state"),
        [
            ("queued", JobState.QUEUED),
            ("processing", JobState.RUNNING),
            ("running", JobState.RUNNING),
            ("in_progress", JobState.RUNNING),
            ("In-Progress", JobState.RUNNING),
            ("in progress", JobState.RUNNING),
            ("completed", JobState.COMPLETED),
            ("succeeded", JobState.COMPLETED),
            ("done", JobState.COMPLETED),
            (" DONE\n", JobState.COMPLETED),
            ("failed", JobState.FAILED),
            ("cancelled", JobState.CANCELED),
            ("Canceled", JobState.CANCELED),
            ("expired", JobState.EXPIRED),
            ("pending", JobState.PENDING),
            ("teleported", JobState.PENDING),
            ("", JobState.PENDING),
            (None, JobState.PENDING),
            (7, JobState.PENDING),
            (["failed"], JobState.PENDING),
        ],
    )
    def test_both_vendors_words(self, word, state):
        assert parse_job({"id": "j", "status": word}).state is state

    def test_the_gateways_own_word_is_kept_and_bounded(self):
        assert parse_job({"status": "Teleported"}).status == "Teleported"
        assert parse_job({"status": "x" * 1000}).status == "x" * 64

    def test_pending_states(self):
        pending = {state for state in JobState if state.is_pending}
        assert pending == {JobState.QUEUED, JobState.RUNNING, JobState.PENDING}


class TestJob:
    def test_aigateways_shape(self):
        job = parse_job(
            {
                "id": "job_1",
                "status": "completed",
                "created": 1_782_000_000,
                "progress": 100,
                "result": {"url": URL, "duration": 5.04, "resolution": "1920x1080"},
                "error": None,
            }
        )
        assert job == Job(
            id="job_1",
            state=JobState.COMPLETED,
            status="completed",
            result_url=URL,
            duration_seconds=5.04,
            resolution="1920x1080",
            created_at=datetime.fromtimestamp(1_782_000_000, UTC),
            progress=100,
        )

    def test_xais_shape(self):
        job = parse_job(
            {
                "request_id": "r-1",
                "status": "done",
                "video": {"url": URL, "duration": 8, "respect_moderation": True},
                "progress": 100,
            }
        )
        assert (job.id, job.state, job.result_url, job.duration_seconds) == ("r-1", JobState.COMPLETED, URL, 8.0)

    @pytest.mark.parametrize(
        "payload",
        [
            {"result": {"url": URL}},
            {"result": {"file_url": URL}},
            {"result_url": URL},
            {"data": {"result_url": URL}},
            {"data": {"result": {"url": URL}}},
            {"video": {"url": URL}},
            {"result": {"url": None, "file_url": URL}},
            {"result": {"url": "https://a/" + "x" * 4096}, "result_url": URL},
            {"result": {"url": 7}, "data": {"result_url": f" {URL} "}},
            {"result": [URL], "video": "no", "data": {"result_url": URL}},
        ],
    )
    def test_where_the_url_may_be(self, payload):
        assert parse_job(payload).result_url == URL

    @pytest.mark.parametrize(
        "url", ["https://a/" + "x" * 4087, "https://a/\n", None, "", 5, [URL], "https://a/\0b", "https://a/\ud800"]
    )
    def test_a_url_that_is_none(self, url):
        job = parse_job({"id": "j", "status": "completed", "result": {"url": url}})
        assert job.state is JobState.COMPLETED
        assert job.result_url == ("https://a/" if url == "https://a/\n" else "")

    def test_the_longest_url(self):
        url = "https://a/" + "x" * 4086
        assert len(url) == 4096
        assert parse_job({"result_url": url}).result_url == url

    @pytest.mark.parametrize(
        ("payload", "job_id"),
        [
            ({"id": "a"}, "a"),
            ({"id": " a "}, "a"),
            ({"id": 12}, "12"),
            ({"id": 0}, "0"),
            ({"id": "x" * 200}, "x" * 200),
            ({"id": "a", "request_id": "b"}, "a"),
            ({"id": None, "request_id": "b"}, "b"),
            ({"data": {"id": "c"}}, "c"),
            ({"id": "x" * 201}, ""),
            ({"id": "   "}, ""),
            ({"id": ""}, ""),
            ({"id": "a\0b"}, ""),
            ({"id": "a\ud800"}, ""),
            ({"id": True}, ""),
            ({"id": 10**5000}, ""),
            ({"id": ["a"]}, ""),
            ({"id": {"id": "a"}}, ""),
            ({"data": ["id"]}, ""),
            ([], ""),
            ("id", ""),
            (None, ""),
        ],
    )
    def test_ids(self, payload, job_id):
        assert parse_job(payload).id == job_id
        assert parse_job(payload, job_id="asked").id == (job_id or "asked")

    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            (5, 5.0),
            ("5.5", 5.5),
            (0, None),
            (-3, None),
            (math.nan, None),
            (math.inf, None),
            ("Infinity", None),
            (86_401, None),
            (10**400, None),
            ("5s", None),
            (True, None),
            (None, None),
            ([5], None),
        ],
    )
    def test_durations(self, value, seconds):
        assert parse_job({"result": {"duration": value}}).duration_seconds == seconds

    def test_what_was_asked_for_is_not_what_was_delivered(self):
        assert parse_job({"duration": 15, "resolution": "720p"}).duration_seconds is None
        assert parse_job({"data": {"duration": 4, "resolution": "480p"}}) == Job(
            id="", state=JobState.PENDING, duration_seconds=4.0, resolution="480p"
        )

    @pytest.mark.parametrize(
        ("value", "progress"),
        [(0, 0), (45.9, 45), ("50", 50), (100, 100), (101, None), (-1, None), (None, None), (math.nan, None)],
    )
    def test_progress(self, value, progress):
        assert parse_job({"progress": value}).progress == progress

    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            ("moderated", JobError(message="moderated")),
            ({"code": "moderation", "message": "no"}, JobError(code="moderation", message="no")),
            ({"code": 422}, JobError(code="422")),
            ({"code": 4.5}, JobError(code="4.5")),
            ({"code": True, "message": "no"}, JobError(message="no")),
            ({"code": 10**5000, "message": "no"}, JobError(message="no")),
            ({"message": "x" * 5000}, JobError(message="x" * 2000)),
            ({"code": "x" * 5000}, JobError(code="x" * 64)),
            ("a\0b\ud800", JobError(message="ab?")),
            ("", None),
            ({}, None),
            (None, None),
            (["no"], None),
            ({"message": {"text": "no"}}, None),
        ],
    )
    def test_errors(self, error, expected):
        assert parse_job({"status": "failed", "error": error}).error == expected

    @pytest.mark.parametrize(
        ("fields", "moment"),
        [
            ({"created": 1_782_000_000}, datetime.fromtimestamp(1_782_000_000, UTC)),
            ({"created_at": "1782000000.5"}, datetime.fromtimestamp(1_782_000_000.5, UTC)),
            ({"created": None, "created_at": 1}, datetime.fromtimestamp(1, UTC)),
            ({"created": 0}, None),
            ({"created": -5}, None),
            ({"created": 1e300}, None),
            ({"created": 253_402_300_799}, None),
            ({"created": "yesterday"}, None),
        ],
    )
    def test_created(self, fields, moment):
        assert parse_job(fields).created_at == moment

    @given(ANY_JSON)
    def test_whatever_the_json(self, payload):
        job = parse_job(payload, job_id="asked")
        assert 0 < len(job.id) <= 200
        assert len(job.status) <= 64
        assert len(job.result_url) <= 4096
        "".join([job.id, job.status, job.result_url, job.resolution]).encode()
        assert "\0" not in job.id + job.status + job.result_url + job.resolution
        assert job.duration_seconds is None or 0 < job.duration_seconds <= 86_400


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            ("0", 0.0),
            ("7", 7.0),
            (" 1.5 ", 1.5),
            ("86401", 86_400.0),
            ("9" * 400, 86_400.0),
            ("Sun, 22 Nov 2026 12:00:30 GMT", 30.0),
            ("Sun, 22 Nov 2026 12:00:30 -0000", 30.0),
            ("Sun, 22 Nov 2026 11:00:00 GMT", 0.0),
            ("Sun, 22 Nov 2037 12:00:00 GMT", 86_400.0),
            (None, None),
            ("", None),
            ("soon", None),
            ("-5", None),
            ("inf", None),
            ("nan", None),
            ("1e3", None),
            ("7\x1f", None),  # white space to a text, not to a number
            ("٣", None),
            ("Sun, 99 Nov 2026 12:00:30 GMT", None),
            ("Sun, 22 Nov 2026 12:00:30 +99999999", None),
            ("Sun, 22 Nov 99999999999999999999 12:00:30 GMT", None),
        ],
    )
    def test_seconds_dates_and_junk(self, value, seconds):
        assert parse_retry_after(value, now=NOW) == seconds

    @given(st.text())
    def test_whatever_it_says(self, value):
        seconds = parse_retry_after(value, now=NOW)
        assert seconds is None or 0 <= seconds <= 86_400


class TestRateLimit:
    def headers(self, **values) -> dict[str, str]:
        return {f"x-ratelimit-{name}-requests": value for name, value in values.items()}

    def test_all_of_it(self):
        headers = self.headers(limit="600", remaining="0", reset="12.5")
        assert parse_rate_limit(headers, now=NOW) == RateLimit(limit=600, remaining=0, reset_seconds=12.5)

    def test_a_part_of_it(self):
        headers = self.headers(limit="many", remaining="-1", reset="3")
        assert parse_rate_limit(headers, now=NOW) == RateLimit(reset_seconds=3.0)
        assert parse_rate_limit(self.headers(limit="10"), now=NOW) == RateLimit(limit=10)

    def test_a_reset_in_epoch_seconds(self):
        reset = str((NOW + timedelta(seconds=40)).timestamp())
        assert parse_rate_limit(self.headers(reset=reset), now=NOW) == RateLimit(reset_seconds=40.0)

    @pytest.mark.parametrize("value", ["nan", "inf", "junk", ""])
    def test_nothing_readable(self, value):
        assert parse_rate_limit(self.headers(limit=value, remaining=value, reset=value), now=NOW) is None
        assert parse_rate_limit({}, now=NOW) is None
