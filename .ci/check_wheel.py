"""Whether a wheel holds the package as git knows it: every file of it, and nothing else. Says what is in it."""

import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import PurePosixPath

PACKAGE = "grokvideo_django"
NEEDED = {
    "py.typed": 1,
    "migrations/*.py": 2,
    "templatetags/*.py": 2,
    "management/commands/*.py": 5,
    "templates/grokvideo/*.html": 1,
    "templates/grokvideo/admin/*.html": 10,
    "templates/admin/grokvideo/*/*.html": 5,
    "static/grokvideo/*.css": 2,
    "locale/*/LC_MESSAGES/django.mo": 1,
}
"""What a site needs of each kind, at least: also git may have lost it."""


def kept() -> set[str]:
    """The package's files in git. What is compiled for a site (``.mo``) is kept there, too."""
    listing = subprocess.run(["git", "ls-files", f"{PACKAGE}/"], capture_output=True, text=True, check=True)
    return set(listing.stdout.splitlines())


def wrong(names: set[str], tracked: set[str]) -> list[str]:
    """All that is wrong with what a wheel holds."""
    found = []
    if strangers := sorted(names - tracked):
        found.append(f"The wheel has, and git does not know, {strangers}.")
    if lost := sorted(tracked - names):
        found.append(f"The wheel lacks {lost}.")
    for pattern, least in NEEDED.items():
        there = [name for name in names if PurePosixPath(name).match(f"{PACKAGE}/{pattern}")]
        if len(there) < least:
            found.append(f"The wheel has {len(there)} of {pattern}, not {least}.")
    catalogues = {name for name in names if name.endswith(".po")}
    if uncompiled := sorted(name for name in catalogues if name.removesuffix(".po") + ".mo" not in names):
        found.append(f"Not compiled (manage.py compilemessages): {uncompiled}.")
    outside = sorted({PurePosixPath(name).parts[0] for name in names} - {PACKAGE})
    if outside:  # tests, example_project, docs
        found.append(f"The wheel installs more than the package: {outside}.")
    return found


[path] = sys.argv[1:]
with zipfile.ZipFile(path) as wheel:
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    metadata = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    description = wheel.read(metadata).decode()
problems = wrong(names, kept())
if "License-Expression: BSD-3-Clause" not in description:
    problems.append("The wheel does not name its license.")
if problems:
    sys.exit("\n".join(problems))
kinds = Counter(PurePosixPath(name).suffix for name in names)
print(f"{path}: {len(names)} files, as in git: {', '.join(f'{count} {kind}' for kind, count in kinds.most_common())}.")
