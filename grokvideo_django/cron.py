"""``manage.py rqcron grokvideo_django.cron``: brings the tick back within seconds after any fault.

Several of these do no harm: the tick has a lease, and removes ticks that wait behind it.
"""

from rq import cron

from . import conf, jobs, queue

EVERY_SECONDS = 2

cron.register(
    jobs.tick,
    queue_name=conf.current().QUEUE,
    interval=EVERY_SECONDS,
    ttl=2 * EVERY_SECONDS,
    job_timeout=queue.tick_seconds(),
    result_ttl=0,
    failure_ttl=queue.FAILURE_TTL_SECONDS,
)
