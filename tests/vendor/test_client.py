"""The vendor's own client against the sandbox: what it was written for must be what the sandbox does.

Where that client and the vendor's documents disagree, the name of the test says who does what.
"""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from grokvideo_django.media.probe import probe
from grokvideo_django.sandbox import Sandbox

if not os.environ.get("CI"):
    pytest.importorskip("aigateway", reason="the vendor's client is not installed: pip install aigateway-py")

from aigateway import AIgateway, AIgatewayError, AsyncAIgateway

MODEL = "xai/grok-imagine-video"
ORDER = {"model": MODEL, "prompt": "A fox crosses a frozen lake", "duration": 1}


def root(sandbox: Sandbox) -> str:
    """The vendor's client writes ``/v1`` itself."""
    return sandbox.base_url.removesuffix("/v1")


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[AIgateway]:
    with AIgateway(sandbox.key, root(sandbox), root(sandbox), tag="vendor", timeout=20) as found:
        yield found


def seconds_of(content: bytes) -> float:
    return probe(io.BytesIO(content)).duration_seconds


def test_it_creates_waits_and_downloads(sandbox, client):
    created = client.jobs.create_video(**ORDER, aspect_ratio="16:9", resolution="480p")
    assert (created.status, created.modality, created.model) == ("queued", "video", MODEL)
    done = client.jobs.wait(created.id, timeout_seconds=10, poll_interval_seconds=0.05)
    assert (done.id, done.status) == (created.id, "completed")
    content = client.files.download(done.id, "video.mp4")
    assert seconds_of(content) == pytest.approx(1, abs=0.1)
    assert httpx.get(done.result["url"], trust_env=False).content == content
    assert sandbox.accepted[0].tag == "vendor"
    assert sandbox.leaked_keys == 0


def test_it_waits_through_every_status(sandbox, client):
    sandbox.options.latency = (0.6, 0.0)
    created = client.jobs.create_video(**ORDER)
    seen = {client.jobs.get(created.id).status}
    sandbox.advance(0.3)
    seen.add(client.jobs.get(created.id).status)
    seen.add(client.jobs.wait(created.id, timeout_seconds=10, poll_interval_seconds=0.1).status)
    assert seen == {"queued", "processing", "completed"}


def test_it_signs(sandbox, client):
    job = client.jobs.create_video(**ORDER)
    signed = client.files.signed_url(job.id, "video.mp4", expires_in=60)
    assert set(signed) == {"url", "expires_at"}
    assert seconds_of(httpx.get(signed["url"], trust_env=False).content) == pytest.approx(1, abs=0.1)
    sandbox.advance(62)
    assert httpx.get(signed["url"], trust_env=False).status_code == 403
    for refused in (59, 604801):
        with pytest.raises(AIgatewayError, match="expires_in") as error:
            client.files.signed_url(job.id, "video.mp4", expires_in=refused)
        assert (error.value.status_code, error.value.type) == (400, "invalid_request_error")


def test_it_cancels_what_is_queued(sandbox, client):
    job = client.jobs.create_video(**{**ORDER, "prompt": "A fox [sandbox:queued=60]"})
    assert client.jobs.cancel(job.id).status == "cancelled"
    assert client.jobs.get(job.id).status == "cancelled"
    with pytest.raises(AIgatewayError) as error:
        client.files.download(job.id, "video.mp4")
    assert error.value.status_code == 404


def test_it_cannot_cancel_what_is_processing(sandbox, client):
    job = client.jobs.create_video(**{**ORDER, "prompt": "A fox [sandbox:queued=0 delay=60]"})
    with pytest.raises(AIgatewayError, match="processing"):
        client.jobs.cancel(job.id)
    assert client.jobs.get(job.id).status == "processing"


@pytest.mark.parametrize(
    ("shape", "found"),
    [
        ("url", lambda job: job.result["url"]),
        ("file_url", lambda job: job.result["file_url"]),
        ("result_url", lambda job: job.result_url),  # the only one for which the client has a field of its own
        ("data", lambda job: job.raw["data"]["result_url"]),
    ],
)
def test_it_finds_the_result_in_each_shape(sandbox, client, shape, found):
    job = client.jobs.create_video(**{**ORDER, "prompt": f"A fox [sandbox:shape={shape}]"})
    done = client.jobs.wait(job.id, poll_interval_seconds=0.05)
    answer = httpx.get(found(done), trust_env=False)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp4")


def test_it_knows_created_at_only_where_the_other_document_says_created(sandbox, client):
    plain = client.jobs.create_video(**ORDER)
    assert (plain.created_at, plain.raw["created"]) == (None, int(sandbox.accepted[0].at))
    other = client.jobs.create_video(**{**ORDER, "prompt": "A fox [sandbox:created-at]"})
    assert other.created_at == other.updated_at == int(sandbox.accepted[1].at)


@pytest.mark.parametrize("error", ["text", "object"])
def test_it_hears_of_a_failure(client, error):
    job = client.jobs.create_video(**{**ORDER, "prompt": f"A fox [sandbox:moderated error={error}]"})
    failed = client.jobs.wait(job.id, poll_interval_seconds=0.05)
    assert failed.status == "failed"
    message = failed.error if error == "text" else failed.error["message"]
    assert message == "The video was rejected by content moderation."


def test_it_reads_the_catalogue(client):
    assert [model["id"] for model in client.models.list(modality="video")] == [MODEL]
    assert client.models.list(modality="text") == []
    assert client.models.list(provider="xai")[0]["pricing"]["currency"] == "usd"
    assert client.models.get(MODEL)["schema"]["endpoint"] == "/v1/videos/generations"
    with pytest.raises(AIgatewayError) as error:
        client.models.get("nobody/nothing")
    assert (error.value.status_code, error.value.type) == (404, "not_found_error")


def test_it_hears_that_its_key_is_wrong(sandbox):
    with AIgateway("nonsense", root(sandbox), root(sandbox)) as stranger:
        for call in (
            lambda: stranger.jobs.create_video(**ORDER),
            lambda: stranger.jobs.get("job_x"),
            lambda: stranger.files.download("job_x", "video.mp4"),
        ):
            with pytest.raises(AIgatewayError) as error:
                call()
            assert (error.value.status_code, error.value.type) == (401, "authentication_error")


def test_the_same_without_threads(sandbox):
    async def work() -> bytes:
        async with AsyncAIgateway(sandbox.key, root(sandbox), root(sandbox)) as client:
            job = await client.jobs.create_video(**ORDER)
            await client.jobs.wait(job.id, poll_interval_seconds=0.05)
            signed = await client.files.signed_url(job.id, "video.mp4")
            assert signed["url"].startswith(f"http://{sandbox.media_host}/")
            content: bytes = await client.files.download(job.id, "video.mp4")
            return content

    with ThreadPoolExecutor(1) as elsewhere:  # in this thread a browser's test may have left a loop that runs
        assert seconds_of(elsewhere.submit(asyncio.run, work()).result()) == pytest.approx(1, abs=0.1)


def test_its_own_loop_breaks_at_a_304_that_ours_must_survive(sandbox, client):
    """Its loop reads again after 2 s, the gateway may answer 304 within 3 s, and an empty body is no job to it."""
    sandbox.options.read_interval = 3
    sandbox.options.latency = (30, 0.0)
    job = client.jobs.create_video(**ORDER)
    client.jobs.get(job.id)
    with pytest.raises(TypeError):
        client.jobs.get(job.id)
    assert sandbox.answers["read 304"] == 1


def test_its_own_loop_waits_for_ever_for_what_was_cancelled(sandbox, client):
    job = client.jobs.create_video(**{**ORDER, "prompt": "A fox [sandbox:queued=60]"})
    client.jobs.cancel(job.id)
    with pytest.raises(AIgatewayError, match="did not complete"):
        client.jobs.wait(job.id, timeout_seconds=0.2, poll_interval_seconds=0.05)
