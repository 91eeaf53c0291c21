"""Named points at which the process can be told to die at once, to prove that nothing is lost there.

``GROKVIDEO_CRASH_AT="submit.after_post"`` in the environment of a worker arms one; several are separated by commas.
``GROKVIDEO_CRASH_ONCE=/path`` disarms it after the first time: the file is made, and the next process lives.
Unarmed, a point is one look into an empty set.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

EXIT_CODE: Final = 70

POINTS: Final = (
    "submit.claimed",
    "submit.before_post",
    "submit.after_post",
    "submit.saved",
    "tick.claimed",
    "tick.read",
    "tick.rendered",
    "tick.before_cancel",
    "tick.after_cancel",
    "fetch.claimed",
    "fetch.downloading",
    "fetch.downloaded",
    "fetch.stored",
    "fetch.captured",
    "attach.copied",
    "attach.saved",
)

_ARMED: Final = frozenset(filter(None, os.environ.get("GROKVIDEO_CRASH_AT", "").split(",")))


def point(name: str) -> None:
    """Die here, without any clean-up, if this point is armed."""
    if name in _ARMED:
        once = os.environ.get("GROKVIDEO_CRASH_ONCE")
        if once:
            try:
                Path(once).touch(exist_ok=False)
            except FileExistsError:
                return
        os._exit(EXIT_CODE)
