"""``grokvideo_tick``: one round, in words."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from grokvideo_django import services
from grokvideo_django.lifecycle import site
from grokvideo_django.models import VideoRequest
from grokvideo_django.sandbox import Sandbox

from ..conftest import RedisServer, let_time_pass

Status = VideoRequest.Status


def tick() -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("grokvideo_tick", stdout=out, stderr=err)
    return out.getvalue().strip(), err.getvalue().strip()


def test_nothing_to_do(db: None, redis_server: RedisServer) -> None:
    assert tick() == ("0 due. Nothing happened. 0 in flight.", "")


def test_it_says_what_happened(draft: VideoRequest, redis_server: RedisServer, sandbox: Sandbox) -> None:
    services.start(draft)
    VideoRequest.objects.filter(pk=draft.pk).update(queue_expires_at=timezone.now(), due_at=timezone.now())
    assert tick() == ("1 due. What happened: 1 too_old. 0 in flight.", "")
    draft.refresh_from_db()
    assert draft.status == Status.FAILED


def test_a_paused_site_is_mentioned(draft: VideoRequest, redis_server: RedisServer, sandbox: Sandbox) -> None:
    services.start(draft)
    site.pause(timezone.now(), status=402, message="top up")
    out, _err = tick()
    assert out.startswith("0 due. Nothing happened. 1 in flight. Submissions are paused: The site's wallet")


def test_it_works_without_redis_and_says_so(draft: VideoRequest, redis_server: RedisServer, sandbox: Sandbox) -> None:
    services.start(draft)
    let_time_pass()
    redis_server.stop()
    out, err = tick()
    assert err.startswith("Redis cannot be reached (")
    assert out == "1 due. Nothing happened. 1 in flight."
    draft.refresh_from_db()
    assert draft.status == Status.QUEUED


def test_another_worker_is_ticking(db: None, redis_server: RedisServer) -> None:
    assert site.acquire_tick(timezone.now(), seconds=60)
    out, _err = tick()
    assert out == "Another worker is ticking: it has the lease, and does the same work. Nothing was done."


@pytest.mark.parametrize("option", ["--skip-checks", "--verbosity=0"])
def test_the_usual_options_work(option: str, db: None, redis_server: RedisServer) -> None:
    call_command("grokvideo_tick", option, stdout=StringIO())


def test_it_says_who_paused(db: None, redis_server: RedisServer) -> None:
    site.pause_by_hand(timezone.now(), actor="chief", reason="Month's end")
    assert "Submissions are paused by chief: Month's end" in tick()[0]
