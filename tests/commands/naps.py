"""A job that takes its time."""

import time
from pathlib import Path


def nap(folder: str, seconds: float) -> None:
    Path(folder, "began").touch()
    time.sleep(seconds)
    Path(folder, "ended").touch()
