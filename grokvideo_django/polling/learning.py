"""What a site has seen of completion times, turned into curves. Pure: no clock, no database.

A poller never sees a video being finished. It knows when it last saw it unfinished and when it found it done, so each
video is an interval of ages, and one that is still unfinished is an interval without an end. The distribution that
makes all of these most likely is found by a few rounds of expectation and maximization (Turnbull, 1976), each followed
by smoothing (Silverman, 1990), because some hundred videos are a ragged histogram. It begins with, and is pulled
towards, what is thought before anything is seen, so that ten videos teach a little and some hundred all.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, NamedTuple

from .curve import BINS, STEP, Curve, bin_of, masses_of

ROUNDS: Final = 4
SMOOTHING: Final = (1 / 9, 2 / 9, 3 / 9, 2 / 9, 1 / 9)
WEIGHT_OF_PRIOR: Final = 10.0
WEIGHT_OF_OTHERS: Final = 20.0
"""In videos: what all kinds together say counts as much as so many of this kind."""
WEIGHT_OF_USUAL: Final = 10.0
"""In videos: that the gateway is as fast as ever counts as much as so many that say how fast it is now."""
FASTEST: Final = -28
SLOWEST: Final = 42
"""In steps of 5 %: a load from a quarter to eight times the usual."""
SURE: Final = 3.0
"""The most that one video says about the load; else a single forgotten one outweighs a hundred."""


class Kind(NamedTuple):
    """What completion times depend on."""

    model: str
    operation: str
    duration_seconds: int
    resolution: str


@dataclass(frozen=True, slots=True)
class Sighting:
    """One video: unfinished at ``seen_seconds`` of age, and done at ``done_seconds``; None: not done yet."""

    kind: Kind
    seen_seconds: float
    done_seconds: float | None


def usual_seconds(kind: Kind) -> float:
    """How long such a video takes, before anything is known: a guess of the right size.

    5 s at 480p took about 45 s in the middle, and 15 s have taken over 200 s (issue trackers of other clients).
    """
    return (30 + 3 * kind.duration_seconds) * (1.3 if kind.resolution == "720p" else 1.0)


def _prior(units: float) -> float:
    """The share that is unfinished, before anything is known: mostly about one unit, some quick, some very slow."""
    usual = 0.5 * math.erfc(math.log(units) / (0.5 * math.sqrt(2)))
    quick = min(1.0, max(0.0, -math.log(units) / -math.log(0.03)))
    slow = min(1.0, 1 / units)
    return 0.75 * usual + 0.18 * quick + 0.07 * slow


PRIOR: Final = masses_of(_prior)


@dataclass(frozen=True, slots=True)
class Learned:
    """What is known of one kind."""

    curve: Curve
    videos: int
    """How many of this kind it was learned from."""


class Forecast:
    """The curves of all kinds, under the present load."""

    def __init__(self, history: Iterable[Sighting] = (), cohort: Sequence[Sighting] = ()) -> None:
        """``history``: finished videos, and what is unfinished now. ``cohort``: what was sent lately, done or not."""
        by_kind: dict[Kind, Counter[tuple[int, int]]] = defaultdict(Counter)
        self._videos: Counter[Kind] = Counter()
        for sighting in history:
            by_kind[sighting.kind][_bins(sighting)] += 1
            self._videos[sighting.kind] += sighting.done_seconds is not None
        everything: Counter[tuple[int, int]] = Counter()
        for intervals in by_kind.values():
            everything.update(intervals)
        self._others = fit(everything, PRIOR, WEIGHT_OF_PRIOR)
        self._masses = {kind: fit(found, self._others, WEIGHT_OF_OTHERS) for kind, found in by_kind.items()}
        self._load_steps = load_steps(cohort, self._masses, self._others)
        self._learned: dict[Kind, Learned] = {}

    @property
    def load(self) -> float:
        """How many times the usual a video takes at present."""
        return math.exp(STEP * self._load_steps)

    @property
    def kinds(self) -> Iterable[Kind]:
        """The kinds that were seen."""
        return self._masses.keys()

    def of(self, kind: Kind) -> Learned:
        """What is known of a kind, also of one that was never seen."""
        if kind not in self._learned:
            masses = self._masses.get(kind, self._others)
            curve = Curve(masses, unit_seconds=usual_seconds(kind) * self.load)
            self._learned[kind] = Learned(curve, self._videos[kind])
        return self._learned[kind]


def fit(intervals: Mapping[tuple[int, int], int], prior: Sequence[float], weight: float) -> list[float]:
    """The masses that make the intervals (first and last bin, and how often) most likely, pulled towards the prior."""
    masses = list(prior)
    whole = sum(intervals.values()) + weight
    for _round in range(ROUNDS if intervals else 0):
        up_to = [0.0, *accumulate(masses)]
        changes = [0.0] * (BINS + 1)
        for (first, last), count in intervals.items():
            mass = max(up_to[last + 1] - up_to[first], 1e-12)
            changes[first] += count / mass
            changes[last + 1] -= count / mass
        likely = [mass * factor for mass, factor in zip(masses, accumulate(changes), strict=False)]
        masses = [(mass + weight * before) / whole for mass, before in zip(_smooth(likely), prior, strict=True)]
    return masses


def _smooth(masses: Sequence[float]) -> list[float]:
    """Each mass spread over its neighbours; at the ends it stays where it is, so that none is lost."""
    spread = [0.0] * BINS
    for number, mass in enumerate(masses):
        for shift, part in enumerate(SMOOTHING, start=-(len(SMOOTHING) // 2)):
            spread[min(max(number + shift, 0), BINS - 1)] += mass * part
    return spread


def load_steps(cohort: Sequence[Sighting], masses: Mapping[Kind, Sequence[float]], others: Sequence[float]) -> int:
    """By how many steps of 5 % videos are slower now than usual: the whole cohort counts, done or not.

    If a curve is right, the hazard that all have gone through together is as large as the number that are done.
    """
    hazards: dict[Kind, list[float]] = {}
    ages: Counter[tuple[Kind, int]] = Counter()
    done = 0
    for sighting in cohort:
        if sighting.kind not in hazards:
            finished = accumulate(masses.get(sighting.kind, others))
            hazards[sighting.kind] = [min(SURE, -math.log(max(1 - share, 1e-9))) for share in finished]
        first, last = _bins(sighting)
        done += sighting.done_seconds is not None
        ages[sighting.kind, (first + last) // 2 if sighting.done_seconds is not None else first] += 1

    def excess(steps: int) -> float:
        """Hazard gone through, less what is done, if the load were so large; falls as it grows."""
        gone = sum(count * hazards[kind][min(max(age - steps, 0), BINS - 1)] for (kind, age), count in ages.items())
        return gone - done + WEIGHT_OF_USUAL * (math.exp(-STEP * steps) - 1)

    low, high = FASTEST, SLOWEST
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if excess(middle) > 0 else (low, middle)
    return low


def _bins(sighting: Sighting) -> tuple[int, int]:
    unit = usual_seconds(sighting.kind)
    first = bin_of(sighting.seen_seconds / unit)
    if sighting.done_seconds is None:
        return first, BINS - 1
    return first, max(first, bin_of(sighting.done_seconds / unit))
