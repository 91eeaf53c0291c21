"""What one client of the polling benchmark did with its videos, and how that is told."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self


@dataclass(kw_only=True)
class Figures:
    """Of one run. Seconds are counted from the first POST; a delay from a video's completion to its being seen."""

    client: str
    in_flight: int
    delays: list[float] = field(default_factory=list)
    """One for each video that was delivered."""
    mean_wait: float = 0.0
    """Until one was seen, on average: what people wait who all ask at once."""
    seconds: float = 0.0
    """Until the last one was seen."""
    last_post_seconds: float = 0.0
    accepted: int = 0
    """POSTs that cost money."""
    reads: int = 0
    """All of them, those answered with 304 and 429 too."""
    limited: int = 0
    """Answers 429, to POSTs and reads."""
    peak: int = 0
    """The most requests that were let in in any 60 s."""
    twice: int = 0
    """POSTs that were accepted again with the same Idempotency-Key."""
    note: str = ""

    @property
    def delivered(self) -> int:
        return len(self.delays)

    @property
    def lost(self) -> int:
        """Paid and not delivered."""
        return self.accepted - self.delivered

    @property
    def mean_delay(self) -> float:
        return statistics.fmean(self.delays) if self.delays else float("nan")

    @property
    def p95_delay(self) -> float:
        return sorted(self.delays)[int(0.95 * len(self.delays))] if self.delays else float("nan")

    @property
    def reads_each(self) -> float:
        return self.reads / max(1, self.accepted)

    @property
    def videos_a_minute(self) -> float:
        return self.delivered / self.seconds * 60 if self.seconds else 0.0

    def dump(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> Self:
        return cls(**json.loads(text))


HEAD = [
    "in flight", "client", "delivered", "paid and lost", "videos a minute", "reads a video", "mean delay s", "p95 s",
    "mean s until seen", "429s", "requests in 60 s, at most", "last POST at s",
]  # fmt: skip


def line(figures: Figures) -> list[object]:
    """Of the table under ``HEAD``."""
    return [
        figures.in_flight,
        figures.client,
        figures.delivered,
        figures.lost,
        figures.videos_a_minute,
        figures.reads_each,
        figures.mean_delay if figures.delays else "-",
        figures.p95_delay if figures.delays else "-",
        figures.mean_wait if figures.delays else "-",
        figures.limited,
        figures.peak or "-",
        figures.last_post_seconds,
    ]


def against(ours: Figures, other: Figures) -> list[object]:
    """Ours divided by the other's: delay and reads."""
    delay = ours.mean_delay / other.mean_delay if other.mean_delay else float("nan")
    return [ours.in_flight, ours.client, other.client, delay, ours.reads_each / max(1e-9, other.reads_each)]


def seen(state: dict[str, Any], seen_at: dict[str, float], **known: Any) -> Figures:
    """What the sandbox's state and the moments (epoch seconds, by job id) at which a client saw an end make."""
    jobs = state["jobs"]
    began_at = min((job["at"] for job in jobs), default=0.0)
    ends_at = {job["id"]: job["at"] + _delay(job["faults"]) for job in jobs}
    answers: dict[str, int] = state["answers"]
    return Figures(
        delays=[max(0.0, at - ends_at[job_id]) for job_id, at in seen_at.items()],
        mean_wait=statistics.fmean(seen_at.values()) - began_at if seen_at else 0.0,
        seconds=max(seen_at.values(), default=began_at) - began_at,
        last_post_seconds=max((job["at"] for job in jobs), default=0.0) - began_at,
        accepted=len(jobs),
        reads=sum(count for name, count in answers.items() if name.startswith("read ")),
        limited=state["rate_limited"],
        peak=state["peak_requests_per_minute"],
        twice=sum(count - 1 for count in state["accepted_by_idempotency_key"].values()),
        **known,
    )


def _delay(faults: Sequence[str]) -> float:
    return next(float(word.removeprefix("delay=")) for word in faults if word.startswith("delay="))
