"""SIGSTOP at each boundary, past every lease; another worker takes over; SIGCONT: the first one does no harm."""

import os
import signal

import pytest

from grokvideo_django import crash, services
from grokvideo_django.models import VideoRequest

from .conftest import Site
from .processes import lives, send
from .test_crash_points import CANCELS

Status = VideoRequest.Status

UNCERTAIN = {"submit.claimed", "submit.before_post", "submit.after_post"}
QUICK = (
    "submit.claimed", "submit.before_post", "submit.after_post", "tick.read", "tick.before_cancel",
    "fetch.downloading", "fetch.stored", "attach.copied",
)  # fmt: skip
POINTS = crash.POINTS if os.environ.get("GROKVIDEO_FAULT_SECONDS") else QUICK


@pytest.mark.parametrize("point", POINTS)
def test_stopped_at(point, site, outcome):
    stopping = site.fleet.worker(stop_at=point)
    request = site.start("A fox [sandbox:queued=60]" if point in CANCELS else "A fox")
    if point in CANCELS:
        site.wait_until(request, Status.SUBMITTED)
        services.cancel(request)
    (horse,) = site.wait_for(f"the stop at {point}", lambda: site.hurry() or stopping.stopped_horses())

    site.let_leases_run_out()
    site.healthy()
    other_left_it = take_over(point, site, request)
    send(horse, signal.SIGCONT)
    site.wait_for("the end of the horse that was stopped", lambda: not lives(horse))
    words = assert_no_harm(point, site, request)
    outcome(f"stopped {point}", f"{other_left_it:<10} -> {words}")


def take_over(point: str, site: Site, request: VideoRequest) -> str:
    """What others make of it while the first worker sleeps."""
    if point in UNCERTAIN:
        site.wait_until(request, Status.IN_DOUBT)
        site.assert_account(posted=1000, held=5)
    elif point in CANCELS:
        site.wait_until(request, Status.CANCELED)
    else:
        site.wait_until_done(request)
    return request.status


def assert_no_harm(point: str, site: Site, request: VideoRequest) -> str:
    """What it is in the end: the late id is saved, everything else that comes late is discarded."""
    if point == "submit.claimed":  # it looks at its lease again, and sends nothing
        request.refresh_from_db()
        assert request.status == Status.IN_DOUBT
        assert not site.sandbox.accepted
        site.assert_settled()
        return "in_doubt, never sent"
    if point in CANCELS:
        site.assert_account(posted=1000, held=0)
        words = "canceled, released once"
    else:
        site.wait_until_done(request)
        site.assert_attached(request)
        site.assert_account(posted=995, held=0)
        words = "succeeded, captured once, attached" + (", by the id that came late" if point in UNCERTAIN else "")
    assert site.posts(request) == len(site.sandbox.accepted) == 1
    kinds = [event.kind for event in request.events.all()]
    assert kinds.count("succeeded") + kinds.count("canceled") == 1, kinds
    site.assert_settled()
    return words + ", 1 POST"


@pytest.mark.parametrize("workers", [1, 2, 8] if os.environ.get("GROKVIDEO_FAULT_SECONDS") else [8])
def test_the_ticks_holder_among(workers, site):
    """Stopped for longer than its lease, by everybody's clock, with answers in hand that are old by then."""
    stopping = [site.fleet.worker(stop_at="tick.read") for _worker in range(workers)]
    requests = [site.start(f"Fox {number} [sandbox:queued=300]") for number in range(4)]

    def stopped() -> list[int]:
        site.hurry()
        return [horse for worker in stopping for horse in worker.stopped_horses()]

    (horse,) = site.wait_for("the stop in a tick", stopped)
    token = site.ticks()
    site.healthy()
    site.wait_for("another tick, when the lease has run out", lambda: site.ticks() > token)
    canceled, *others = requests
    site.wait_until(canceled, Status.SUBMITTED)
    services.cancel(canceled, actor="a person")
    site.wait_until(canceled, Status.CANCELED)
    site.sandbox.finish()
    for request in others:
        site.wait_until_done(request)
    token = site.ticks()
    send(horse, signal.SIGCONT)
    site.wait_for("the end of the horse that was stopped", lambda: not lives(horse))

    assert site.ticks() >= token
    for request in requests:
        request.refresh_from_db()
        kinds = [event.kind for event in request.events.all()]
        assert kinds.count("succeeded") + kinds.count("canceled") == 1, kinds
        assert site.posts(request) == 1
    assert [request.status for request in requests] == [Status.CANCELED] + [Status.SUCCEEDED] * 3
    site.assert_account(posted=985, held=0)
    site.assert_settled()


def test_what_a_stopped_tick_has_in_hand_is_discarded(site):
    """The row is still waiting, and somebody else has read it since: what comes late changes nothing of it."""
    stopping = site.fleet.worker(stop_at="tick.read")
    request = site.start("A fox [sandbox:never]")
    (horse,) = site.wait_for("the stop in a tick", lambda: site.hurry() or stopping.stopped_horses())
    site.healthy()

    def read_by_another() -> bool:
        site.hurry()
        request.refresh_from_db()
        return request.reads > 0

    site.wait_for("a read by another", read_by_another)
    send(stopping.pid, signal.SIGSTOP)  # so that it begins nothing else
    for process in site.fleet.processes:
        if process is not stopping:
            process.kill_with_horses()
    before = VideoRequest.objects.filter(pk=request.pk).values().get()
    send(horse, signal.SIGCONT)
    site.wait_for("the end of the horse that was stopped", lambda: not lives(horse))
    assert VideoRequest.objects.filter(pk=request.pk).values().get() == before
