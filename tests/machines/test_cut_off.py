"""One of two hosts is cut off in mid-work, and comes back: nothing is lost, nothing is paid for twice."""

from __future__ import annotations

import time

import pytest

from grokvideo_django import services
from grokvideo_django.models import VideoRequest

from ..faults.processes import lives

pytestmark = pytest.mark.django_db(transaction=True)

Status = VideoRequest.Status
STALLS = {"submit": "stall=2", "tick": "read-stall=3", "download": "media-stall=2"}


def assert_paid_once(machines, request) -> None:
    assert machines.posts(request) == 1
    kinds = [event.kind for event in request.events.all()]
    assert kinds.count("succeeded") == 1, kinds
    page = request.target
    with page.clip.open("rb") as copy, request.video.open("rb") as video:
        assert copy.read() == video.read()


@pytest.mark.parametrize("phase", STALLS)
def test_in_the_middle_of(phase, machines):
    machines.sandbox.behave(STALLS[phase], times=1)
    fleet = machines.works("a")
    request = machines.start()
    waits = machines.sandbox.world.script.waiting
    machines.wait_for(f"the {phase}", lambda: machines.hurry() or not waits())
    (horse,) = [pid for process in fleet.processes for pid in process.horses()]
    host = machines.hosts["a"]
    host.cut_off()
    began = time.monotonic()
    machines.works("b")

    if phase == "submit":
        machines.let_leases_run_out()
        machines.wait_until(request, Status.IN_DOUBT)
    else:
        if phase == "download":  # a minute and more; the tick's is waited for
            machines.let_leases_run_out()
        machines.wait_until_done(request)
    print(f"{phase}: the other host took over {time.monotonic() - began:.1f} s after the cut, {request.status}")
    assert lives(horse)

    host.reconnect()
    if phase == "submit":  # the answer arrives now, and its id is saved whatever the row has become
        machines.wait_until_done(request)
    machines.wait_for("the end of what was cut off", lambda: not lives(horse))
    request.refresh_from_db()
    assert request.status == Status.SUCCEEDED
    assert_paid_once(machines, request)
    machines.assert_account(posted=995, held=0)
    machines.assert_settled()


def test_while_both_work(machines):
    """New requests come all the time. The host that is cut off may swallow doorbells: rows are rung for again."""
    for name in machines.hosts:
        machines.works(name, workers=2)
    requests = [machines.start(f"Fox {number} [sandbox:delay=1]") for number in range(6)]
    machines.wait_for("work", lambda: machines.hurry() or len(machines.sandbox.accepted) > 1)
    host = machines.hosts["a"]
    host.cut_off()
    requests += [machines.start(f"Fox {number}") for number in range(6, 10)]
    time.sleep(8)  # longer than the tick's lease
    machines.let_leases_run_out()  # longer than everybody's

    def settled() -> bool:
        machines.hurry()
        waiting = VideoRequest.objects.exclude(status__in=[Status.SUCCEEDED, Status.IN_DOUBT])
        return not waiting.exists()

    machines.wait_for("everything done by the host that is left", settled)
    host.reconnect()
    machines.wait_for("no POST on its way", lambda: not machines.busy() or None)
    for request in requests:
        request.refresh_from_db()
        if request.status == Status.IN_DOUBT:  # it was cut off with the POST on its way, and nobody knows
            decide(machines, request)
    done = [request for request in requests if machines.posts(request)]
    for request in done:
        machines.wait_until_done(request)
        assert_paid_once(machines, request)
    assert max(machines.posts(request) for request in requests) == 1
    assert len(done) >= len(requests) - 4
    machines.assert_settled()


def decide(machines, request) -> None:
    jobs = [accepted.job_id for accepted in machines.sandbox.accepted if accepted.idempotency_key == request.key]
    if jobs:
        services.resolve(request, "attach", actor="manager", reason="seen there", gateway_job_id=jobs[0])
    else:
        services.resolve(request, "release", actor="manager", reason="not there")
