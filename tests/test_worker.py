"""The supervisor, with real children that are no Django: what it starts, starts again, and ends."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from grokvideo_django import processes, worker
from grokvideo_django.worker import Child, Program, Supervisor

from .timing import wait_for

# The test's script is a second thread; the supervisor itself has one.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

NAP = "import time; time.sleep(60)"
STUBBORN = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[1]).touch()
time.sleep(60)
"""
LIKE_RQ = """
import pathlib, signal, sys, time
def warm(number, frame): signal.signal(signal.SIGTERM, signal.SIG_DFL)
signal.signal(signal.SIGTERM, warm)
pathlib.Path(sys.argv[1]).touch()
time.sleep(60)
"""
"""The first SIGTERM is heard, the second one ends it."""
FAMILY = """
import os, pathlib, sys, time
if os.fork():
    time.sleep(60)
os.setpgrp()
time.sleep(3)
pathlib.Path(sys.argv[1]).touch()
"""
"""As RQ does: a child that leaves the process group, and takes its time."""
PATIENT = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
horse = os.fork()
if not horse:
    time.sleep(3)
    os._exit(0)
os.waitpid(horse, 0)
time.sleep(60)
"""
"""Waits for the process that runs its job, as RQ does, and then does not end."""


def python(code: str, *arguments: str, name: str = "child") -> Child:
    return Child(Program(name=name, command=[sys.executable, "-c", code, *arguments]), environment=dict(os.environ))


class Run:
    """A supervisor in this thread, and a script for it in another: each step waits for words, then acts."""

    def __init__(self, children: Sequence[Child], *, grace_seconds: float = 10) -> None:
        self.words: list[str] = []
        self.trouble: str | None = None
        self.runs = True
        self.broken: BaseException | None = None
        self.children = children
        self.supervisor = Supervisor(
            children=children, say=self.words.append, trouble=lambda: self.trouble, grace_seconds=grace_seconds
        )

    def play(self, *steps: tuple[str, Callable[[], object]]) -> list[str]:
        """Run until it ends; every step acts once a line with its words has come."""
        thread = threading.Thread(target=self._act, args=[steps])
        thread.start()
        self.supervisor.run()
        self.runs = False
        thread.join()
        if self.broken is not None:
            raise self.broken
        return self.words

    def _act(self, steps: Sequence[tuple[str, Callable[[], object]]]) -> None:
        seen = 0
        try:
            for words, act in steps:
                wait_for(lambda words=words, seen=seen: any(words in line for line in self.words[seen:]))
                seen = len(self.words)
                act()
        except BaseException as error:
            self.broken = error
            if self.runs:  # and nobody else would end it
                stop()

    @property
    def pid(self) -> int:
        pid = self.children[0].pid
        assert pid is not None, self.words  # 0 would mean this process and its family
        return pid


def stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def is_gone(pid: int) -> bool:
    return not processes.members(pid)


def test_children_run_until_a_signal_and_the_handlers_are_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    run = Run([python(NAP, name="one"), python(NAP, name="two")])
    pids: list[int] = []

    def act() -> None:
        pids.extend(child.pid or 0 for child in run.children)
        stop()

    words = run.play(("two runs", act))
    assert words[:2] == [f"one runs as process {pids[0]}.", f"two runs as process {pids[1]}."]
    assert set(words[2:-1]) <= {"What runs may end, for 10 s at most. A second signal ends it now."}  # if it takes time
    assert words[-1] == "All processes have ended."
    assert all(map(is_gone, pids))
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_sigint_ends_it_too_and_children_in_sessions_of_their_own_do_not_hear_it() -> None:
    run = Run([python(NAP)])
    run.play(("runs", lambda: os.kill(os.getpid(), signal.SIGINT)))
    assert run.words[-1] == "All processes have ended."


def test_a_killed_child_starts_again() -> None:
    run = Run([python(NAP)])
    words = run.play(("runs", lambda: os.kill(run.pid, signal.SIGKILL)), ("runs", stop))
    assert words[1] == "child was ended by SIGKILL; it starts again in 0.5 s."
    assert words[2] != words[0]


def test_the_pause_grows_and_is_short_again_after_a_long_run(monkeypatch: pytest.MonkeyPatch) -> None:
    child = python("raise SystemExit(3)")
    now, pauses = 0.0, []
    for _death in range(8):
        assert not child.start(now - 0.01)
        assert child.start(now)
        assert not child.start(now)
        while (words := child.ended(now)) is None:
            time.sleep(0.01)
        assert words.startswith("ended with code 3; it starts again in ")
        pauses.append(float(words.split()[-2]))
        now += pauses[-1]
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30]
    child.start(now)
    assert child.ended(now) is None
    while (words := child.ended(now + worker.HEALTHY_SECONDS)) is None:
        time.sleep(0.01)
    assert words.endswith("again in 0.5 s")
    assert child.ended(now) is None
    child.insist()  # nobody is there


def test_what_ignores_the_signal_is_killed_after_the_grace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(worker, "KILL_SECONDS", 0.5)
    ready = tmp_path / "ready"
    run = Run([python(STUBBORN, str(ready))], grace_seconds=0)
    pids: list[int] = []

    def act() -> None:
        wait_for(ready.exists)
        pids.append(run.pid)
        stop()

    began_at = time.monotonic()
    assert run.play(("runs", act))[-1] == "All processes have ended."
    assert is_gone(pids[0])
    assert time.monotonic() - began_at > worker.COLD_SECONDS


def test_what_hears_the_second_signal_is_not_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    killed: list[int] = []
    monkeypatch.setattr(processes, "kill", killed.append)
    ready = tmp_path / "ready"
    run = Run([python(LIKE_RQ, str(ready))], grace_seconds=0)

    def act() -> None:
        wait_for(ready.exists)
        stop()

    assert run.play(("runs", act))[-1] == "All processes have ended."
    assert killed == []


def test_a_second_signal_does_not_wait_for_the_grace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(worker, "KILL_SECONDS", 0.5)
    ready = tmp_path / "ready"
    run = Run([python(STUBBORN, str(ready))], grace_seconds=60)

    def act() -> None:
        wait_for(ready.exists)
        stop()

    began_at = time.monotonic()
    run.play(("runs", act), ("What runs may end", stop))
    assert time.monotonic() - began_at < 50


def test_a_child_of_a_killed_child_may_finish_and_is_waited_for(tmp_path: Path) -> None:
    done = tmp_path / "done"
    program = Program(name="child", command=[sys.executable, "-c", FAMILY, str(done)])
    run = Run([Child(program, environment=dict(os.environ))])

    def act() -> None:
        wait_for(lambda: len(processes.members(run.pid)) == 2)
        os.kill(run.pid, signal.SIGKILL)

    run.play(("runs", act), ("was ended by SIGKILL", stop))
    assert done.exists()


def test_without_redis_nothing_starts_and_it_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "PING_SECONDS", 0.2)
    run = Run([python(NAP)])
    run.trouble = "refused"

    def act() -> None:
        time.sleep(1)
        assert run.children[0].pid is None
        run.trouble = None

    words = run.play(("cannot be reached", act), ("runs", stop))
    assert words[:2] == [
        "Redis cannot be reached (refused). Nothing is lost: work goes on when it answers.",
        "Redis answers.",
    ]
    assert sum("Redis" in word for word in words) == 2


def test_it_ends_before_anything_has_started() -> None:
    run = Run([python(NAP)])
    run.trouble = "refused"
    assert run.play(("cannot be reached", stop))[1:] == ["All processes have ended."]


def test_children_are_renewed_when_redis_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "PING_SECONDS", 0.2)
    run = Run([python(NAP)])
    words = run.play(
        ("runs", lambda: setattr(run, "trouble", "refused")),
        ("cannot be reached", lambda: setattr(run, "trouble", None)),
        ("Redis answers", lambda: None),
        ("runs", stop),
    )
    assert "child was ended by SIGTERM, as asked." in words


def test_what_does_not_end_when_redis_is_back_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(worker, "PING_SECONDS", 0.2)
    monkeypatch.setattr(worker, "HANGING_SECONDS", 0.5)
    ready = tmp_path / "ready"
    run = Run([python(STUBBORN, str(ready))])

    def lose_redis() -> None:
        wait_for(ready.exists)
        run.trouble = "refused"

    words = run.play(
        ("runs", lose_redis),
        ("cannot be reached", lambda: setattr(run, "trouble", None)),
        ("does not end", lambda: None),
        ("runs", lambda: os.kill(run.pid, signal.SIGKILL)),
        ("was ended", stop),
    )
    assert words.count("child does not end, and runs no job: it is killed.") == 1
    assert "child was ended by SIGKILL, as asked." in words


def test_what_runs_a_job_does_not_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "HANGING_SECONDS", 5.0)
    child = python(PATIENT)
    assert not child.hangs(100.0)
    assert child.start(0.0)
    pid = child.pid
    assert pid is not None
    wait_for(lambda: len(processes.members(pid)) == 2)
    assert not child.hangs(100.0)
    child.ask_to_end(100.0)
    assert not child.hangs(200.0)
    wait_for(lambda: processes.members(pid) == [pid])
    assert not child.hangs(104.9)
    assert child.hangs(105.0)
    processes.kill(pid)
    wait_for(lambda: child.ended(106.0))
    assert not child.hangs(200.0)


def test_what_is_asked_twice_is_told_once() -> None:
    told: list[int] = []
    child = python(NAP)
    assert child.start(0.0)
    assert child._process is not None
    child._process.terminate, terminate = lambda: told.append(1), child._process.terminate  # type: ignore[method-assign]
    child.ask_to_end(0.0)
    child.ask_to_end(1.0)
    assert told == [1]
    child.insist()
    assert told == [1, 1]
    terminate()
    while child.ended(0.0) is None:
        time.sleep(0.02)


def test_the_programs_are_the_stock_commands(settings: object) -> None:
    found = worker.programs(workers=2, manage=["python", "manage.py"], verbosity=1)
    assert [program.name for program in found] == ["worker 1", "worker 2", "cron"]
    assert found[0].command == ["python", "manage.py", "rqworker", "default", "--skip-checks", "--verbosity", "0"]
    assert found[2].command == [
        "python", "manage.py", "rqcron", "grokvideo_django.cron", "--skip-checks", "--logging-level", "WARNING",
    ]  # fmt: skip
    levels = [worker.programs(workers=1, manage=[], verbosity=verbosity) for verbosity in range(4)]
    assert [(work.command[-1], cron.command[-1]) for work, cron in levels] == [
        ("0", "WARNING"), ("0", "WARNING"), ("1", "INFO"), ("2", "DEBUG"),
    ]  # fmt: skip


def test_children_start_as_their_parent_did(tmp_path: Path) -> None:
    script = tmp_path / "manage.py"
    script.touch()
    (tmp_path / "__main__.py").touch()
    module = [sys.executable, "-m", "django"]
    for argv, expected in (
        ([str(script), "grokvideo_worker", "--workers", "2"], [sys.executable, str(script)]),
        ([str(script), "demo"], module),
        ([str(script)], module),
        (["django-admin", "grokvideo_worker"], module),
        ([str(tmp_path / "__main__.py"), "grokvideo_worker"], module),
    ):
        assert worker.manage_command(argv, "grokvideo_worker") == expected
