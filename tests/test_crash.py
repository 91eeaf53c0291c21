"""What the named points do to a process: nothing, its end without clean-up, or a stop from which it goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from grokvideo_django import crash

PROGRAM = """
import atexit, sys
from grokvideo_django import crash
atexit.register(print, "cleaned up")
for name in sys.argv[1:]:
    crash.point(name)
    print("passed", name, flush=True)
"""
POINTS = ("submit.claimed", "submit.saved")


def program(**armed: str) -> subprocess.Popen[str]:
    environment = {name: text for name, text in os.environ.items() if not name.startswith("GROKVIDEO_")}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *POINTS],
        env={**environment, **{f"GROKVIDEO_{name}": text for name, text in armed.items()}},
        stdout=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, list[str]]:
    out, _err = process.communicate(timeout=30)
    return process.returncode, out.splitlines()


def test_an_unarmed_point_does_nothing() -> None:
    assert ended(program()) == (0, ["passed submit.claimed", "passed submit.saved", "cleaned up"])


@pytest.mark.parametrize("armed", ["submit.saved", "fetch.claimed,submit.saved"])
def test_an_armed_point_ends_the_process_there_without_clean_up(armed: str) -> None:
    assert ended(program(CRASH_AT=armed)) == (crash.EXIT_CODE, ["passed submit.claimed"])


def test_an_armed_point_ends_one_process_only_if_asked(tmp_path: Path) -> None:
    once = str(tmp_path / "once")
    assert ended(program(CRASH_AT="submit.claimed", CRASH_ONCE=once)) == (crash.EXIT_CODE, [])
    assert ended(program(CRASH_AT="submit.claimed", CRASH_ONCE=once))[0] == 0
    assert ended(program(CRASH_AT="submit.claimed"))[0] == crash.EXIT_CODE


def test_a_process_stops_and_goes_on() -> None:
    process = program(STOP_AT="submit.saved")
    try:
        _pid, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        process.send_signal(signal.SIGCONT)
        assert ended(process) == (0, ["passed submit.claimed", "passed submit.saved", "cleaned up"])
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def test_the_file_is_made_at_the_first_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROKVIDEO_CRASH_ONCE", str(tmp_path / "once"))
    assert [crash._first_time(), crash._first_time()] == [True, False]
    monkeypatch.delenv("GROKVIDEO_CRASH_ONCE")
    assert [crash._first_time(), crash._first_time()] == [True, True]
