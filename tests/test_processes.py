"""Sessions, and words for how a process has ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from grokvideo_django import processes

from .timing import wait_for

NAP = "import time; time.sleep(60)"
FAMILY = f"""
import os
if not os.fork():
    os.setpgrp()
{NAP}
"""


@pytest.fixture
def family() -> Iterator[subprocess.Popen[bytes]]:
    """A session leader with a child that has left its process group."""
    leader = subprocess.Popen([sys.executable, "-c", FAMILY], start_new_session=True)
    yield leader
    processes.kill(leader.pid)
    leader.wait()


def wait_for_members(session: int, number: int) -> list[int]:
    wait_for(lambda: len(processes.members(session)) == number)
    return processes.members(session)


@pytest.mark.parametrize("proc", [processes.PROC, Path("/no/such/folder")])
def test_a_session_keeps_what_leaves_its_process_group(
    family: subprocess.Popen[bytes], proc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "PROC", proc)
    leader, child = sorted(wait_for_members(family.pid, 2), key=lambda pid: pid != family.pid)
    assert leader == family.pid
    wait_for(lambda: os.getpgid(child) != os.getpgid(leader))
    family.kill()
    family.wait()
    assert wait_for_members(family.pid, 1) == [child]
    processes.kill(family.pid)
    wait_for_members(family.pid, 0)


def test_a_member_that_ends_before_its_kill_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    monkeypatch.setattr(processes, "members", lambda session: [gone.pid])
    processes.kill(gone.pid)


def test_nobody_is_in_a_session_that_does_not_exist() -> None:
    assert processes.members(2**22 + 1) == []


def test_a_process_of_somebody_else_is_no_member(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "getsid", refuse)
    assert processes.members(os.getpid()) == []


def test_the_dead_that_nobody_else_buries_are_no_members() -> None:
    with subprocess.Popen([sys.executable, "-c", "pass"]) as dead:  # in our own session
        wait_for(lambda: _state(dead.pid) == "Z")
        assert not processes._is_member(dead.pid, os.getsid(0))


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "ended with code 0"),
        (1, "ended with code 1"),
        (-signal.SIGKILL, "was ended by SIGKILL"),
        (-100, "was ended by signal 100"),
    ],
)
def test_how_it_ended(code: int, words: str) -> None:
    assert processes.how_it_ended(code) == words


def test_a_system_without_prctl_has_no_leash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes.ctypes, "CDLL", lambda name: SimpleNamespace())
    assert processes.leashed(["true"]) == ["true"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent is gone")
def test_a_child_on_a_leash_ends_with_its_parent(tmp_path: Path) -> None:
    program = f"""
import subprocess, sys, time
from grokvideo_django import processes
child = subprocess.Popen(processes.leashed([sys.executable, "-c", {NAP!r}]), start_new_session=True)
print(child.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert processes.members(child) == [child]
        parent.kill()
    wait_for_members(child, 0)
