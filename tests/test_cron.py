"""The cron module is what ``rqcron`` loads: one job, every two seconds, that leaves nothing behind."""

from __future__ import annotations

import django_rq
from django_rq.cron import DjangoCronScheduler

from grokvideo_django import cron, jobs, queue

from .conftest import RedisServer


def loaded() -> DjangoCronScheduler:
    scheduler = DjangoCronScheduler(logging_level=30)
    scheduler.load_config_from_file(cron.__name__)
    return scheduler


def test_the_tick_is_registered_on_the_sites_queue(redis_server: RedisServer, settings: object) -> None:
    (job,) = loaded().get_jobs()
    assert job.func is jobs.tick
    assert job.func_name == queue.TICK  # by this name a running tick knows the ones that wait behind it
    assert (job.queue_name, job.interval, job.cron) == ("default", 2, None)
    assert job.job_options == {
        "job_timeout": queue.tick_seconds(),
        "result_ttl": 0,
        "ttl": 4,
        "failure_ttl": queue.FAILURE_TTL_SECONDS,
    }


def test_what_it_enqueues_is_a_tick(redis_server: RedisServer) -> None:
    scheduler = loaded()
    scheduler.enqueue_jobs()
    scheduler.enqueue_jobs()  # not due again yet
    (job,) = django_rq.get_queue("default").jobs
    assert job.func_name == queue.TICK
    assert (job.args, job.kwargs) == ((), {})
