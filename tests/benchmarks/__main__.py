"""``python -m tests.benchmarks NAME``: sets Django up for the chosen database, then runs the benchmark of that name."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from importlib import import_module
from pathlib import Path

NAMES = sorted(
    path.stem for path in Path(__file__).parent.glob("[a-z]*.py") if "def main(arguments:" in path.read_text()
)


STOPPING = (signal.SIGINT, signal.SIGTERM)


def stop(number: int, _frame: object) -> None:
    """What was made is cleared away, and a second signal does not interrupt that."""
    for either in STOPPING:
        signal.signal(either, signal.SIG_IGN)
    sys.exit(128 + number)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", add_help=False)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--database", choices=["sqlite", "postgres", "mariadb"], default="sqlite")
    known, rest = parser.parse_known_args()
    for number in STOPPING:
        signal.signal(number, stop)
    os.environ["GROKVIDEO_TEST_DATABASE"] = known.database
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

    import django  # noqa: PLC0415 - the settings read the environment

    django.setup()
    import_module(f"tests.benchmarks.{known.name}").main(rest)


if __name__ == "__main__":
    main()
