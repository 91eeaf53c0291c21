"""The jobs: what was accepted, and what becomes of it as the clock goes on.

A job's life is written when it is accepted (when it starts, when it ends, and how); its status is read from the clock.
No timer, no thread, and a thousand jobs cost nothing while nobody asks.
"""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from grokvideo_django.sandbox.faults import Fault, parse
from grokvideo_django.sandbox.orders import Order, read_order

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FILENAME = "video.mp4"
TERMINAL = frozenset({"completed", "failed", "expired", "cancelled", "canceled"})


@dataclass(slots=True, frozen=True)
class Accepted:
    """One accepted POST, as it came. ``headers`` have lower-case names and no key in them; ``at`` is epoch seconds."""

    job_id: str
    at: float
    prompt: str
    payload: dict[str, Any]
    headers: dict[str, str]

    @property
    def idempotency_key(self) -> str:
        """The Idempotency-Key, or nothing."""
        return self.headers.get("idempotency-key", "")

    @property
    def tag(self) -> str:
        """The ``x-aig-tag``, or nothing."""
        return self.headers.get("x-aig-tag", "")


@dataclass(slots=True)
class Job:
    """A job and its fate. Times are epoch seconds; ``ends_at`` None means never."""

    id: str
    order: Order
    accepted: Accepted
    starts_at: float
    ends_at: float | None
    outcome: str = "completed"
    error_code: str = ""
    charged_mills: int = 0
    """Tenths of a cent."""
    faults: list[Fault] = field(default_factory=list)
    cancelled_at: float | None = None
    reads: int = 0
    """Reads of any kind, those answered with 304 or an error too."""
    last_answered: float | None = None
    """When a read last got a snapshot: another within the gateway's 3 s gets a 304."""

    def status(self, now: float) -> str:
        """``queued``, ``processing``, or how it ended."""
        if self.cancelled_at is not None:
            return "cancelled"
        if self.ends_at is not None and now >= self.ends_at:
            return self.outcome
        return "processing" if now >= self.starts_at else "queued"

    def record(self) -> dict[str, Any]:
        """What a restarted sandbox needs, as JSON."""
        return {
            "id": self.id,
            "at": self.accepted.at,
            "payload": self.accepted.payload,
            "headers": self.accepted.headers,
            "starts_at": self.starts_at,
            "ends_at": self.ends_at,
            "outcome": self.outcome,
            "error_code": self.error_code,
            "charged_mills": self.charged_mills,
            "faults": [str(fault) for fault in self.faults],
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Job:
        """The job of a :meth:`record`."""
        order = read_order(record["payload"])
        return cls(
            id=record["id"],
            order=order,
            accepted=Accepted(record["id"], record["at"], order.prompt, record["payload"], record["headers"]),
            starts_at=record["starts_at"],
            ends_at=record["ends_at"],
            outcome=record["outcome"],
            error_code=record["error_code"],
            charged_mills=record["charged_mills"],
            faults=[parse(text) for text in record["faults"]],
        )


class JobStore:
    """All jobs by id, in the order of their POSTs; with *path*, kept in a file of JSON lines and read back from it."""

    def __init__(self, path: Path | None = None) -> None:
        """Read *path*, if it exists. A line that was cut by a crash is ignored."""
        self.lock = threading.Lock()
        self._jobs: dict[str, Job] = {}
        self._by_key: dict[str, Job] = {}
        self._path = path
        if path is not None and path.exists():
            text = path.read_text(encoding="utf-8")
            for line in text.split("\n"):
                with suppress(ValueError):
                    self._replay(json.loads(line))
            if not text.endswith("\n"):  # cut: what is written next begins a line of its own
                with path.open("a", encoding="utf-8") as lines:
                    lines.write("\n")

    def add(self, job: Job, *, once: bool = False) -> Job:
        """Keep *job* and return it; with *once*, the job that already has its Idempotency-Key, if one does."""
        with self.lock:
            if once and job.accepted.idempotency_key in self._by_key:
                return self._by_key[job.accepted.idempotency_key]
            self._remember(job)
            self._write(job.record())
            return job

    def get(self, job_id: str) -> Job | None:
        """The job with this id."""
        return self._jobs.get(job_id)

    def by_key(self, idempotency_key: str) -> Job | None:
        """The first job that was accepted with this Idempotency-Key."""
        return self._by_key.get(idempotency_key)

    def all(self) -> list[Job]:
        """Every job, oldest first."""
        with self.lock:
            return list(self._jobs.values())

    def cancel(self, job: Job, now: float, *, processing: bool = False) -> bool:
        """Cancel *job* if it is queued (or in *processing*, where that is allowed too); whether it was."""
        with self.lock:
            allowed = {"queued", "processing"} if processing else {"queued"}
            if job.status(now) not in allowed:
                return False
            self._change(job, cancelled_at=now)
            return True

    def finish(self, jobs: Iterable[Job], now: float) -> None:
        """End those of *jobs* that are pending, now, in the way that they would have ended."""
        with self.lock:
            for job in jobs:
                if job.status(now) not in TERMINAL:
                    self._change(job, starts_at=min(job.starts_at, now), ends_at=now)

    def clear(self) -> None:
        """Forget every job, in the file too."""
        with self.lock:
            self._jobs.clear()
            self._by_key.clear()
            if self._path is not None:
                self._path.unlink(missing_ok=True)

    def _remember(self, job: Job) -> None:
        self._jobs[job.id] = job
        if job.accepted.idempotency_key:
            self._by_key.setdefault(job.accepted.idempotency_key, job)

    def _replay(self, record: dict[str, Any]) -> None:
        if "payload" in record:
            self._remember(Job.from_record(record))
        else:
            job = self._jobs[record.pop("id")]
            for name, value in record.items():
                setattr(job, name, value)

    def _change(self, job: Job, **values: float) -> None:
        for name, value in values.items():
            setattr(job, name, value)
        self._write({"id": job.id, **values})

    def _write(self, record: dict[str, Any]) -> None:
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(record) + "\n")
