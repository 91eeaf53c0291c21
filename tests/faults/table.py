"""``python -m tests.faults.table [sqlite postgres mariadb]``: outcomes by crash point and database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

DATABASES = ("sqlite", "postgres", "mariadb")
TESTS = ("tests/faults/test_crash_points.py", "tests/faults/test_stopped.py")


def measure(database: str, table: Path) -> int:
    """Run the tests on one database; its outcomes go to ``table``. Returns pytest's exit code."""
    environment = {**os.environ, "GROKVIDEO_TEST_DATABASE": database, "GROKVIDEO_FAULT_TABLE": str(table)}
    environment.setdefault("GROKVIDEO_FAULT_SECONDS", "60")  # all points, also for the stops
    return subprocess.run([sys.executable, "-m", "pytest", "-q", *TESTS], env=environment, check=False).returncode


def lines(table: Path, databases: list[str]) -> list[str]:
    """A Markdown table: one row a point, one column a database."""
    found: dict[str, dict[str, str]] = {}
    for line in table.read_text().splitlines():
        database, point, words = json.loads(line)
        found.setdefault(point, {})[database] = words
    rows = [f"| point | {' | '.join(databases)} |", "|---" * (len(databases) + 1) + "|"]
    for point in sorted(found):
        cells = [found[point].get(database, "**failed**") for database in databases]
        rows.append(f"| {point} | {' | '.join(cells)} |")
    return rows


def main(databases: list[str]) -> int:
    """Print the table; the exit code says whether every outcome was as it should be."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "table.jsonl"
        table.touch()
        code = max([measure(database, table) for database in databases])
        print("\n".join(lines(table, databases)))
    return code


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:] or list(DATABASES)))
