"""The rate limit: per key, all endpoints together, any sliding minute."""

from __future__ import annotations

import httpx

from grokvideo_django.sandbox.clock import Clock
from grokvideo_django.sandbox.limits import RateLimit
from tests.sandbox.conftest import Api


def test_all_endpoints_share_it(api: Api) -> None:
    api.sandbox.options.requests_per_minute = 4
    job = api.job("[sandbox:queued=60]")
    answers = [api.read(job), api.http.get("/balance"), api.cancel(job), api.read(job)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == ["2", "1", "0", "0"]
    assert {answer.headers["x-ratelimit-limit-requests"] for answer in answers} == {"4"}
    refused = answers[-1]
    assert 58 <= int(refused.headers["Retry-After"]) <= 60
    assert refused.headers["x-ratelimit-reset-requests"] == refused.headers["Retry-After"]
    assert refused.json()["error"]["type"] == "rate_limit_error"
    assert api.sandbox.rate_limited == 1


def test_errors_carry_the_headers_too(api: Api) -> None:
    api.sandbox.options.requests_per_minute = 9
    assert api.read("job_0").headers["x-ratelimit-remaining-requests"] == "8"
    assert api.post("[sandbox:create-500]").headers["x-ratelimit-remaining-requests"] == "7"


def test_the_window_slides(api: Api) -> None:
    api.sandbox.options.requests_per_minute = 2
    codes = []
    for wait in (30, 29, 2, 1, 28):
        codes.append(api.http.get("/balance").status_code)
        api.sandbox.advance(wait)
    assert codes == [200, 200, 429, 200, 429]


def test_keys_do_not_share_it(api: Api) -> None:
    api.sandbox.options.requests_per_minute = 1
    other = {"Authorization": "Bearer sk-aig-other"}
    assert api.http.get("/balance").status_code == 200
    assert api.http.get("/balance").status_code == 429
    assert httpx.get(f"{api.sandbox.base_url}/balance", headers=other, trust_env=False).status_code == 200


def test_media_and_control_are_outside(api: Api) -> None:
    job = api.job()
    url = api.url(job)
    api.sandbox.options.requests_per_minute = 1
    assert "x-ratelimit-limit-requests" not in api.anonymous.get(url).headers
    assert api.sandbox.peak_requests_per_minute == 2


def test_none_says_nothing(api: Api) -> None:
    assert not [name for name in api.http.get("/balance").headers if "ratelimit" in name]


def test_the_peak_is_of_any_window() -> None:
    clock = Clock()
    limit = RateLimit(clock)
    for wait in (0, 59, 0, 61, 0):
        clock.advance(wait)
        limit.admit("k", 0)
    assert limit.peak["k"] == 3
