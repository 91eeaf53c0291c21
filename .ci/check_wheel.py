"""Whether a wheel holds the package as git knows it: every file, and nothing else."""

import subprocess
import sys
import zipfile

PACKAGE = "grokvideo_django/"

[path] = sys.argv[1:]
with zipfile.ZipFile(path) as wheel:
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    metadata = next(name for name in wheel.namelist() if name.endswith("METADATA"))
    description = wheel.read(metadata).decode()
listing = subprocess.run(["git", "ls-files", PACKAGE], capture_output=True, text=True, check=True)
tracked = set(listing.stdout.splitlines())
if missing := sorted(tracked - names):
    sys.exit(f"The wheel lacks {missing}.")
if strangers := sorted(names - tracked):
    sys.exit(f"The wheel has, and git does not know, {strangers}.")
for needed in (f"{PACKAGE}py.typed", f"{PACKAGE}migrations/0001_initial.py", f"{PACKAGE}templatetags/grokvideo.py"):
    if needed not in names:
        sys.exit(f"The wheel lacks {needed}.")
if "License-Expression: BSD-3-Clause" not in description:
    sys.exit("The wheel does not name its license.")
print(f"{path}: {len(names)} files, as in git.")
