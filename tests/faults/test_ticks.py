"""Ticks are few, never pile up, and never die out while something is in flight."""

import os
import time

import django_rq
import redis
from django.conf import settings as django_settings

from grokvideo_django import queue, services, submission
from grokvideo_django.models import VideoRequest

from .conftest import Site

Status = VideoRequest.Status

SECONDS = float(os.environ.get("GROKVIDEO_TICK_SECONDS", "15"))
"""How long cron runs beside an idle worker; the full test takes 60."""


def queued_jobs(site: Site) -> int:
    return len(django_rq.get_queue("default").job_ids)


def watch(site: Site, seconds: float) -> tuple[int, list[int]]:
    """How many ticks began, and how many jobs waited in the queue whenever somebody looked."""
    before, waiting = site.ticks(), []
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        waiting.append(queued_jobs(site))
        time.sleep(0.2)
    return site.ticks() - before, waiting


def is_calm(site: Site, seconds: float) -> bool:
    ticks, waiting = watch(site, seconds)
    return ticks == 0 and not any(waiting)


def test_cron_beside_an_idle_worker(site):
    site.healthy()
    site.wait_for("the first tick", lambda: site.ticks() > 0)
    ticks, waiting = watch(site, SECONDS)
    assert ticks <= SECONDS
    assert max(waiting) <= 1
    assert waiting.count(0) > len(waiting) / 2


def test_nothing_ticks_when_nothing_is_in_flight(site):
    site.fleet.worker()
    request = site.start()
    site.wait_until_done(request)
    assert not VideoRequest.objects.in_flight().exists()
    site.wait_for("the last tick", lambda: is_calm(site, 1) and not site.busy(), pause=0)
    assert is_calm(site, 4)


def test_one_long_request_in_flight(site):
    """A tick loops, yields to nothing, and has at most one successor, with two workers and two crons."""
    for _twice in range(2):
        site.healthy()
    request = site.start("A fox [sandbox:never]")
    site.wait_until(request, Status.SUBMITTED)
    ticks, waiting = watch(site, 6)
    assert ticks <= 9
    assert max(waiting) <= 4  # two crons ring in the same moment, while a busy machine looks away
    assert queued_jobs(site) <= 1 or site.wait_for("an empty queue", lambda: not queued_jobs(site))


def start_a_short_tick(site: Site) -> VideoRequest:
    """A request in flight, and one tick of 4 s that looks after it. No cron."""
    request = site.draft("A fox [sandbox:never]")
    services.start(request)
    submission.submit(request.pk)
    site.redis.flush()
    queue._enqueue(queue.TICK, 4, timeout_seconds=queue.TICK_SECONDS)
    site.fleet.worker()
    site.wait_for("a tick", site.ticks)
    return request


def test_a_ring_that_a_tick_removes_does_not_end_the_polling(site):
    request = start_a_short_tick(site)
    services.cancel(request)  # rings: the next tick waits behind this one, which removes it
    site.wait_for("the gateway refused", lambda: request.events.filter(kind="cancel_refused").exists())
    site.wait_for("the second tick", lambda: site.ticks() > 1)


def test_a_ring_that_another_worker_answers_does_not_end_the_polling(site):
    start_a_short_tick(site)
    queue.ring()
    site.fleet.worker()  # finds the lease taken, and has nothing to do
    site.wait_for("the second tick", lambda: site.ticks() > 1)


def test_a_tick_outlives_a_long_job_of_somebody_else(site, redis_server):
    queue.ring()
    (tick,) = django_rq.get_queue("default").jobs
    assert tick.ttl > 600


def test_a_job_that_cannot_be_read_is_other_work(site):
    jobs = django_rq.get_queue("default")
    job = jobs.enqueue("no.such.function")
    with redis.Redis.from_url(django_settings.RQ_QUEUES["default"]["URL"]) as client:
        client.hset(job.key, "data", b"no pickle")
    assert queue.Bell().has_other_work()
