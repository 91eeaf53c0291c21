"""What a worker loads before it forks, and every other process does not."""

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from grokvideo_django import preload

HEAVY = ("grokvideo_django.jobs", "httpx", "av", "PIL.JpegImagePlugin")
SCRIPT = f"""
import sys
sys.argv = sys.argv[1:]
import django
django.setup()
print(*[name for name in {HEAVY} if name in sys.modules])
"""


def loaded_by(*argv: str) -> list[str]:
    command = [sys.executable, "-c", SCRIPT, *argv]
    root = Path(__file__).parents[1]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60, cwd=root).stdout.split()


@pytest.mark.parametrize("command", sorted(preload.WORKERS))
def test_a_worker_loads_everything_before_it_forks(command, monkeypatch):
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.settings")
    assert loaded_by("manage.py", command, "default") == list(HEAVY)


@pytest.mark.parametrize("argv", [["manage.py", "runserver"], ["manage.py", "migrate", "rqworker"], ["gunicorn"]])
def test_other_processes_stay_lean(argv, monkeypatch):
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.settings")
    assert loaded_by(*argv) == []


@pytest.fixture(autouse=True)
def thaw():
    yield
    gc.unfreeze()


def test_what_is_loaded_is_left_alone_by_the_garbage_collector():
    assert preload.for_worker(["manage.py", "rqworker"])
    assert gc.get_freeze_count() > 10_000


def test_it_says_whether_it_did():
    assert preload.for_worker(["manage.py", "rqworker"])
    assert not preload.for_worker(["manage.py", "migrate"])
    assert not preload.for_worker([])


def test_a_worker_without_the_decoder_starts_too(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    assert preload.for_worker(["manage.py", "rqworker"])
