"""Jobs at the sandbox without a submission, and a bell that remembers."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from grokvideo_django import submission
from grokvideo_django.gateway import VideoOrder
from grokvideo_django.models import VideoRequest
from grokvideo_django.polling import rate
from grokvideo_django.polling import tick as ticking

from ..making import put


def order(prompt: str) -> VideoOrder:
    return VideoOrder(
        model="xai/grok-imagine-video",
        prompt=prompt,
        duration_seconds=1,
        aspect_ratio="16:9",
        resolution="480p",
        idempotency_key=str(uuid.uuid4()),
    )


class Bell:
    """The tick's view of a queue, and what it did to it."""

    def __init__(self) -> None:
        self.cleared = 0
        self.space = 50
        self.other_work: Callable[[], bool] = lambda: False
        self.looks = 0
        self.rings: list[object] = []
        self.submitted: list[int] = []
        self.fetched: list[int] = []
        self.on_ring: Callable[[], object] = lambda: None

    def clear(self) -> None:
        self.cleared += 1

    def ring(self) -> None:
        self.rings.append(self.on_ring())

    def room(self) -> int:
        return max(0, self.space - len(self.submitted) - len(self.fetched))

    def submit(self, pks: Iterable[int]) -> None:
        self.submitted += pks

    def fetch(self, pks: Iterable[int]) -> None:
        self.fetched += pks

    def has_other_work(self) -> bool:
        self.looks += 1
        return self.other_work()


@pytest.fixture
def bell() -> Bell:
    return Bell()


@pytest.fixture
def tick(sandbox: Any, redis_server: Any, settings: Any, bell: Bell) -> Callable[..., bool]:
    """One tick of one round, or of so many seconds, with a budget that is no obstacle."""
    settings.GROKVIDEO = {**settings.GROKVIDEO, "REQUESTS_PER_MINUTE": 60_000}

    def run(seconds: float = 0) -> bool:
        return ticking.run(bell, new_client=submission.client, gate=rate.gate(), loop_seconds=seconds)

    return run


@pytest.fixture
def at_gateway(sandbox: Any) -> Callable[..., VideoRequest]:
    """A row whose job the sandbox really has; due now."""

    def make(owner: Any, words: str = "never", status: str = "submitted", **values: Any) -> VideoRequest:
        with submission.client() as gateway:
            job_id = gateway.create(order(f"A fox [sandbox:{words}]")).id
        row = put(owner, status, gateway_job_id=job_id, lease_token=None, **values)
        if "due_at" not in values:
            row.due_at = row.created_at
            VideoRequest.objects.filter(pk=row.pk).update(due_at=row.created_at)
        return row

    return make
