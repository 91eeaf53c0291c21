"""The real thing in the polling benchmark: ``services.start``, stock ``rqworker`` and ``rqcron``, a scratch database.

On a new site nothing is known of how long videos take. A site with a history has some hundred ended requests, whose
times are from the true distribution, but known only as a poller knows them: between its last two reads.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from django.contrib.auth.models import User
from django.utils import timezone

from grokvideo_django import conf, services
from grokvideo_django.models import VideoRequest

from ..faults.processes import Fleet
from .peers import Seen, Told
from .stage import worker_settings
from .videos import DURATION_SECONDS, Times

Status = VideoRequest.Status
HISTORY = 300
HISTORY_DAYS = 7
READ_EVERY_SECONDS = 5.0
"""How often those of the history were read."""
BEAT_SECONDS = 1.0
PATIENCE_SECONDS = 600
"""After the last video is complete at the gateway: then it counts as lost."""


def waited_for(prompts: Sequence[str], told: Told, *, owner: User, workers: int, longest_seconds: float) -> Seen:
    """Start all requests, then the processes; by job id, when each was ``rendered``."""
    for prompt in prompts:
        request = VideoRequest.objects.create(
            owner=owner, prompt=prompt, duration_seconds=DURATION_SECONDS, resolution="480p"
        )
        services.start(request)
    with tempfile.TemporaryDirectory() as logs:
        fleet = Fleet(Path(logs), worker_settings())
        try:
            for _worker in range(workers):
                fleet.worker()
            fleet.cron()
            _wait(fleet, len(prompts), told, longest_seconds)
        finally:
            fleet.retire()
    ended = VideoRequest.objects.filter(status=Status.SUCCEEDED, prompt__in=prompts)
    return {str(job): at.timestamp() for job, at in ended.values_list("gateway_job_id", "rendered_at") if at}


def _wait(fleet: Fleet, count: int, told: Told, longest_seconds: float) -> None:
    """Until all are delivered, or time is up. A process that has ended is a defect of the benchmark."""
    running = VideoRequest.objects.exclude(status__in=VideoRequest.ENDED)
    ends_at = None
    while (left := running.count()) and (ends_at is None or time.monotonic() < ends_at):
        if ends_at is None and not running.filter(submitted_at=None).exists():
            ends_at = time.monotonic() + longest_seconds + PATIENCE_SECONDS
        for process in fleet.processes:
            if not process.is_alive:
                sys.exit(f"{process.name} has ended.\n{process.tail()}")
        told(count - left)
        time.sleep(BEAT_SECONDS)


def remember(owner: User, times: Times, seed: str, count: int = HISTORY) -> None:
    """Ended requests of the last days."""
    chance = random.Random(f"history {seed}")
    now = timezone.now()
    rows = []
    for took in times.draw(count, f"history {seed}"):
        submitted_at = now - timedelta(days=HISTORY_DAYS * chance.uniform(0.01, 1))
        last_read, found = _reads_around(took, chance.uniform(0, READ_EVERY_SECONDS))
        rendered_at = submitted_at + timedelta(seconds=found)
        rows.append(
            VideoRequest(
                owner=owner,
                owner_name="editor",
                prompt="A fox of last week",
                model=conf.current().MODEL,
                duration_seconds=DURATION_SECONDS,
                resolution="480p",
                status=Status.SUCCEEDED,
                created_at=submitted_at,
                queued_at=submitted_at,
                submitted_at=submitted_at,
                last_read_at=last_read and submitted_at + timedelta(seconds=last_read),
                rendered_at=rendered_at,
                finished_at=rendered_at,
            )
        )
    VideoRequest.objects.bulk_create(rows, batch_size=100)


def _reads_around(took: float, first: float) -> tuple[float | None, float]:
    """The last read before the completion, if there was one, and the first after it; both in seconds of age."""
    before = (took - first) // READ_EVERY_SECONDS
    if before < 0:
        return None, first
    last = first + before * READ_EVERY_SECONDS
    return last, last + READ_EVERY_SECONDS
