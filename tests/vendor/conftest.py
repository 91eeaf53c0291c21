"""A gateway for the vendor's own client and for the vendor's own document."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from grokvideo_django.sandbox import Sandbox


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """One without the 304 for reads within 3 s, at which the vendor's client breaks (a test of its own says so)."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")  # the vendor's client reads the environment
    with Sandbox(fast_clips=True, read_interval=0) as running:
        yield running
