"""How likely a video is finished by a given age, and how late it would be found then. Pure.

A distribution of completion times is a list of masses on a grid of ages whose steps grow by 5 %. Ages in it are
multiples of a unit, the time that is usual for that kind of video; a ``Curve`` speaks of seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, pairwise
from typing import Final

SHORTEST: Final = 0.02
"""Units; with 45 s as the unit the grid goes from 0.9 s to 9 days."""
STEP: Final = math.log(1.05)
BINS: Final = 280
EDGES: Final = tuple(SHORTEST * math.exp(STEP * number) for number in range(BINS))
"""Where each bin ends, in units. The first begins at 0."""
_HALVINGS: Final = 12


def bin_of(units: float) -> int:
    """The number of the bin that an age lies in; the last one takes whatever is older."""
    if units <= SHORTEST:
        return 0
    return min(BINS - 1, math.ceil(math.log(units / SHORTEST) / STEP - 1e-9))


def masses_of(unfinished: Callable[[float], float]) -> list[float]:
    """The masses of a survival function: the share that is unfinished at an age in units."""
    shares = [1.0, *(unfinished(edge) for edge in EDGES)]
    return [earlier - later for earlier, later in pairwise(shares)]


class Curve:
    """When videos of one kind are finished. What is beyond the grid is never finished."""

    def __init__(self, masses: Sequence[float], *, unit_seconds: float) -> None:
        """``masses`` by bin, summing up to at most 1."""
        self._unit = unit_seconds
        self._finished = list(accumulate(masses))
        self._waited = list(accumulate(self._areas()))

    def _areas(self) -> Iterable[float]:
        """By bin, the time in it that videos are unfinished: straight lines between the edges."""
        before_edge, before_share = 0.0, 0.0
        for edge, share in zip(EDGES, self._finished, strict=True):
            yield (edge - before_edge) * (1 - (before_share + share) / 2)
            before_edge, before_share = edge, share

    def finished_by(self, age_seconds: float) -> float:
        """The share of videos that is finished at this age."""
        return self._at(age_seconds)[0]

    def lateness(self, seen_seconds: float, age_seconds: float) -> float:
        """Seconds for which it has probably been finished at an age, if it was unfinished when last seen.

        The mean over all that may have happened in between: 0 if it is certainly unfinished. What a read now would
        save, and what waiting longer costs.
        """
        passed = age_seconds - seen_seconds
        if passed <= 0:
            return 0.0
        share, waited = self._at(seen_seconds)
        _share, waited_now = self._at(age_seconds)
        if share >= 1 - 1e-9:
            return passed
        return max(0.0, passed - (waited_now - waited) / (1 - share) * self._unit)

    def ripe(self, seen_seconds: float, lateness_seconds: float) -> float:
        """The age at which it will probably have been finished for so long, if it was unfinished when last seen."""
        gap = 1.0
        while self.lateness(seen_seconds, seen_seconds + gap) < lateness_seconds:
            gap *= 2
            if gap > EDGES[-1] * self._unit:
                return seen_seconds + gap
        early, late = (gap / 2 if gap > 1 else 0.0), gap
        for _halving in range(_HALVINGS):
            middle = (early + late) / 2
            if self.lateness(seen_seconds, seen_seconds + middle) < lateness_seconds:
                early = middle
            else:
                late = middle
        return seen_seconds + late

    def age_at(self, share: float) -> float:
        """The age in seconds at which this share of videos is finished; the grid's end if so many never are."""
        found = next((number for number, done in enumerate(self._finished) if done >= share), BINS - 1)
        return EDGES[found] * self._unit

    def _at(self, age_seconds: float) -> tuple[float, float]:
        """The share finished by an age, and the time in units for which videos were unfinished until then."""
        units = max(0.0, age_seconds / self._unit)
        if units >= EDGES[-1]:
            return self._finished[-1], self._waited[-1] + (units - EDGES[-1]) * (1 - self._finished[-1])
        number = bin_of(units)
        start, share, waited = (
            (EDGES[number - 1], self._finished[number - 1], self._waited[number - 1]) if number else (0.0, 0.0, 0.0)
        )
        part = (units - start) / (EDGES[number] - start)
        here = share + (self._finished[number] - share) * part
        return here, waited + (units - start) * (1 - (share + here) / 2)
