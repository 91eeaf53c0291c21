"""``grokvideo_worker`` with real workers, cron and Redis: nothing stays dead for long, nothing is left behind."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django_rq
import pytest
from django.core.management import CommandError, call_command

from grokvideo_django import worker
from grokvideo_django.management.commands import grokvideo_worker
from grokvideo_django.models import GatewayState

from ..conftest import RedisServer
from .conftest import Command

Start = Callable[..., Command]


def ticks() -> int:
    return GatewayState.objects.current().tick_token


def running(start: Start, *arguments: str, workers: int = 1) -> Command:
    """A supervisor whose workers and cron are at work."""
    command = start("grokvideo_worker", "--workers", str(workers), *arguments)
    command.wait_for("a tick", ticks)
    queue = django_rq.get_queue("default")
    command.wait_for("the workers", lambda: len(django_rq.workers.Worker.all(queue=queue)) >= workers)
    return command


def napping(command: Command, folder: Path, seconds: float) -> None:
    """A job of so many seconds has begun."""
    # A tick would take its turn first; the nap must not wait for the next one.
    django_rq.get_queue("default").enqueue(
        "tests.commands.naps.nap", str(folder), seconds, at_front=True, result_ttl=0, job_timeout=100
    )
    command.wait_for("the nap", (folder / "began").exists)


def test_workers_and_cron_end_with_sigterm(command: Start, redis_server: RedisServer) -> None:
    running_command = running(command, workers=2)
    assert len(running_command.pids("worker 1")) == len(running_command.pids("worker 2")) == 1
    assert len(running_command.alive()) >= 4
    began_at = time.monotonic()
    assert running_command.end() == 0
    assert time.monotonic() - began_at < worker.GRACE_SECONDS
    assert running_command.alive() == []
    assert running_command.text.splitlines()[-1] == "All processes have ended."


@pytest.mark.parametrize("name", ["worker 1", "cron"])
def test_what_is_killed_starts_again(command: Start, redis_server: RedisServer, name: str) -> None:
    running_command = running(command)
    os.kill(running_command.pids(name)[0], signal.SIGKILL)
    running_command.wait_for("the next one", lambda: len(running_command.pids(name)) == 2)
    assert f"{name} was ended by SIGKILL; it starts again in 0.5 s." in running_command.text
    before = ticks()
    running_command.wait_for("another tick", lambda: ticks() > before)
    assert running_command.end() == 0
    assert running_command.alive() == []


def test_the_first_signal_lets_a_job_end(command: Start, redis_server: RedisServer, tmp_path: Path) -> None:
    running_command = running(command)
    napping(running_command, tmp_path, 3)
    assert running_command.end(signal.SIGINT) == 0
    assert (tmp_path / "ended").exists()
    assert running_command.alive() == []


def test_the_second_signal_ends_the_job(command: Start, redis_server: RedisServer, tmp_path: Path) -> None:
    running_command = running(command)
    napping(running_command, tmp_path, 60)
    running_command.process.send_signal(signal.SIGTERM)
    running_command.wait_for("the answer", lambda: "A second signal ends it now." in running_command.text)
    began_at = time.monotonic()
    assert running_command.end() == 0
    assert time.monotonic() - began_at < 55
    assert not (tmp_path / "ended").exists()
    assert running_command.alive() == []


def test_the_end_of_the_grace_ends_the_job(command: Start, redis_server: RedisServer, tmp_path: Path) -> None:
    running_command = running(command, "--grace", "2")
    napping(running_command, tmp_path, 60)
    began_at = time.monotonic()
    assert running_command.end() == 0
    assert 2 <= time.monotonic() - began_at < 55
    assert not (tmp_path / "ended").exists()
    assert running_command.alive() == []


def test_a_killed_supervisor_leaves_no_orphans(command: Start, redis_server: RedisServer) -> None:
    running_command = running(command, workers=2)
    running_command.end(signal.SIGKILL)
    running_command.wait_for("the end of all", lambda: not running_command.alive())


def test_a_killed_supervisor_lets_a_job_end(command: Start, redis_server: RedisServer, tmp_path: Path) -> None:
    running_command = running(command)
    napping(running_command, tmp_path, 3)
    running_command.end(signal.SIGKILL)
    running_command.wait_for("the end of all", lambda: not running_command.alive())
    assert (tmp_path / "ended").exists()


def test_it_waits_for_redis_and_says_so_once(command: Start, redis_server: RedisServer) -> None:
    redis_server.stop()
    running_command = command("grokvideo_worker")
    running_command.wait_for("the complaint", lambda: "Redis cannot be reached" in running_command.text)
    time.sleep(3 * worker.PING_SECONDS)
    assert running_command.text.count("Redis cannot be reached") == 1
    assert running_command.pids("cron") == []
    redis_server.start()
    running_command.wait_for("a tick", ticks)
    assert running_command.end() == 0
    assert running_command.alive() == []


def test_it_outlives_a_redis_that_restarts(command: Start, redis_server: RedisServer) -> None:
    running_command = running(command)
    redis_server.stop()
    running_command.wait_for("the complaint", lambda: "Redis cannot be reached" in running_command.text)
    before = ticks()
    redis_server.start()
    running_command.wait_for("another tick", lambda: ticks() > before)
    assert running_command.end() == 0
    assert running_command.alive() == []


def test_it_ends_while_redis_is_down(command: Start, redis_server: RedisServer) -> None:
    running_command = running(command)
    redis_server.stop()
    assert running_command.end() == 0
    assert running_command.alive() == []


@pytest.mark.parametrize("workers", ["0", "-1", "two", "1.5"])
def test_a_number_of_workers_is_a_whole_one_above_zero(workers: str) -> None:
    with pytest.raises(CommandError, match="whole number above zero"):
        call_command("grokvideo_worker", f"--workers={workers}")


def test_one_worker_is_a_number_of_workers() -> None:
    assert grokvideo_worker.positive("1") == 1


class Recorded:
    """Stands in for the supervisor: keeps what it was given."""

    last: dict[str, Any] = {}

    def __init__(self, **given: Any) -> None:
        Recorded.last = given

    def run(self) -> None:
        self.last["say"]("Ran.")


def test_children_get_the_settings_of_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(worker, "Supervisor", Recorded)
    monkeypatch.setenv("PYTHONPATH", "/before")
    call_command("grokvideo_worker", workers=3, grace=5.0, pythonpath="/given")
    assert capsys.readouterr().out == "Ran.\n"
    assert Recorded.last["grace_seconds"] == 5.0
    assert [child.name for child in Recorded.last["children"]] == ["worker 1", "worker 2", "worker 3", "cron"]
    environment = Recorded.last["children"][0]._environment
    assert environment["PYTHONPATH"] == f"/given{os.pathsep}/before"
    assert environment["DJANGO_SETTINGS_MODULE"].endswith("settings")
    monkeypatch.delenv("PYTHONPATH")
    assert "PYTHONPATH" not in grokvideo_worker.Command()._environment(None)


def test_settings_without_a_module_cannot_be_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    class Configured:
        """What ``settings.configure()`` leaves."""

    monkeypatch.setattr(grokvideo_worker, "settings", Configured())
    with pytest.raises(CommandError, match="DJANGO_SETTINGS_MODULE"):
        grokvideo_worker.Command()._environment(None)
