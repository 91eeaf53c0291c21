"""``python -m tests.benchmarks NAME``: sets Django up for the chosen database, then runs the benchmark of that name."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from importlib import import_module
from pathlib import Path

NAMES = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py") if path.stem != "stage")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", add_help=False)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--database", choices=["sqlite", "postgres", "mariadb"], default="sqlite")
    known, rest = parser.parse_known_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was made is cleared away
    os.environ["GROKVIDEO_TEST_DATABASE"] = known.database
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

    import django  # noqa: PLC0415 - the settings read the environment

    django.setup()
    import_module(f"tests.benchmarks.{known.name}").main(rest)


if __name__ == "__main__":
    main()
