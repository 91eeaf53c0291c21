"""Named points at which the process can be told to die at once, or to stop, to prove that nothing is lost there.

``GROKVIDEO_CRASH_AT="submit.after_post"`` in the environment of a worker arms one; several are separated by commas.
``GROKVIDEO_STOP_AT`` stops the process there (SIGSTOP), so that it can go on after others have taken its work over.
``GROKVIDEO_CRASH_ONCE=/path`` disarms both after the first time: the file is made, and the next process lives.
Unarmed, a point is two looks into an empty set.
"""

from __future__ import annotations

import os
import signal
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


def _named(variable: str) -> frozenset[str]:
    return frozenset(filter(None, os.environ.get(variable, "").split(",")))


_DIES_AT: Final = _named("GROKVIDEO_CRASH_AT")
_STOPS_AT: Final = _named("GROKVIDEO_STOP_AT")


def point(name: str) -> None:
    """Die or stop here, without any clean-up, if this point is armed."""
    if name in _DIES_AT and _first_time():
        os._exit(EXIT_CODE)
    if name in _STOPS_AT and _first_time():
        os.kill(os.getpid(), signal.SIGSTOP)


def _first_time() -> bool:
    once = os.environ.get("GROKVIDEO_CRASH_ONCE")
    if not once:
        return True
    try:
        Path(once).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
