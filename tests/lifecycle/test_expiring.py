"""A warning before the gateway deletes a file."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from grokvideo_django import jobs, services
from grokvideo_django.lifecycle import deciding, expiring, reading, storing
from grokvideo_django.models import VideoRequest

from ..making import Status, last_event, lease_of, many, put, shift, unchanged

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
STORED = storing.Stored(
    video="v.mp4", poster="", seconds=1, width=1, height=1, has_audio=False, size_bytes=1, sha256="0" * 64
)


@pytest.fixture
def now():
    return timezone.now()


def render(row):
    VideoRequest.objects.filter(pk=row.pk).update(due_at=timezone.now())
    token = reading.claim([row.pk], now=timezone.now(), until=timezone.now() + DAY)
    assert reading.rendered(token, [reading.Rendered(pk=row.pk, url="https://x.example/v.mp4")]) == [row.pk]
    row.refresh_from_db()
    return row


def kept(row):
    row.refresh_from_db()
    return row.file_expires_at, row.file_warn_at


@pytest.fixture
def finished(editor):
    """Finished at the gateway, not stored here."""
    return render(put(editor, Status.SUBMITTED, lease_token=None))


def test_a_finished_video_is_kept_for_seven_days_and_warned_of_within_the_last(finished):
    expires_at, warn_at = kept(finished)
    assert expires_at - finished.rendered_at == pytest.approx(timedelta(days=7), abs=timedelta(seconds=1))
    assert expires_at - warn_at == timedelta(hours=23)


def test_asked_about_again_its_file_is_as_old_as_it_was(finished):
    shift(finished, file_expires_at=2 * DAY, file_warn_at=2 * DAY)
    before = kept(finished)
    storing.doubt(lease_of(finished), code="media", message="No video.")
    VideoRequest.objects.filter(pk=finished.pk).update(status=Status.IN_DOUBT)
    deciding.resolve(finished.pk, "ask_again", actor=None, reason="x", now=timezone.now())
    assert kept(render(finished)) == before


def test_what_was_warned_of_is_not_warned_of_again_when_it_is_asked_about_again(finished, caplog):
    shift(finished, file_expires_at=6.5 * DAY, file_warn_at=6.5 * DAY)
    assert expiring.warn(timezone.now()) == [finished.pk]
    VideoRequest.objects.filter(pk=finished.pk).update(status=Status.SUBMITTED)
    render(finished)
    assert expiring.warn(timezone.now()) == []
    assert len(caplog.records) == 1


def test_the_same_job_attached_again_has_the_same_file(editor, finished):
    before = kept(finished)
    VideoRequest.objects.filter(pk=finished.pk).update(status=Status.IN_DOUBT)
    job_id = finished.gateway_job_id
    deciding.resolve(finished.pk, "attach", actor=None, reason="x", now=timezone.now(), gateway_job_id=job_id)
    assert kept(finished) == before
    assert None not in before


def test_another_job_has_another_file(editor, finished):
    VideoRequest.objects.filter(pk=finished.pk).update(status=Status.IN_DOUBT)
    deciding.resolve(finished.pk, "attach", actor=None, reason="x", now=timezone.now(), gateway_job_id="job_other")
    assert kept(finished) == (None, None)


@pytest.mark.parametrize("status", [Status.SUBMITTED, Status.RENDERED, Status.IN_DOUBT])
def test_it_warns_once_with_one_alert_and_an_event_each(status, editor, now, caplog):
    soon, warn_at = now + timedelta(hours=20), now - timedelta(hours=3)
    rows = [put(editor, status, file_expires_at=soon, file_warn_at=warn_at) for _ in range(2)]
    later = put(editor, status, file_expires_at=now + 2 * DAY, file_warn_at=now + DAY)
    pks = [row.pk for row in rows]
    assert expiring.warn(now) == pks
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert f"not stored here: {pks[0]}, {pks[1]}." in caplog.text
    for row in rows:
        assert kept(row) == (soon, None)
        event = last_event(row)
        assert (event.kind, event.from_status, event.to_status) == ("file_expiring", status, status)
    assert last_event(later).kind == "queued"
    with unchanged():
        assert expiring.warn(now) == []
    assert len(caplog.records) == 1


def test_a_tick_warns(editor, now, sandbox, redis_server, caplog):
    row = put(editor, Status.IN_DOUBT, file_expires_at=now + timedelta(hours=20), file_warn_at=now, due_at=None)
    for _tick in range(2):
        jobs.tick(0)
    assert [event.kind for event in row.events.all()].count("file_expiring") == 1
    assert len(caplog.records) == 1


def test_nothing_to_warn_of_is_one_query(editor, now):
    put(editor, Status.IN_DOUBT, file_expires_at=now, file_warn_at=None)
    with CaptureQueriesContext(connection) as queries:
        assert expiring.warn(now) == []
    assert len(queries) == 1


@pytest.mark.parametrize("count", [2, 60])
def test_many_are_a_constant_number_of_queries(count, editor, now):
    for status in (*expiring.AT_RISK, Status.SUCCEEDED):
        many(editor, count, status, file_warn_at=now, file_expires_at=now)
    with CaptureQueriesContext(connection) as queries:
        assert len(expiring.warn(now)) == 3 * count
    statements = [query for query in queries if "SAVEPOINT" not in query["sql"]]
    assert len(statements) == 8
    assert not VideoRequest.objects.filter(file_warn_at__isnull=False).exists()


def test_what_another_worker_warns_of_meanwhile_is_left_to_it(editor, now, monkeypatch, caplog):
    first, second = (put(editor, Status.RENDERED, file_expires_at=now, file_warn_at=now) for _ in range(2))
    VideoRequest.objects.filter(pk=first.pk).update(file_warn_at=None)
    assert expiring._warn([first.pk, second.pk], Status.RENDERED, now) == [second.pk]
    assert (last_event(first).kind, last_event(second).kind) == ("queued", "file_expiring")


@pytest.mark.parametrize("end", ["stored", "released", "charged", "failed", "canceled"])
def test_what_has_ended_needs_no_warning(end, editor, now, caplog):
    status = {"stored": Status.RENDERED, "failed": Status.SUBMITTED, "canceled": Status.SUBMITTED}.get(
        end, Status.IN_DOUBT
    )
    row = put(editor, status, file_expires_at=now, file_warn_at=now)
    match end:
        case "stored":
            assert storing.succeed(lease_of(row), STORED)
        case "failed":
            assert reading.ended_without_video(lease_of(row), code="x", message="x")
        case "canceled":
            assert reading.canceled(lease_of(row), asked=True)
        case _:
            services.resolve(row, {"released": "release", "charged": "charge"}[end], actor=None, reason="x")
    assert kept(row) == (None, None)
    assert expiring.warn(now) == []


def test_what_has_moved_on_is_no_news(editor, now, caplog):
    """Stored by a worker of another release, that left the columns as they were."""
    row = put(editor, Status.SUCCEEDED, file_warn_at=now, file_expires_at=now + DAY)
    assert expiring.warn(now) == []
    assert kept(row) == (now + DAY, None)
    assert not caplog.records


def test_a_doubt_that_says_so_is_the_warning(editor, now, caplog):
    row = put(editor, Status.RENDERED, file_expires_at=now, file_warn_at=now)
    assert storing.doubt(lease_of(row), code="not_stored", message="Disk full. It is deleted soon.", warns=True)
    assert kept(row) == (now, None)
    assert expiring.warn(now) == []
    assert len(caplog.records) == 1
