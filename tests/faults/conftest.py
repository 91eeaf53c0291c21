"""A site with real processes around it."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.utils import timezone

from grokvideo_django import credits, services, transactions
from grokvideo_django.models import CreditAccount, CreditEntry, GatewayState, PlannedFile, VideoRequest
from grokvideo_django.sandbox import Sandbox
from tests.site.models import Article

from ..conftest import RedisServer, make_draft
from ..timing import PATIENCE
from . import books
from .processes import Fleet, Process

Status = VideoRequest.Status
OUTCOMES = pytest.StashKey[list[tuple[str, str]]]()
FAR = timedelta(minutes=90)
"""What is to happen later than that was written by a clock that went wrong, and is for the workers to mend."""
SETTINGS = {
    "POST_TIMEOUT": 8,
    "READ_TIMEOUT": 5,
    "FETCH_SECONDS": 20,
    "REQUESTS_PER_MINUTE": 6000,
}


class Site:
    """What a test sees of the site: its processes, its gateway, its Redis, its rows."""

    def __init__(self, fleet: Fleet, sandbox: Sandbox, redis: RedisServer, editor: User) -> None:
        self.fleet = fleet
        self.sandbox = sandbox
        self.redis = redis
        self.editor = editor

    def draft(self, prompt: str = "A fox crosses a frozen lake", **values: Any) -> VideoRequest:
        """Five credits, to be attached to an article of its own."""
        article = Article.objects.create(title="Foxes")
        return make_draft(self.editor, **{"prompt": prompt, "target": article, "target_field": "hero", **values})

    def start(self, prompt: str = "A fox crosses a frozen lake", **values: Any) -> VideoRequest:
        request = self.draft(prompt, **values)
        services.start(request)
        return request

    def healthy(self) -> Process:
        """One worker and one cron, as the documentation says; returns the worker."""
        self.fleet.cron()
        return self.fleet.worker()

    def wait_for(self, what: str, found: Callable[[], Any], *, seconds: float = PATIENCE, pause: float = 0.05) -> Any:
        """What ``found`` returns as soon as it is true; the test fails with all that is known if it never is."""
        ends_at = time.monotonic() + seconds
        while time.monotonic() < ends_at:
            if value := found():
                return value
            time.sleep(pause)
        pytest.fail(f"{what}: not within {seconds} s.\n{self.report()}", pytrace=False)

    def wait_until(self, request: VideoRequest, *statuses: str) -> VideoRequest:
        """Until it has one of these statuses; reads of the gateway do not wait for their time."""

        def there() -> bool:
            self.hurry()
            request.refresh_from_db()
            return request.status in statuses

        self.wait_for(f"request {request.pk} {'/'.join(statuses)}", there)
        return request

    def wait_until_done(self, request: VideoRequest) -> VideoRequest:
        """Until it is stored and attached."""
        self.wait_until(request, Status.SUCCEEDED)

        def attached() -> bool:
            request.refresh_from_db()
            return request.due_at is None

        self.wait_for(f"request {request.pk} attached", attached)
        return request

    def hurry(self) -> None:
        """What waits for its next read or its next try waits no longer. Leases stay, and so does what is far off."""
        soon, far = timezone.now() + timedelta(seconds=1), timezone.now() + FAR
        waiting = VideoRequest.objects.filter(lease_token=None, due_at__gt=soon, due_at__lt=far)
        waiting = waiting.filter(status__in=[Status.SUBMITTED, Status.RENDERED, Status.SUCCEEDED])
        transactions.update(waiting, due_at=timezone.now())

    def probe_soon(self) -> None:
        """A paused site tries again now, not after its 15 s or more."""
        GatewayState.objects.filter(probe_at__gt=timezone.now()).update(probe_at=timezone.now())

    def ring_again_soon(self) -> None:
        """A queued row whose doorbell was lost is rung for again now, not after its 15 s."""
        queued = VideoRequest.objects.filter(status=Status.QUEUED, lease_token=None, due_at__lt=timezone.now() + FAR)
        transactions.update(queued, due_at=timezone.now())

    def let_leases_run_out(self) -> None:
        """As if all workers had been silent for long: every lease is over, everything that waits is due."""
        past = timezone.now() - timedelta(seconds=1)
        transactions.update(VideoRequest.objects.filter(due_at__isnull=False), due_at=past)
        PlannedFile.objects.update(expires_at=past)
        GatewayState.objects.filter(tick_lease_until__isnull=False).update(tick_lease_until=past)

    def let_dead_submissions_run_out(self) -> None:
        """As ``let_leases_run_out``, for leases that no living horse can have."""
        if not self.busy():
            past = timezone.now() - timedelta(seconds=1)
            leased = VideoRequest.objects.filter(lease_token__isnull=False, due_at__lt=timezone.now() + FAR)
            transactions.update(leased, due_at=past)

    def assert_settled(self) -> None:
        """Books agree; no plan, no file and no lease is left behind. A healthy worker and a cron must be running."""

        def swept() -> bool:
            if not self.busy():  # nobody comes back to what is planned
                PlannedFile.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
            return not PlannedFile.objects.exists() and not books.stray_files()

        self.wait_for("the sweep", swept)
        self.wait_for("leases given back", lambda: not books.leases(), pause=0.01)
        try:
            books.assert_books_agree()
            books.assert_nothing_left()
        except AssertionError as error:
            pytest.fail(f"{error}\n{self.report()}")
        assert self.sandbox.leaked_keys == 0

    def assert_account(self, *, posted: int, held: int) -> None:
        account = CreditAccount.objects.for_user(self.editor)
        assert (account.posted, account.held) == (posted, held)

    def assert_attached(self, request: VideoRequest) -> None:
        article = Article.objects.get(pk=request.target_object_id)
        with article.hero.open("rb") as copy, request.video.open("rb") as video:
            assert copy.read() == video.read()

    def posts(self, request: VideoRequest) -> int:
        """How many paid POSTs of this request the gateway accepted."""
        return sum(accepted.idempotency_key == request.key for accepted in self.sandbox.accepted)

    def now(self) -> datetime:
        """By a clock that is right."""
        return timezone.now()

    def busy(self) -> bool:
        """Whether a job is running."""
        return any(process.horses() for process in self.fleet.processes)

    def ticks(self) -> int:
        """How many ticks have begun so far."""
        return GatewayState.objects.current().tick_token

    def report(self) -> str:
        """Everything that helps to understand a failure."""
        lines = [f"{timezone.now()}"]
        for row in VideoRequest.objects.order_by("pk"):
            lines.append(
                f"request {row.pk} {row.status} due={row.due_at} lease={row.lease_token} job={row.gateway_job_id} "
                f"gateway={row.gateway_status!r} posts={self.posts(row)} error={row.error_message!r}"
            )
            lines += [f"    {event.at:%H:%M:%S.%f} {event.kind}: {event.message}" for event in row.events.all()]
        lines += [f"{entry.kind} {entry} {entry.request_key}" for entry in CreditEntry.objects.order_by("pk")]
        lines += [f"planned {plan.place} {plan.name} {plan.lease_token}" for plan in PlannedFile.objects.all()]
        lines += [f"tick {state.tick_token} until {state.tick_lease_until}" for state in GatewayState.objects.all()]
        lines += [f"stray {name}" for name in books.stray_files()]
        lines += [f"sandbox {dict(self.sandbox.answers)}", self.fleet.report()]
        return "\n".join(lines)


@pytest.fixture
def rich_editor(transactional_db: None) -> User:
    """A user with 1000 credits."""
    user = get_user_model().objects.create_user("editor")
    credits.grant(user, 1000, reason="for the tests")
    return user


@pytest.fixture
def site(
    rich_editor: User, sandbox: Sandbox, redis_server: RedisServer, settings: Any, tmp_path: Path
) -> Iterator[Site]:
    """A site with an editor of 1000 credits, and no process yet."""
    for folder in books.folders():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    changes = {**sandbox.settings, **SETTINGS}
    settings.GROKVIDEO = {**settings.GROKVIDEO, **changes}
    fleet = Fleet(tmp_path, changes)
    yield Site(fleet, sandbox, redis_server, rich_editor)
    fleet.retire()


@pytest.fixture
def outcome(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Notes what became of a request at a crash point, for the table."""

    def note(point: str, words: str) -> None:
        request.config.stash.setdefault(OUTCOMES, []).append((point, words))

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The table of crash points and outcomes."""
    outcomes = config.stash.get(OUTCOMES, [])
    if not outcomes:
        return
    database = os.environ.get("GROKVIDEO_TEST_DATABASE", "sqlite")
    terminalreporter.section(f"killed at, on {database}")
    for point, words in sorted(outcomes):
        terminalreporter.write_line(f"{point:<28} {words}")
    if path := os.environ.get("GROKVIDEO_FAULT_TABLE"):
        with Path(path).open("a") as table:
            table.writelines(json.dumps([database, point, words]) + "\n" for point, words in outcomes)
