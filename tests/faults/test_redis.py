"""Redis is emptied, restarted or away, in each phase of a request: the rows know what is to be done."""

import time

import pytest
from django.utils import timezone

from grokvideo_django import services
from grokvideo_django.models import VideoRequest

from .conftest import Site

Status = VideoRequest.Status

RESUMES_WITHIN_SECONDS = 10


def at_phase(phase: str, site: Site) -> VideoRequest:
    """A request that has come so far, with workers that go on."""
    match phase:
        case "queued":
            request = site.start()  # nobody works yet
            site.healthy()
        case "submitting":
            site.sandbox.behave("stall=1.5", times=1)
            site.healthy()
            request = site.start()
            site.wait_until(request, Status.SUBMITTING)
        case "submitted":
            site.healthy()
            request = site.start("A fox [sandbox:delay=3]")
            site.wait_until(request, Status.SUBMITTED)
        case "downloading":
            site.sandbox.behave("media-stall=1.5", times=1)
            site.healthy()
            request = site.start()
            site.wait_until(request, Status.RENDERED)
            site.wait_for("the download", lambda: VideoRequest.objects.filter(lease_token__isnull=False))
        case _:
            site.fleet.worker(crash_at="attach.copied")
            request = site.start()
            site.wait_for("the crash", lambda: site.hurry() or site.fleet.crashed.exists())
            site.fleet.retire()
            site.let_leases_run_out()
            site.healthy()
    return request


@pytest.mark.parametrize("fault", ["emptied", "restarted"])
@pytest.mark.parametrize("phase", ["queued", "submitting", "submitted", "downloading", "unattached"])
def test_redis_is(fault, phase, site):
    request = at_phase(phase, site)
    if fault == "emptied":
        site.redis.flush()
    else:
        site.redis.stop()
        site.redis.start()

    def done() -> bool:
        site.fleet.supervise()  # RQ's workers and cron end when Redis does
        site.hurry()
        site.ring_again_soon()
        request.refresh_from_db()
        return request.status == Status.SUCCEEDED and request.due_at is None

    site.wait_for("the video", done)
    assert site.posts(request) == len(site.sandbox.accepted) == 1
    site.assert_attached(request)
    site.assert_account(posted=995, held=0)
    site.assert_settled()


def test_polling_resumes_after_the_worker_was_killed_and_redis_emptied(site):
    site.fleet.cron()
    worker = site.fleet.worker()
    request = site.start("A fox [sandbox:never]")
    site.wait_until(request, Status.SUBMITTED)
    job = site.sandbox.jobs[request.gateway_job_id]
    site.wait_for("a tick in its loop", lambda: worker.horses() and job.reads)
    worker.kill_with_horses()
    site.redis.flush()
    site.fleet.supervise()
    assert_read_again(site, job)


def test_polling_resumes_after_the_worker_was_killed_in_the_middle_of_a_read(site):
    """The row's lease is as short as the tick's; neither is waited for longer than a slow answer takes."""
    site.fleet.cron()
    worker = site.fleet.worker()
    request = site.start("A fox [sandbox:never]")
    site.wait_until(request, Status.SUBMITTED)
    job = site.sandbox.jobs[request.gateway_job_id]
    site.sandbox.behave("read-stall=30", times=1)
    site.wait_for("a slow read", lambda: site.hurry() or not site.sandbox.world.script.waiting())
    time.sleep(1.5)
    worker.kill_with_horses()
    site.redis.stop()
    site.redis.start()
    site.fleet.supervise()
    assert_read_again(site, job)


def assert_read_again(site: Site, job) -> None:
    reads, began = job.reads, time.monotonic()
    site.wait_for("another read", lambda: site.fleet.supervise() or job.reads > reads, seconds=RESUMES_WITHIN_SECONDS)
    print(f"polling resumed after {time.monotonic() - began:.1f} s")


def test_a_slow_gateway_does_not_cost_the_lease(site):
    """The answers take longer than the leases: one tick goes on, and what it learns is not thrown away."""
    site.sandbox.behave("read-stall=6")
    site.fleet.settings["READ_TIMEOUT"] = 20
    for _twice in range(2):
        site.healthy()
    request = site.start()
    site.wait_until(request, Status.RENDERED, Status.SUCCEEDED)
    site.sandbox.well_behaved()
    site.wait_until_done(request)
    assert site.sandbox.jobs[request.gateway_job_id].reads == 1


def test_a_start_while_redis_is_away(site):
    site.redis.stop()
    request = site.start()
    assert (request.status, request.quoted_credits) == (Status.QUEUED, 5)
    assert request.due_at > timezone.now()
    site.assert_account(posted=1000, held=5)
    site.redis.start()
    site.healthy()
    site.let_leases_run_out()
    site.wait_until_done(request)
    assert site.posts(request) == 1


def test_a_cancellation_while_redis_is_away(site):
    request = site.start()
    site.redis.stop()
    services.cancel(request)
    assert request.status == Status.CANCELED
    site.redis.start()
    site.healthy()
    site.assert_settled()
    assert not site.sandbox.accepted
