"""A site with a model of users of its own, which is chosen at start-up: in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_a_site_with_users_of_its_own() -> None:
    words = ["tests/own_users", "--ds=tests.own_users.settings", "--nomigrations", "-p", "no:cacheprovider"]
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTEST_ADDOPTS", "COVERAGE_FILE"}}
    environment |= {"GROKVIDEO_TEST_NAME": f"{os.environ['GROKVIDEO_TEST_NAME']}_own"}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
