"""``python -m tests.benchmarks.first_video``: seconds from the README's first command to the first played video.

Clones the last commit into a temporary folder and runs the command there, to the letter: a new virtual environment, the
installation, the demo. Chromium then does what an editor does. Run it twice: the first time fills pip's cache.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from ..browser import chromium
from ..browser.acting import generate
from ..browser.playing import play
from ..running_demo import MANAGE, RunningDemo

ROOT = MANAGE.parent.parent


def first_command(readme: str) -> str:
    found = re.search(r"^```[^\n]*\n([^\n]*pip install[^\n]*)\n```", readme, re.MULTILINE)
    assert found is not None
    return found[1]


def main() -> None:
    executable = chromium.find()
    if executable is None:
        sys.exit(f"No browser: none of {', '.join(chromium.NAMES)} is on the path.")
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        clone, state = Path(temporary, "clone"), Path(temporary, "state")
        subprocess.run(["git", "clone", "--quiet", "--depth=1", ROOT.as_uri(), clone], check=True)
        command = first_command((clone / "README.md").read_text(encoding="utf-8"))
        print(f"$ {command}")
        browser = chromium.launch(playwright, executable)
        with RunningDemo(state, command=["bash", "-c", command], cwd=clone) as demo:
            line = demo.ready(seconds=900)
            report("ready", demo)
            page = browser.new_page()
            states = generate(page, line)
            played = play(page)
            report(f"played, {played.width}x{played.height}, {' → '.join(states)}", demo)
        browser.close()


def report(what: str, demo: RunningDemo) -> None:
    print(f"{time.monotonic() - demo.started_at:6.1f} s  {what}")


if __name__ == "__main__":
    main()
