"""What a seed means: the same faults, words and people's acts in the same order, however fast the machine is."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from .words import ENDS

FAULTS = {
    "kill worker": 3,
    "kill horse": 4,
    "kill worker and horse": 4,
    "kill cron": 1,
    "stop horse": 2,
    "stop worker and horse": 2,
    "stop the tick": 3,
    "empty Redis": 2,
    "restart Redis": 1,
    "cut Redis' connections": 2,
    "restart the database": 2,
    "cut the database's connections": 2,
    "gateway away": 2,
    "all leases over": 2,
    "clock forward": 2,
    "clock back": 2,
    "all clocks forward": 1,
    "all clocks back": 1,
    "clocks right": 3,
    "links expire": 1,
}
"""Each with its weight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Some requests, what people do meanwhile, a fault. Picks and sizes are from 0 to 1."""

    pause_seconds: float
    words: tuple[str, ...]
    cancels: tuple[float, ...]
    retries: tuple[float, ...]
    fault: str
    pick: float
    size: float


def steps(seed: int) -> Iterator[Step]:
    """Without end. Every word comes once before any comes twice."""
    dice = random.Random(seed)
    bag: list[str] = []

    def word() -> str:
        if dice.random() < 0.25:
            return ""
        if not bag:
            bag.extend(sorted(ENDS))
            dice.shuffle(bag)
        return bag.pop()

    while True:
        yield Step(
            words=tuple(word() for _ in range(dice.choice([1, 1, 2, 3]))),
            cancels=tuple(dice.random() for _ in range(dice.choice([0, 0, 0, 0, 1]))),
            retries=tuple(dice.random() for _ in range(dice.choice([0, 0, 0, 0, 0, 1]))),
            pause_seconds=dice.uniform(0.05, 0.6),
            fault=dice.choices(list(FAULTS), weights=list(FAULTS.values()))[0],
            pick=dice.random(),
            size=dice.random(),
        )
