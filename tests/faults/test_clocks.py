"""A worker's clock is set forward or back by hours: whatever it wrote, nothing waits for that time to come."""

import time

import pytest
import redis

from grokvideo_django.models import GatewayState, VideoRequest
from grokvideo_django.polling.rate import RateGate

from ..conftest import RedisServer
from . import clocks
from .conftest import Site
from .servers import free_port

Status = VideoRequest.Status

HOURS = 3600

pytestmark = pytest.mark.skipif(bool(clocks.missing()), reason=str(clocks.missing()))


@pytest.fixture
def wrong(site: Site) -> Site:
    site.fleet.has_clocks = True
    return site


def test_a_tick_with_a_clock_hours_ahead_is_killed(wrong):
    """Its lease, and those of its rows, seem to last for hours."""
    site = wrong
    worker = site.fleet.worker()
    worker.clock.set(3 * HOURS)
    site.sandbox.behave("read-stall=5")
    request = site.start("A fox [sandbox:never]")
    site.wait_until(request, Status.SUBMITTED)
    site.wait_for("a lease that lasts for hours", lambda: site.hurry() or ahead_of(site, HOURS))
    worker.kill_with_horses()
    site.sandbox.well_behaved()
    site.healthy()
    ticks = site.ticks()
    site.wait_for("another tick", lambda: site.ticks() > ticks)
    request.refresh_from_db()
    assert (request.due_at - site.now()).total_seconds() <= HOURS
    site.sandbox.finish()
    site.let_leases_run_out()  # it may have been killed with the row in its hands
    site.wait_until_done(request)
    site.assert_settled()


@pytest.mark.parametrize(("before", "after"), [(0, -1), (1, 0)], ids=["back", "right again"])
def test_redis_clock_is_set(before, after, tmp_path, redis_server):
    """By which the request budget is kept: nobody waits for the time that is gone to come again."""
    clock = clocks.Clock(tmp_path / "redis.clock")
    server = RedisServer(redis_server.executable, f"redis://127.0.0.1:{free_port()}/0")
    server.environment = clock.environment()
    server.start()
    try:
        with redis.Redis.from_url(server.url) as client:
            gate = RateGate(client, api_key="sk-aig-clock", per_minute=600)
            clock.set(before * HOURS)
            gate.take(10**6, "submit")
            gate.block(600)
            clock.set(after * HOURS)
            assert gate.take(1, "read").granted == 1
    finally:
        server.stop()


def ahead_of(site: Site, seconds: float) -> bool:
    until = GatewayState.objects.current().tick_lease_until
    return until is not None and (until - site.now()).total_seconds() > seconds


def test_a_cron_whose_clock_is_set_back_ends_to_be_started_anew(wrong):
    """RQ would ring again only when the time comes for the second time."""
    site = wrong
    cron = site.fleet.cron()
    site.fleet.worker()
    site.wait_for("a tick", site.ticks)
    cron.clock.set(-2 * HOURS)
    site.wait_for("the cron's end", lambda: not cron.is_alive)
    site.fleet.supervise()
    ticks = site.ticks()
    site.wait_for("another tick", lambda: site.ticks() > ticks + 1)


@pytest.mark.parametrize("hours", [2, -2])
def test_workers_with_different_clocks_share_the_work(hours, wrong):
    """One is two hours off. What it takes for over, or for not yet due, costs time, and nothing else."""
    site = wrong
    site.fleet.worker().clock.set(hours * HOURS)
    site.healthy()
    requests = [site.start(f"Fox {number}") for number in range(6)]
    for request in requests:
        site.wait_until_done(request)
        assert site.posts(request) == 1
    site.fleet.processes[0].clock.set(0)
    time.sleep(0.5)
    site.assert_settled()
