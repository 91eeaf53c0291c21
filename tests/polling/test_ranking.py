"""Which of the rows that are due are read first when there is no room for all, and what happens without a history."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from django.utils import timezone

from grokvideo_django.models import VideoRequest
from grokvideo_django.polling import history

from ..making import Status

pytestmark = pytest.mark.django_db


@pytest.fixture
def room_for_one(settings, tick):
    """A budget in which one request has room."""
    settings.GROKVIDEO = {**settings.GROKVIDEO, "REQUESTS_PER_MINUTE": 50}


def late(row: VideoRequest, seconds: float) -> VideoRequest:
    """Sent so long ago, and not read since."""
    VideoRequest.objects.filter(pk=row.pk).update(submitted_at=timezone.now() - timedelta(seconds=seconds))
    return row


def test_a_cancellation_goes_before_every_read(tick, room_for_one, at_gateway, editor):
    others = [late(at_gateway(editor), 120), late(at_gateway(editor), 90)]
    wanted = late(at_gateway(editor, "queued=60", cancel_requested_at=timezone.now()), 1)
    tick()
    wanted.refresh_from_db()
    assert wanted.status == Status.CANCELED
    assert not VideoRequest.objects.filter(pk__in=[row.pk for row in others], reads__gt=0).exists()


def test_what_is_in_doubt_goes_before_what_is_read_often(tick, room_for_one, at_gateway, editor):
    others = [late(at_gateway(editor), 120), late(at_gateway(editor), 90)]
    doubtful = late(at_gateway(editor, "never", Status.IN_DOUBT), 1)
    tick()
    assert list(VideoRequest.objects.filter(reads=1)) == [doubtful]
    assert not VideoRequest.objects.filter(pk__in=[row.pk for row in others], reads__gt=0).exists()


def test_it_reads_although_nothing_can_be_learned(tick, at_gateway, editor, monkeypatch, caplog):
    row = at_gateway(editor)

    def broken(now, *, per_minute):
        raise RuntimeError("boom")

    monkeypatch.setattr(history, "look_ahead", broken)
    assert tick() is True
    row.refresh_from_db()
    assert row.reads == 1
    assert [(record.levelno, record.message) for record in caplog.records if record.exc_info] == [
        (logging.ERROR, "Nothing could be learned from the site's finished requests.")
    ]
