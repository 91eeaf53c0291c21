"""Time that a test has set going, on a machine that may be slow."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest

_began_at = time.monotonic()


def begin() -> None:
    """A test begins."""
    global _began_at  # noqa: PLW0603 - of the one test that runs
    _began_at = time.monotonic()


def about(seconds: float | Sequence[float | None], *, within: float = 1) -> Any:
    """What is left of so many seconds: ``within`` so many of it, and of the time that this test has taken so far."""
    return pytest.approx(seconds, abs=within + time.monotonic() - _began_at)
