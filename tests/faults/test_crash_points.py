"""The process exits at once at each boundary of the design; then another worker, and a cron, go on."""

import pytest

from grokvideo_django import crash, services
from grokvideo_django.models import VideoRequest

from .conftest import Site

Status = VideoRequest.Status

NEVER_SENT = {"submit.claimed", "submit.before_post"}
NOBODY_KNOWS = {*NEVER_SENT, "submit.after_post"}
CANCELS = {"tick.before_cancel", "tick.after_cancel"}


def kill_at(point: str, site: Site) -> VideoRequest:
    """A request whose worker has died at this point."""
    site.fleet.worker(crash_at=point)
    request = site.start("A fox [sandbox:queued=60]" if point in CANCELS else "A fox")
    if point in CANCELS:
        site.wait_until(request, Status.SUBMITTED)
        services.cancel(request)

    def crashed() -> bool:
        site.hurry()
        return site.fleet.crashed.exists()

    site.wait_for(f"the crash at {point}", crashed)
    site.fleet.retire()
    site.let_leases_run_out()
    request.refresh_from_db()
    return request


def assert_in_doubt(site: Site, request: VideoRequest, *, posts: int) -> None:
    """Nobody knows: the hold stays, and the POST is never repeated, however long it waits."""
    site.wait_until(request, Status.IN_DOUBT)
    site.let_leases_run_out()
    ticks = site.ticks()
    site.wait_for("another tick", lambda: site.ticks() > ticks + 1)
    request.refresh_from_db()
    assert (request.status, request.due_at, request.lease_token) == (Status.IN_DOUBT, None, None)
    assert site.posts(request) == len(site.sandbox.accepted) == posts
    site.assert_account(posted=1000, held=5)
    site.assert_settled()


@pytest.mark.parametrize("point", crash.POINTS)
def test_killed_at(point, site, outcome):
    request = kill_at(point, site)
    died_as = request.status
    site.healthy()

    if point in NOBODY_KNOWS:
        posts = 0 if point in NEVER_SENT else 1
        assert_in_doubt(site, request, posts=posts)
        if posts:
            services.resolve(
                request, "attach", actor="manager", reason="seen", gateway_job_id=site.sandbox.accepted[0].job_id
            )
            site.wait_until_done(request)
            site.assert_account(posted=995, held=0)
        else:
            services.resolve(request, "release", actor="manager", reason="the gateway has no such job")
            site.assert_account(posted=1000, held=0)
        words = f"in_doubt, hold kept, {posts} POST; then by a person: {request.status}"
    elif point in CANCELS:
        site.wait_until(request, Status.CANCELED)
        site.assert_account(posted=1000, held=0)
        assert site.sandbox.status(request.gateway_job_id) == "cancelled"
        words = "canceled, released, 1 POST"
    else:
        site.wait_until_done(request)
        site.assert_account(posted=995, held=0)
        words = "succeeded, captured once, attached, 1 POST"

    assert site.posts(request) == len(site.sandbox.accepted) == (0 if point in NEVER_SENT else 1)
    if request.status == Status.SUCCEEDED:
        site.assert_attached(request)
    site.assert_settled()
    kinds = [event.kind for event in request.events.all()]
    assert kinds.count(request.status) <= 1, kinds
    assert all(event.message for event in request.events.exclude(kind="submitting")), "an event without words"
    outcome(point, f"{died_as:<10} -> {words}")
