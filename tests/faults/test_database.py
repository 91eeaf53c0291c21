"""The database loses every connection, or is locked for longer than anybody waits, in each phase of a request."""

import os

import pytest

from grokvideo_django.models import VideoRequest

from .chaos import Chaos, patiently
from .conftest import Site
from .test_redis import at_phase

Status = VideoRequest.Status


PHASES = ["submitting", "submitted", "downloading", "unattached"]


@pytest.mark.parametrize("phase", PHASES if os.environ.get("GROKVIDEO_FAULT_SECONDS") else PHASES[:1])
def test_connections_are_lost(phase, site: Site):
    request = at_phase(phase, site)
    Chaos(site).cut_the_databases_connections(0, 0.7)

    def done() -> bool:
        site.fleet.supervise()
        site.hurry()
        site.ring_again_soon()
        request.refresh_from_db()
        return request.status == Status.SUCCEEDED and request.due_at is None

    if phase == "downloading":
        site.let_leases_run_out()  # its horse may have died of it
    site.wait_for("the video", lambda: patiently(done))
    assert site.posts(request) == len(site.sandbox.accepted) == 1
    site.assert_attached(request)
    site.assert_account(posted=995, held=0)
    site.assert_settled()
