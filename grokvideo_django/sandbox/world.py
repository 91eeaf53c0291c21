"""Everything that the endpoints share: options, clock, jobs, faults, limits, wallet, clips, counters."""

from __future__ import annotations

import hashlib
import hmac
import math
import random
import secrets
import threading
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from grokvideo_django.sandbox.clips import Clip, Studio
from grokvideo_django.sandbox.jobs import FILENAME, Job, JobStore
from grokvideo_django.sandbox.limits import RateLimit
from grokvideo_django.sandbox.script import Script
from grokvideo_django.sandbox.wire import Hangup

if TYPE_CHECKING:
    from grokvideo_django.sandbox.clock import Clock
    from grokvideo_django.sandbox.faults import Fault, Kind

QUEUED_SHARE = 0.3
"""The part of a job's latency that it spends queued."""


@dataclass(slots=True)
class Options:
    """What can be chosen, also while the sandbox runs. Durations are in seconds."""

    key: str | None = None
    """The only key that is valid; None: any that begins with ``sk-aig-``."""
    latency: tuple[float, float] = (0.0, 0.0)
    """Median and sigma of the log-normal time from a POST to its completion. Median 0: completed at the first read."""
    requests_per_minute: int = 0
    """Per key over any sliding 60 s; 0: no limit. The gateway's: 10 on a free key, 600 on a paid one."""
    read_interval: float = 3.0
    """A job that is read again within this time answers 304; 0: never."""
    link_seconds: float = 24 * 3600
    """How long a result URL works. Reading the job again makes a new one."""
    file_seconds: float = 7 * 24 * 3600
    """When the file is deleted, counted from the job's end."""
    idempotent: bool = False
    """Whether a known Idempotency-Key answers with the first job. Nobody knows what the gateway does; so False."""
    wallet_cents: float | None = None
    """What is in the wallet; None: endless."""
    key_revoked: bool = False
    """Every key answers 401."""


class World:
    """The shared state. Each part guards itself; no lock is held while something renders, waits or is sent."""

    def __init__(
        self, options: Options, jobs: JobStore, studio: Studio, clock: Clock, *, seed: int | None = None
    ) -> None:
        """Take the parts."""
        self.options = options
        self._first_options = asdict(options)
        self.jobs = jobs
        self.studio = studio
        self.clock = clock
        self.script = Script()
        self.limit = RateLimit(clock)
        self.answers: Counter[str] = Counter()
        """How often what was answered: ``"create 202"``, ``"read 304"``, ``"media hangup"``."""
        self.leaked_keys = 0
        """Media requests that carried a key, in a header or in the URL."""
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._spent_mills = 0
        self._random = random.Random(seed)  # noqa: S311 - latencies, not secrets
        self._secret = b"grokvideo sandbox"  # constant, so that links outlive a restart

    # -- time

    def wait(self, seconds: float) -> None:
        """Let real time pass; a stop of the sandbox ends the wait and the connection."""
        if self.stopping.wait(seconds):
            raise Hangup

    def pause(self, faults: list[Fault], name: str) -> None:
        """Wait as long as the faults called *name* say."""
        for fault in faults:
            if fault.name == name:
                self.wait(fault.number)

    def latency(self) -> float:
        """Seconds from the POST to the end of one job."""
        median, sigma = self.options.latency
        with self._lock:
            return median * self._random.lognormvariate(0, sigma)

    # -- counters

    def count(self, what: str, counts: Counter[str]) -> None:
        """One more answer of this kind. ``counts`` are those of when it was asked for: a reset begins new ones."""
        with self._lock:
            counts[what] += 1

    def leak(self) -> None:
        """A key has gone where no key belongs."""
        with self._lock:
            self.leaked_keys += 1

    def reset(self) -> None:
        """Back to the beginning: no jobs, behaviours or counts, the first options, and the system's time."""
        self.jobs.clear()
        self.script.clear()
        self.limit.clear()
        self.clock.reset()
        with self._lock:
            self.answers = Counter()
            self.leaked_keys = 0
            self._spent_mills = 0
            for name, value in self._first_options.items():
                setattr(self.options, name, value)

    # -- the wallet

    def charge(self, mills: int) -> bool:
        """Take *mills* (tenths of a cent) from the wallet, if they are there."""
        with self._lock:
            cents = self.options.wallet_cents
            if cents is not None:
                if round(cents * 10) < mills:
                    return False
                self.options.wallet_cents = (round(cents * 10) - mills) / 10
            self._spent_mills += mills
            return True

    def refund(self, mills: int) -> None:
        """Give *mills* back."""
        with self._lock:
            if self.options.wallet_cents is not None:
                self.options.wallet_cents = (round(self.options.wallet_cents * 10) + mills) / 10
            self._spent_mills -= mills

    def wallet(self) -> tuple[int | None, int]:
        """What is left (None: endless) and what was spent, in tenths of a cent."""
        with self._lock:
            cents = self.options.wallet_cents
            return (None if cents is None else round(cents * 10)), self._spent_mills

    # -- jobs and their files

    def new_job_id(self) -> str:
        """An id that no other job has."""
        return f"job_{secrets.token_hex(12)}"

    def about(self, job: Job) -> str:
        """What a fault's ``match`` is sought in."""
        return f"{job.id} {job.order.prompt}"

    def take(self, kind: Kind, job: Job) -> list[Fault]:
        """The faults of *kind* that strike this request for *job*."""
        return self.script.take(kind, self.about(job), job.faults)

    def clip(self, job: Job) -> Clip:
        """What the file of *job* shows."""
        words = {fault.name: fault for fault in job.faults}
        lasts = words["clip-duration"].number if "clip-duration" in words else job.order.duration
        width, height = job.order.size
        return Clip(job.order.prompt, lasts, width, height, job.order.image, sound="silent" not in words)

    def media_url(self, host: str, job: Job, seconds: float, *, signed: bool = False) -> str:
        """A link to the file of *job* that works for *seconds*. A *signed* one survives ``media-unsigned``."""
        expires = math.ceil(self.clock.now() + seconds)
        how = "s" if signed else "p"
        token = self.token(job.id, expires, how)
        return f"http://{host}/media/{quote(job.id)}/{FILENAME}?exp={expires}&k={how}&token={token}"

    def token(self, job_id: str, expires: int, how: str) -> str:
        """The signature of a link."""
        text = f"{job_id}/{FILENAME}?{expires}&{how}".encode()
        return hmac.new(self._secret, text, hashlib.sha256).hexdigest()[:32]
