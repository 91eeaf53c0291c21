"""The gateway's rate limit: per key, all endpoints together, over any sliding 60 s."""

from __future__ import annotations

import math
import threading
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from grokvideo_django.sandbox.clock import Clock

WINDOW_SECONDS = 60.0


@dataclass(slots=True, frozen=True)
class Allowance:
    """What the limit says to a request. ``limit`` 0: none. ``reset_seconds``: until the oldest leaves the window."""

    admitted: bool
    limit: int
    remaining: int
    reset_seconds: int

    def headers(self) -> dict[str, str]:
        """The ``x-ratelimit-*`` fields of every answer, and Retry-After (seconds) with a refusal."""
        if not self.limit:
            return {}
        fields = {
            "x-ratelimit-limit-requests": str(self.limit),
            "x-ratelimit-remaining-requests": str(self.remaining),
            "x-ratelimit-reset-requests": str(self.reset_seconds),
        }
        return fields if self.admitted else {**fields, "Retry-After": str(self.reset_seconds)}


class RateLimit:
    """Counts the requests of each key. Refused ones count towards ``refused``, not towards the window."""

    def __init__(self, clock: Clock) -> None:
        """Nothing has been asked yet."""
        self._clock = clock
        self._lock = threading.Lock()
        self._asked: dict[str, deque[float]] = {}
        self.refused: Counter[str] = Counter()
        self.peak: Counter[str] = Counter()
        """The most requests that any 60 s of a key have seen: what a client's own budget is tested against."""

    def clear(self) -> None:
        """Nobody has asked anything."""
        with self._lock:
            self._asked.clear()
            self.refused.clear()
            self.peak.clear()

    def admit(self, key: str, per_minute: int) -> Allowance:
        """Count one request of *key*; *per_minute* 0 admits everything."""
        now = self._clock.now()
        with self._lock:
            asked = self._asked.setdefault(key, deque())
            while asked and asked[0] <= now - WINDOW_SECONDS:
                asked.popleft()
            admitted = per_minute <= 0 or len(asked) < per_minute
            if admitted:
                asked.append(now)
                self.peak[key] = max(self.peak[key], len(asked))
            else:
                self.refused[key] += 1
            reset = max(1, math.ceil(asked[0] + WINDOW_SECONDS - now))
            return Allowance(admitted, per_minute, max(0, per_minute - len(asked)), reset)
