"""How long the gateway takes for each video of the polling benchmark: drawn once, and the same for every client.

Log-normal with a median of 45 s and a sigma of 0.5; three in a hundred take 120 to 240 s instead.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

MEDIAN_SECONDS = 45.0
SIGMA = 0.5
SLOW_SHARE = 0.03
SLOW_SECONDS = (120.0, 240.0)
REQUESTS_PER_MINUTE = 600
READ_INTERVAL_SECONDS = 3.0
DURATION_SECONDS = 5
"""Of the finished video."""


@dataclass(frozen=True)
class Times:
    """The true distribution. Another median stretches or shrinks all of it."""

    median_seconds: float = MEDIAN_SECONDS

    def draw(self, count: int, seed: str) -> list[float]:
        """Seconds from the POST to the completion of so many videos; fewer are the first of more."""
        chance = random.Random(f"videos {seed}")
        return [round(_draw(chance) * self._scale, 2) for _ in range(count)]

    def unfinished(self, age_seconds: float) -> float:
        """The probability that a video takes longer than this. Only the bound knows it."""
        age_seconds /= self._scale
        if age_seconds <= 0:
            return 1.0
        usual = 0.5 * math.erfc(math.log(age_seconds / MEDIAN_SECONDS) / (SIGMA * math.sqrt(2)))
        shortest, longest = SLOW_SECONDS
        slow = min(1.0, max(0.0, (longest - age_seconds) / (longest - shortest)))
        return (1 - SLOW_SHARE) * usual + SLOW_SHARE * slow

    @property
    def _scale(self) -> float:
        return self.median_seconds / MEDIAN_SECONDS


def _draw(chance: random.Random) -> float:
    usual, slow = MEDIAN_SECONDS * chance.lognormvariate(0, SIGMA), chance.uniform(*SLOW_SECONDS)
    return slow if chance.random() < SLOW_SHARE else usual


def prompts(seconds: Sequence[float]) -> list[str]:
    """What to ask the sandbox for, so that each video takes just so long."""
    return [f"A fox crosses a frozen lake, take {n} [sandbox:delay={took}]" for n, took in enumerate(seconds)]


def gateway_options(read_interval: float) -> list[str]:
    """Of ``manage.py grokvideo_sandbox``: a paid key's limit, and 304 for reads in quick succession."""
    limits = ["--requests-per-minute", str(REQUESTS_PER_MINUTE), "--read-interval", str(read_interval)]
    return ["--latency", "0", "--fast-clips", *limits]
