"""kill -9 of the worker only, of its horse only, of both, in the middle of what takes long."""

import signal

import pytest

from grokvideo_django import services
from grokvideo_django.models import VideoRequest

from .conftest import Site
from .processes import Process, send

Status = VideoRequest.Status

STALLS = {"submit": "stall=2", "tick": "read-stall=2", "download": "media-stall=2"}


def in_the_middle(phase: str, site: Site) -> tuple[VideoRequest, Process, int]:
    """A request, and the worker and horse that wait for the gateway on its behalf."""
    site.sandbox.behave(STALLS[phase], times=1)
    worker = site.fleet.worker()
    request = site.start()
    site.wait_for(f"the {phase}", lambda: site.hurry() or not site.sandbox.world.script.waiting())
    (horse,) = worker.horses()
    return request, worker, horse


@pytest.mark.parametrize("victim", ["worker", "horse", "both"])
@pytest.mark.parametrize("phase", STALLS)
def test_kill_9(phase, victim, site):
    request, worker, horse = in_the_middle(phase, site)
    match victim:
        case "worker":
            worker.kill()
        case "horse":
            send(horse, signal.SIGKILL)
        case _:
            worker.kill_with_horses()
    site.healthy()

    if victim == "worker":  # the horse leads a group of its own, and finishes
        site.wait_until_done(request)
    else:
        site.let_leases_run_out()
        if phase == "submit":
            site.wait_until(request, Status.IN_DOUBT)
            site.assert_account(posted=1000, held=5)
            job_id = site.sandbox.accepted[0].job_id
            services.resolve(request, "attach", actor="manager", reason="seen there", gateway_job_id=job_id)
        site.wait_until_done(request)
    assert site.posts(request) == len(site.sandbox.accepted) == 1
    site.assert_account(posted=995, held=0)
    site.assert_attached(request)
    site.assert_settled()
