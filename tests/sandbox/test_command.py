"""``manage.py grokvideo_sandbox`` in its own process, and its parts in this one."""

from __future__ import annotations

import argparse
import io
import os
import re
import signal
import subprocess
import sys
import threading
import time

import httpx
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from grokvideo_django.management.commands.grokvideo_sandbox import Command, latency
from grokvideo_django.sandbox import Sandbox

from ..timing import PATIENCE

RUN = """
from django.conf import settings
from django.core.management import call_command
from grokvideo_django.management.commands.grokvideo_sandbox import Command
settings.configure()
call_command(Command(), port=0, fast_clips=True, latency=(0, 0))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_in_its_own_process(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", RUN], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        started = "".join(process.stdout.readline() for _ in range(6))
        address = re.search(r"http://\S+/v1", started)
        assert address is not None
        headers = {"Authorization": "Bearer sk-aig-x"}
        answer = httpx.post(
            f"{address[0]}/videos/generations", json={"prompt": "a fox"}, headers=headers, trust_env=False
        )
        assert answer.status_code == 202
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0
    assert err == ""
    for name in ("API_KEY", "BASE_URL", "MEDIA_HOSTS", "ALLOW_PRIVATE_NETWORK"):
        assert f"'{name}': " in started
    assert "stopped" in out


def test_in_this_process() -> None:
    before = signal.getsignal(signal.SIGTERM)
    out = io.StringIO()

    def stop() -> None:
        while "ALLOW_PRIVATE_NETWORK" not in out.getvalue():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    stopper = threading.Thread(target=stop, daemon=True)  # or a command that fails would be waited for
    stopper.start()
    call_command(Command(), port=0, stdout=out)
    stopper.join()
    assert signal.getsignal(signal.SIGTERM) is before
    assert "stopped" in out.getvalue()


def test_a_port_that_is_taken() -> None:
    with Sandbox() as sandbox, pytest.raises(CommandError, match="in use"):
        call_command(Command(), port=int(sandbox.media_host[10:]))


@pytest.mark.parametrize(("text", "found"), [("6", (6, 0)), ("6,0.4", (6, 0.4)), ("0", (0, 0))])
def test_latency(text: str, found: tuple[float, float]) -> None:
    assert latency(text) == found


@pytest.mark.parametrize("text", ["", "x", "6,y", "-1", "6,-1"])
def test_a_latency_that_is_none(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        latency(text)
