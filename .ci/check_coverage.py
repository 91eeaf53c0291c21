"""Whether the tests reach every branch of the spine, and nearly all of the rest. Names what they miss.

``check_coverage.py DATA_FILE``, from the root of the checkout; the file may be combined from several runs.
"""

import json
import sys
import tempfile
from pathlib import Path, PurePosixPath

from coverage import Coverage

WHOLE = ("credits", "gateway", "jobs", "lifecycle", "media", "polling", "services")
"""Packages and modules in which not a branch may be missing: money, state, and what comes from outside."""
REST, REST_PERCENT = "the rest", 95


def report(data_file: str) -> dict:
    """Coverage's own findings by file, relative to the checkout."""
    coverage = Coverage(data_file=data_file)
    coverage.load()
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "coverage.json"
        coverage.json_report(outfile=str(written))
        return json.loads(written.read_text())["files"]


def part_of(path: str) -> str:
    """``credits`` of ``grokvideo_django/credits/holds.py``, ``jobs`` of ``grokvideo_django/jobs.py``."""
    name = PurePosixPath(path).with_suffix("").parts[1]
    return name if name in WHOLE else REST


def missing(file: dict) -> str:
    """``12-14, 40->42``: lines, and branches that were never taken (``->0``: out of the function)."""
    lines = file["missing_lines"]
    runs: list[list[int]] = []
    for line in lines:
        if runs and line == runs[-1][-1] + 1:
            runs[-1].append(line)
        else:
            runs.append([line])
    branches = [(start, max(end, 0)) for start, end in file["missing_branches"] if start not in lines]
    words = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
    return ", ".join([*words, *(f"{start}->{end}" for start, end in branches)])


def main(data_file: str) -> None:
    """A line for each part, and one for each file in which something is missing."""
    parts: dict[str, dict[str, dict]] = {name: {} for name in (*WHOLE, REST)}
    for path, file in sorted(report(data_file).items()):
        parts[part_of(path)][path] = file
    failed = []
    print(f"{'':<10}{'files':>6}{'lines':>7}{'branches':>9}{'missing':>8}{'covered':>10}")
    for name, files in parts.items():
        sums = [file["summary"] for file in files.values()]
        lines, branches = (sum(each[key] for each in sums) for key in ("num_statements", "num_branches"))
        missed = sum(each["missing_lines"] + each["missing_branches"] for each in sums)
        percent = 100 * (1 - missed / max(1, lines + branches))
        print(f"{name:<10}{len(files):>6}{lines:>7}{branches:>9}{missed:>8}{percent:>9.2f}%")
        if not files or (missed if name in WHOLE else percent < REST_PERCENT):
            failed.append(name)
    print()
    for name, files in parts.items():
        for path, file in files.items():
            if places := missing(file):
                print(f"{'MISSING' if name in failed else 'missing'} {path}: {places}")
    if failed:
        sys.exit(f"Not covered enough: {', '.join(failed)}. Write a test, or remove what cannot be reached.")
    print(f"Every branch of {', '.join(WHOLE)}; at least {REST_PERCENT} % of the rest.")


main(*sys.argv[1:])
