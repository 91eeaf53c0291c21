"""How much memory a download takes, by its size: the whole fetch of one request, in a process of its own as in RQ.

The large files begin like an mp4 and go on with zeros: they are streamed, hashed and written to the end, and only then
found to be no video.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence

from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from grokvideo_django import jobs, preload, services
from grokvideo_django.models import VideoRequest

from .stage import machine, rich_user, stage, table
from .throughput import peak

HEAD = ["file", "ends as", "MB before", "MB at most", "MB more", "of the first's peak", "MB a second"]


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


def made(owner: User, prompt: str) -> VideoRequest:
    """A request that the gateway has accepted."""
    request = VideoRequest.objects.create(owner=owner, prompt=prompt, duration_seconds=1)
    services.start(request)
    jobs.submit(request.pk)
    return request


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="download_memory")
    parser.add_argument("--megabytes", type=int, nargs="+", default=[1, 30, 300])
    options = parser.parse_args(arguments)
    with stage(MAX_BYTES=2**31):
        preload.for_worker(["manage.py", "rqworker"])
        files = [("a clip of 1 s", 0.0, "A fox")]
        files += [
            (f"{size} MB", float(size), f"A fox [sandbox:media-big={size}]") for size in sorted(options.megabytes)
        ]
        owner = rich_user()
        rows = [made(owner, prompt) for _name, _size, prompt in files]
        VideoRequest.objects.update(due_at=timezone.now())
        jobs.tick(0)
        lines: list[list[object]] = []
        first_peak = 0.0
        for (name, size, _prompt), row in zip(files, rows, strict=True):
            before, most, seconds = fetched(row.pk)
            kind = row.events.order_by("pk").values_list("kind", flat=True).last()
            if size and kind != "media_refused":
                sys.exit(f"{name}: {kind}, {VideoRequest.objects.get(pk=row.pk).error_message}")
            first_peak = first_peak or most
            speed = size / seconds if size else "-"
            lines.append([name, kind, before, most, most - before, f"{most / first_peak:.2f}", speed])
        print(f"Peak memory of one download. {machine()}.\n")
        table(HEAD, lines)
