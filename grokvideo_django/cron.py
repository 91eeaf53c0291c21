"""``manage.py rqcron grokvideo_django.cron``: brings the tick back within seconds after any fault.

Several of these do no harm: the tick has a lease, and removes ticks that wait behind it.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from typing import Final

from rq import cron

from . import conf, jobs, queue

log = logging.getLogger("grokvideo_django")

EVERY_SECONDS: Final = 2
PROGRAMS: Final = {"rqcron", "cron"}
"""Django-RQ's command, and RQ's own."""


def watch_clock() -> None:
    """End this process as soon as its clock is set back; whoever keeps it alive starts it anew.

    RQ knows by the wall clock when it rings next, so it would sleep until that time comes for the second time.
    """
    was_ahead = time.time() - time.monotonic()
    while True:
        time.sleep(EVERY_SECONDS)
        ahead = time.time() - time.monotonic()
        if ahead < was_ahead - 2 * EVERY_SECONDS:
            log.warning("The clock was set back by %.0f s: this cron ends, to be started anew.", was_ahead - ahead)
            os.kill(os.getpid(), signal.SIGTERM)
            return
        was_ahead = ahead


if PROGRAMS.intersection(sys.argv[1:2]):
    threading.Thread(target=watch_clock, name="grokvideo-clock", daemon=True).start()

cron.register(
    jobs.tick,
    queue_name=conf.current().QUEUE,
    interval=EVERY_SECONDS,
    ttl=2 * EVERY_SECONDS,
    job_timeout=queue.tick_seconds(),
    result_ttl=0,
    failure_ttl=queue.FAILURE_TTL_SECONDS,
)
