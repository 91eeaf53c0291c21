"""The cron module is what ``rqcron`` loads: one job, every two seconds, that leaves nothing behind."""

from __future__ import annotations

import os
import signal
from contextlib import nullcontext
from types import SimpleNamespace

import django_rq
import pytest
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


@pytest.mark.parametrize(("readings", "ends"), [([100, 102, 104, 44], True), ([100, 102, 3600, 3602, 3604], False)])
def test_it_ends_itself_when_its_clock_is_set_back(readings, ends, monkeypatch, caplog):
    """By hand: no test sets the clock of its own process. With a real one: tests/faults/test_clocks.py."""

    class OutOfTime(Exception):  # noqa: N818
        """The readings are over."""

    moments, killed = iter(readings), []

    def read():
        for moment in moments:
            return moment
        raise OutOfTime

    steady = iter(range(100, 200, 2))
    times = SimpleNamespace(time=read, monotonic=lambda: next(steady), sleep=lambda _seconds: None)
    monkeypatch.setattr(cron, "time", times)
    monkeypatch.setattr(cron.os, "kill", lambda pid, number: killed.append((pid, number)))
    with nullcontext() if ends else pytest.raises(OutOfTime):
        cron.watch_clock()
    assert killed == ([(os.getpid(), signal.SIGTERM)] if ends else [])
    assert ("set back by 62 s" in caplog.text) == ends
