"""How much memory a download takes, by its size and by what is wrong with it.

The whole fetch of one request each, in a process of its own as in RQ. The large files begin like an mp4 and go on with
zeros: they are streamed, hashed and written to the end, and only then found to be no video.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from grokvideo_django import jobs, preload, services
from grokvideo_django.models import VideoRequest

from .stage import machine, rich_user, stage, table
from .throughput import peak

HEAD = ["file", "ends as", "MB before", "MB at most", "MB more", "of the first's peak", "MB a second"]


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """What the gateway serves, told by a word of the sandbox, and the event with which its fetch must end."""

    name: str
    word: str = ""
    ends_as: str = "media_refused"
    megabytes: int = 0

    @property
    def prompt(self) -> str:
        return f"A fox [sandbox:{self.word}]" if self.word else "A fox"


HOSTILE = (
    File(name="a page of HTML as video/mp4", word="media-html"),
    File(name="an SVG with a script as video/mp4", word="media-svg"),
    File(name="nothing", word="media-empty"),
    File(name="half an mp4, as if that were all", word="media-truncated-mp4"),
    File(name="100 MB of zeros, gzipped twice", word="media-gzip=100"),
    File(name="endless, to MAX_BYTES", word="media-endless"),
    File(name="a promise of 600 MB", word="media-big=600"),
    File(name="a redirect to itself", word="media-redirect"),
    File(name="less than was promised", word="media-cut", ends_as="fetch_failed"),
    File(name="no answer", word="media-lost", ends_as="fetch_failed"),
)
SLOW = (
    File(name="a byte a second", word="media-drip", ends_as="fetch_failed"),
    File(name="silence", word="media-stall=60", ends_as="fetch_failed"),
)
"""What never ends by itself."""


def fetched(pk: int) -> tuple[float, float, float]:
    """MB before and at most, and seconds, of a fork that fetches this row."""
    connection.close()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        before, began_at = peak(os.getpid()), time.perf_counter()
        try:
            jobs.fetch(pk)
            seconds = time.perf_counter() - began_at
            os.write(writing, f"{before} {peak(os.getpid())} {seconds}".encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    if not text:
        sys.exit(f"The download of request {pk} broke.")
    before, most, seconds = (float(part) for part in text.split())
    return before, most, seconds


def rendered(owner: User, files: Sequence[File]) -> list[VideoRequest]:
    """A request for each file, made at the gateway and not fetched yet."""
    rows = [VideoRequest.objects.create(owner=owner, prompt=file.prompt, duration_seconds=1) for file in files]
    for row in rows:
        services.start(row)
        jobs.submit(row.pk)
    VideoRequest.objects.filter(due_at__isnull=False).update(due_at=timezone.now())
    jobs.tick(0)
    return rows


def measured(files: Sequence[File], owner: User, *, first_peak: float = 0.0) -> list[list[object]]:
    """A line for each file. Raises SystemExit where a fetch does not end as it must."""
    lines: list[list[object]] = []
    for file, row in zip(files, rendered(owner, files), strict=True):
        before, most, seconds = fetched(row.pk)
        kind = row.events.order_by("pk").values_list("kind", flat=True).last()
        if kind != file.ends_as:
            sys.exit(f"{file.name}: {kind}, {VideoRequest.objects.get(pk=row.pk).error_message}")
        first_peak = first_peak or most
        speed = file.megabytes / seconds if file.megabytes else "-"
        lines.append([file.name, kind, before, most, most - before, f"{most / first_peak:.2f}", speed])
    return lines


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="download_memory")
    parser.add_argument("--megabytes", type=int, nargs="+", default=[1, 30, 300])
    parser.add_argument("--patience", type=float, default=4, help="FETCH_SECONDS, for what never ends")
    options = parser.parse_args(arguments)
    sizes = [File(name=f"{size} MB", word=f"media-big={size}", megabytes=size) for size in sorted(options.megabytes)]
    with stage(MAX_BYTES=2**31):
        preload.for_worker(["manage.py", "rqworker"])
        owner = rich_user()
        by_size = measured([File(name="a clip of 1 s", ends_as="succeeded"), *sizes], owner)
        first_peak = float(by_size[0][3])
        site = {name: value for name, value in django_settings.GROKVIDEO.items() if name != "MAX_BYTES"}
        django_settings.GROKVIDEO = site  # with the default of it
        hostile = measured(HOSTILE, owner, first_peak=first_peak)
        django_settings.GROKVIDEO = {**site, "FETCH_SECONDS": options.patience}
        hostile += measured(SLOW, owner, first_peak=first_peak)
        print(f"Peak memory of one download. {machine()}.\n")
        table(HEAD, by_size)
        print(f"\n{len(hostile)} hostile bodies, none of them stored:\n")
        table(HEAD[:-1], [line[:-1] for line in hostile])
