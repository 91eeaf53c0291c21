"""The bound of the polling benchmark: a greedy schedule that knows the true distribution of the times. A simulation.

Slots of the request budget come one by one (600 a minute: every 0.1 s), and each carries one POST or one read; an
answer takes no time. A free slot reads the video with the largest index, unless it was read less than 3 s ago. Two
indices, both in seconds, for a video that was seen unfinished ``gap`` seconds ago, where ``p(s)`` is the probability
that it finished within ``s`` seconds of that:

- ``chance``: ``p(gap) * gap``;
- ``whittle``: ``p(gap) * gap`` less the integral of ``p`` from 0 to ``gap``: what waiting would still have been worth.

A POST goes first, in turns with the reads, or is worth a number of seconds too (what is worth more is read first). That
keeps people waiting before their video is begun, which the delay after its completion hides: so a client is compared
with the best schedule that has sent its last POST no later, and that reads no more.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from .figures import Figures
from .videos import REQUESTS_PER_MINUTE, Times

Index = Literal["chance", "whittle"]
Posts = Literal["first", "turns"] | float
"""A number: of seconds."""

INDICES: tuple[Index, ...] = ("chance", "whittle")
POSTS: tuple[Posts, ...] = ("first", "turns", 8.0)
WORTHS: tuple[Posts, ...] = (*POSTS, 4.0, 2.0, 1.0, 0.5, 0.25)
THRESHOLDS = (0.25, 0.5, 1.0, 2.0)
FINE_THRESHOLDS = (0.15, 0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 3.0)
SLOT_SECONDS = 60 / REQUESTS_PER_MINUTE
GAP_SLOTS = round(3.0 / SLOT_SECONDS)
CERTAIN = 1e-6


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How slots are given away. Below ``threshold`` seconds of index a slot stays empty."""

    index: Index = "chance"
    posts: Posts = "turns"
    threshold: float = 0.0

    def __str__(self) -> str:
        kept = f", from {self.threshold:g} s on" if self.threshold else ""
        posts = f"worth {self.posts:g} s" if isinstance(self.posts, float) else self.posts
        return f"{self.index}, POSTs {posts}{kept}"


@dataclass(slots=True)
class _Video:
    posted: int
    """The slot, as the others here."""
    looked: int
    completed_at: float


@cache
def _distribution(times: Times, slots: int) -> tuple[list[float], list[float]]:
    """By age in slots: the probability to be unfinished, and its integral in seconds."""
    survival = [times.unfinished(slot * SLOT_SECONDS) for slot in range(slots)]
    area = [0.0] * slots
    for slot in range(1, slots):
        area[slot] = area[slot - 1] + SLOT_SECONDS * (survival[slot] + survival[slot - 1]) / 2
    return survival, area


class Schedule:
    """Slot by slot."""

    def __init__(self, seconds: Sequence[float], policy: Policy, times: Times) -> None:
        self._policy = policy
        self._to_post = list(reversed(seconds))
        self._open: list[_Video] = []
        self._turn = True
        self.slot = 0
        self.reads = 0
        self.delays: list[float] = []
        self.waits: list[float] = []
        self.last_post_at = 0.0
        # Nothing is left unread for longer than it takes to give every other video a slot.
        longest = max(seconds) + 60 + 40 * len(seconds) * SLOT_SECONDS
        self._survival, self._area = _distribution(times, 1 << math.ceil(math.log2(longest / SLOT_SECONDS)))

    def run(self) -> None:
        while self._to_post or self._open:
            found, worth = self._best()
            if self._to_post and self._posts_now(worth):
                self._post()
            elif found is not None and worth >= self._policy.threshold:
                self._read(found)
            elif self._to_post:
                self._post()
            self.slot += 1

    def _posts_now(self, worth: float) -> bool:
        match self._policy.posts:
            case "first":
                return True
            case "turns":
                return self._turn
            case seconds:
                return worth < seconds

    def _post(self) -> None:
        now = self.slot * SLOT_SECONDS
        self._open.append(_Video(self.slot, self.slot, now + self._to_post.pop()))
        self.last_post_at = now
        self._turn = False

    def _read(self, video: _Video) -> None:
        self.reads += 1
        self._turn = True
        delay = self.slot * SLOT_SECONDS - video.completed_at
        if delay >= 0:
            self.delays.append(delay)
            self.waits.append(self.slot * SLOT_SECONDS)
            self._open.remove(video)
        else:
            video.looked = self.slot

    def _best(self) -> tuple[_Video | None, float]:
        slot, survival, area = self.slot, self._survival, self._area
        whittle = self._policy.index == "whittle"
        best, most = None, -1.0
        for video in self._open:
            gap_slots = slot - video.looked
            if gap_slots < GAP_SLOTS:
                continue
            then, now = video.looked - video.posted, slot - video.posted
            left, gap = survival[then], gap_slots * SLOT_SECONDS
            if survival[now] <= CERTAIN * left:  # there is nothing left to wait for
                index = gap
            elif whittle:
                index = (area[now] - area[then] - survival[now] * gap) / left
            else:
                index = (1 - survival[now] / left) * gap
            if index > most:
                best, most = video, index
        return best, most


def greedy(seconds: Sequence[float], policy: Policy, times: Times) -> Figures:
    """What this policy makes of videos that take so many seconds each, drawn from ``times``."""
    schedule = Schedule(seconds, policy, times)
    schedule.run()
    return Figures(
        client=f"greedy: {policy}",
        in_flight=len(seconds),
        delays=schedule.delays,
        mean_wait=statistics.fmean(schedule.waits),
        seconds=schedule.slot * SLOT_SECONDS,
        last_post_seconds=schedule.last_post_at,
        accepted=len(seconds),
        reads=schedule.reads,
    )


def best(seconds: Sequence[float], posts: Posts, times: Times) -> Figures:
    """Of the indices, the one with the shortest mean delay."""
    found = [greedy(seconds, Policy(index=index, posts=posts), times) for index in INDICES]
    return min(found, key=lambda figures: figures.mean_delay)


def no_later(seconds: Sequence[float], client: Figures, times: Times) -> Figures:
    """Of all policies that send their last POST no later than this client, the shortest mean delay."""
    return _promptest(seconds, client, times)[1]


def no_more(seconds: Sequence[float], client: Figures, times: Times) -> Figures:
    """The same with slots left empty, so that it reads no more than the client does: what is to be compared."""
    posts, _ = _promptest(seconds, client, times)
    found = [
        greedy(seconds, Policy(index=index, posts=posts, threshold=threshold), times)
        for index in INDICES
        for threshold in (0.0, *FINE_THRESHOLDS)
    ]
    found.sort(key=lambda figures: figures.mean_delay)
    sparing = [figures for figures in found if figures.reads_each <= client.reads_each]
    return sparing[0] if sparing else min(found, key=lambda figures: figures.reads)


def _promptest(seconds: Sequence[float], client: Figures, times: Times) -> tuple[Posts, Figures]:
    found = [(posts, best(seconds, posts, times)) for posts in WORTHS]
    prompt = [one for one in found if one[1].last_post_seconds <= client.last_post_seconds]
    return min(prompt or found[:1], key=lambda one: one[1].mean_delay)


def pareto(seconds: Sequence[float], posts: Posts, times: Times) -> list[Figures]:
    """What each index reaches with fewer reads."""
    return [
        greedy(seconds, Policy(index=index, posts=posts, threshold=threshold), times)
        for index in INDICES
        for threshold in THRESHOLDS
    ]
