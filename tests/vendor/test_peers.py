"""The vendor's own wait loop, as the polling benchmark runs it: as it is, and patched."""

from __future__ import annotations

import os

import pytest

from ..benchmarks import peers, videos
from ..test_benchmarks import Place

if not os.environ.get("CI"):
    pytest.importorskip("aigateway", reason="the vendor's client is not installed: pip install aigateway-py")


def told(_count: int) -> None:
    """Nobody listens."""


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
