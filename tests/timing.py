"""Time, on a machine that may be slow."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import pytest

PATIENCE: Final = 120.0
"""Seconds that a test waits for what must happen: a bound for what never comes, and no claim about speed."""

_began_at = time.monotonic()


def wait_for(found: Callable[[], object]) -> None:
    """Until it is true."""
    ends_at = time.monotonic() + PATIENCE
    while not found():
        assert time.monotonic() < ends_at, f"not within {PATIENCE:g} s"
        time.sleep(0.02)


def begin() -> None:
    """A test begins."""
    global _began_at  # noqa: PLW0603 - of the one test that runs
    _began_at = time.monotonic()


def about(seconds: float | Sequence[float | None], *, within: float = 1) -> Any:
    """What is left of so many seconds: ``within`` so many of it, and of the time that this test has taken so far."""
    return pytest.approx(seconds, abs=within + time.monotonic() - _began_at)
