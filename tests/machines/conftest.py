"""Two hosts, and on the bridge between them everything that they share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.utils import timezone

from grokvideo_django.models import PlannedFile, VideoRequest
from grokvideo_django.sandbox import Sandbox
from tests.site.models import Page

from .. import settings as test_settings
from ..conftest import RedisServer, redis_executable, unavailable
from ..faults import books
from ..faults.conftest import Site, rich_editor
from ..faults.processes import Fleet
from ..faults.servers import Postgres
from ..s3.conftest import S3Server, s3
from .network import Host, missing, network, refused

__all__ = ["rich_editor", "s3"]

FOLDER = Path(__file__).parent
SETTINGS = "tests.machines.settings"
GROKVIDEO = {"POST_TIMEOUT": 30, "READ_TIMEOUT": 5, "FETCH_SECONDS": 20, "REQUESTS_PER_MINUTE": 6000}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skipped before any fixture is made, in a run with other settings, and where there are no namespaces at all."""
    words = f"pytest tests/machines --ds={SETTINGS} runs these, as root"
    why = missing() if django_settings.SETTINGS_MODULE == SETTINGS else words
    if why:
        for item in items:
            if FOLDER in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope="session")
def hosts() -> Iterator[dict[str, Host]]:
    if why := refused() or Postgres.missing():
        unavailable(why)
    with network(django_settings.SUBNET, "ab") as made:
        yield made


@pytest.fixture(scope="session")
def django_db_modify_db_settings(hosts: dict[str, Host]) -> Iterator[None]:
    """One PostgreSQL, on the bridge."""
    server = Postgres.create(django_settings.BRIDGE, port=5432)
    yield
    server.remove()


@pytest.fixture(scope="session")
def redis_session(hosts: dict[str, Host]) -> Iterator[RedisServer]:
    """One Redis, on the bridge."""
    executable = redis_executable()
    if executable is None:
        unavailable("no redis-server on the path")
    server = RedisServer(executable, test_settings.REDIS_URL)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def sandbox_session(hosts: dict[str, Host]) -> Iterator[Sandbox]:
    """The gateway, on the bridge."""
    with Sandbox(host=django_settings.BRIDGE, fast_clips=True, read_interval=0) as running:
        yield running


@pytest.fixture(scope="session")
def s3_session(hosts: dict[str, Host]) -> Iterator[S3Server]:
    """One S3 server, on the bridge."""
    pytest.importorskip("moto.server", reason="pip install -e '.[s3]'")
    server = S3Server(django_settings.S3_ADDRESS)
    server.start()
    server.make_buckets()
    yield server
    server.stop()


class Machines(Site):
    """A site on two hosts."""

    def __init__(self, fleets: dict[str, Fleet], hosts: dict[str, Host], s3: S3Server, *rest: Any) -> None:
        """``rest`` is what a Site takes besides its fleet."""
        super().__init__(fleets["a"], *rest)
        self.fleets = fleets
        self.hosts = hosts
        self.s3 = s3

    def draft(self, prompt: str = "A fox crosses a frozen lake", **values: Any) -> VideoRequest:
        """To be attached to a page of its own, whose files are in the other bucket."""
        return super().draft(prompt, **{"target": Page.objects.create(), "target_field": "clip", **values})

    def works(self, name: str, *, workers: int = 1) -> Fleet:
        """Let a host work."""
        fleet = self.fleets[name]
        fleet.cron()
        for _worker in range(workers):
            fleet.worker()
        return fleet

    def busy(self) -> bool:
        return any(process.horses() for fleet in self.fleets.values() for process in fleet.processes)

    def supervise(self) -> None:
        for fleet in self.fleets.values():
            fleet.supervise()

    def report(self) -> str:
        return "\n".join([super().report(), self.fleets["b"].report(), f"buckets {self.in_buckets()}"])

    def in_buckets(self) -> set[str]:
        return {*self.s3.keys("videos"), *self.s3.keys("site")}

    def in_rows(self) -> set[str]:
        names = {name for pair in VideoRequest.objects.values_list("video", "poster") for name in pair}
        return (names | set(Page.objects.values_list("clip", flat=True))) - {""}

    def assert_settled(self) -> None:
        """Books agree; nothing is planned, no lease is left, and no stray file: in no bucket, on no host."""

        def swept() -> bool:
            self.supervise()
            if not self.busy():
                PlannedFile.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
            return not PlannedFile.objects.exists() and self.in_buckets() == self.in_rows()

        self.wait_for("the sweep", swept)
        self.wait_for("leases given back", lambda: not books.leases(), pause=0.01)
        books.assert_books_agree()
        for name in self.hosts:
            assert list(folder_of(name).iterdir()) == []


def folder_of(name: str) -> Path:
    """A host's own folder for temporary files."""
    return test_settings.SCRATCH / f"tmp-{name}"


@pytest.fixture
def machines(
    hosts: dict[str, Host],
    s3: S3Server,
    rich_editor: User,
    sandbox: Sandbox,
    redis_server: RedisServer,
    settings: Any,
    tmp_path: Path,
) -> Iterator[Machines]:
    """Two hosts that do not work yet."""
    changes = {**sandbox.settings, **GROKVIDEO, "STORAGE": "videos"}
    settings.GROKVIDEO = {**settings.GROKVIDEO, **changes}
    fleets = {name: fleet_on(host, tmp_path / name, changes) for name, host in hosts.items()}
    yield Machines(fleets, hosts, s3, sandbox, redis_server, rich_editor)
    for fleet in fleets.values():
        fleet.retire()
    for host in hosts.values():
        host.reconnect()


def fleet_on(host: Host, folder: Path, changes: dict[str, Any]) -> Fleet:
    folder.mkdir()
    shutil.rmtree(folder_of(host.name), ignore_errors=True)
    folder_of(host.name).mkdir()
    fleet = Fleet(folder, changes)
    fleet.prefix = host.prefix
    fleet.environment = {"DJANGO_SETTINGS_MODULE": SETTINGS, "TMPDIR": str(folder_of(host.name))}
    return fleet
