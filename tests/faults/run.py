"""``python -m tests.faults.run --seconds 120 --seed 7 --workers 8 --database postgres``: the random run, for long.

``--workers`` and ``--database`` take several, separated by commas: one run for each pair, each with a database server
of its own that is killed and started again in mid-work. Prints Markdown: the runs, then the faults and the words over
all of them. The exit code says whether every run ended well; a failed run's log is kept, and its place printed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from . import servers

DATABASES = ("sqlite", "postgres", "mariadb")
PORTS = {"postgres": "GROKVIDEO_TEST_POSTGRES_PORT", "mariadb": "GROKVIDEO_TEST_MARIADB_PORT"}


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run, and what came of it: None if it failed."""

    database: str
    workers: int
    seed: int
    seconds: float
    found: dict[str, Any] | None


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m tests.faults.run", description=(__doc__ or "").partition("\n\n")[2])
    made.add_argument("--seconds", type=float, default=60, help="how long faults strike in each run; default 60")
    made.add_argument("--seed", type=int, default=1, help="of the first run; each other one has the next; default 1")
    made.add_argument("--workers", default="2", help="how many; default 2")
    made.add_argument("--database", default="sqlite", help=f"of {', '.join(DATABASES)}; default sqlite")
    return made


@contextlib.contextmanager
def environment(database: str) -> Iterator[dict[str, str]]:
    """What makes a test run work on a server of its own, which lives as long."""
    changes = {"GROKVIDEO_TEST_DATABASE": database}
    if database == "sqlite":
        yield changes
        return
    with servers.running(database) as server:
        yield changes | {PORTS[database]: str(server.port), servers.VARIABLE: server.to_environment()}


def run(database: str, workers: int, seed: int, seconds: float) -> Run:
    """One run; its log is thrown away if it went well."""
    folder = Path(tempfile.mkdtemp(prefix="grokvideo-faults-"))
    table, log = folder / "table.json", folder / "log"
    with environment(database) as changes, log.open("wb") as output:
        changes |= {
            "GROKVIDEO_FAULT_SECONDS": str(seconds),
            "GROKVIDEO_FAULT_SEED": str(seed),
            "GROKVIDEO_FAULT_WORKERS": str(workers),
            "GROKVIDEO_FAULT_TABLE": str(table),
        }
        command = [sys.executable, "-m", "pytest", "-q", "-s", "tests/faults/test_random.py"]
        code = pytest(command, {**os.environ, **changes}, output)
    found = json.loads(table.read_text()) if code == 0 else None
    if found is None:
        print(f"FAILED: {database}, {workers} workers, seed {seed}. Its log: {log}", file=sys.stderr, flush=True)
    else:
        log.unlink()
        table.unlink()
        folder.rmdir()
    return Run(database=database, workers=workers, seed=seed, seconds=seconds, found=found)


def pytest(command: list[str], environment: dict[str, str], output: BinaryIO) -> int:
    """Its exit code. Interrupted, it may clean up first: it has processes and a database."""
    running = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        return running.wait()
    except BaseException:
        running.send_signal(signal.SIGINT)
        running.wait()
        raise


def ends(found: Mapping[str, int]) -> str:
    """As "12 succeeded, 1 failed"."""
    often_first = sorted(found.items(), key=lambda one: -one[1])
    return ", ".join(f"{times} {end.replace('_', ' ')}" for end, times in often_first)


def table_of_runs(runs: list[Run]) -> list[str]:
    """A row a run."""
    rows = ["| database | workers | seed | requests | faults | restarts | before anybody decided | at the end |"]
    rows.append("|---|---|---|---|---|---|---|---|")
    for one in runs:
        head = f"| {one.database} | {one.workers} | {one.seed} "
        if one.found is None:
            rows.append(f"{head}| | | | | **failed** |")
            continue
        found = one.found
        struck = sum(fault["times"] for fault in found["faults"].values())
        rows.append(
            f"{head}| {found['requests']} | {struck} | {found['restarts']} | {ends(found['ends'])} | "
            f"all ended, {found['posts']} POSTs, none twice; books, files, leases in order |"
        )
    return rows


def table_of_faults(runs: list[Run]) -> list[str]:
    """A row a fault, over all runs that ended well: how often, and what became of the requests that it struck."""
    times: Counter[str] = Counter()
    struck: dict[str, Counter[str]] = {}
    for one in runs:
        for fault, said in (one.found or {"faults": {}})["faults"].items():
            times[fault] += said["times"]
            struck.setdefault(fault, Counter()).update(said["under way"])
    rows = ["| fault | times | what became of the requests that were under way |", "|---|---|---|"]
    rows += [
        f"| {fault} | {number} | {ends(struck[fault]) or 'none were'} |" for fault, number in sorted(times.items())
    ]
    return rows


def table_of_words(runs: list[Run]) -> list[str]:
    """A row a word of the sandbox, likewise."""
    found: dict[str, Counter[str]] = {}
    for one in runs:
        for word, said in (one.found or {"words": {}})["words"].items():
            found.setdefault(word, Counter()).update(said)
    rows = ["| the sandbox was told | requests | before anybody decided |", "|---|---|---|"]
    for word, said in sorted(found.items()):
        rows.append(f"| {f'`{word}`' if word else 'nothing'} | {said.total()} | {ends(said)} |")
    return rows


def main(arguments: list[str]) -> int:
    """Every run, then the tables; a table so far after each, since long runs are interrupted."""
    options = parser().parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):  # also behind an &, where a shell has it ignored
        signal.signal(number, signal.default_int_handler)
    pairs = [(name, int(workers)) for name in options.database.split(",") for workers in options.workers.split(",")]
    runs: list[Run] = []
    for number, (database, workers) in enumerate(pairs):
        runs.append(run(database, workers, options.seed + number, options.seconds))
        print(table_of_runs(runs)[-1], file=sys.stderr, flush=True)
    for table in (table_of_runs(runs), table_of_faults(runs), table_of_words(runs)):
        print("\n".join(table), end="\n\n")
    left_out = sorted({fault for one in runs if one.found for fault in one.found["left out"]})
    if left_out:
        print(f"Left out, for want of means on this machine: {', '.join(left_out)}.")
    return int(any(one.found is None for one in runs))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
