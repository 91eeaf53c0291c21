"""The pause of the whole site, and the lease of the tick."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from django.utils import timezone

from grokvideo_django.lifecycle import site
from grokvideo_django.models import GatewayState

from ..making import Status, put, seconds_until

pytestmark = pytest.mark.django_db


@pytest.fixture
def now():
    return timezone.now().replace(microsecond=123_000)


def state():
    return GatewayState.objects.current()


def ago(now, **delta):
    return now - timedelta(**delta)


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_pause_says_why_and_alerts(status, now, caplog):
    site.pause(now, status=status, message="Go away.")
    assert state().is_paused
    assert (state().paused_since, state().pause_status, state().probes) == (now, status, 0)
    assert state().pause_reason == f"{site.REASONS[status]} It says: Go away."
    assert state().probe_at == now + timedelta(seconds=15)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert str(status) in caplog.text


def test_a_pause_without_words(now, caplog):
    site.pause(now, status=402, message="")
    assert state().pause_reason == site.REASONS[402]


def test_a_pause_that_is_on_keeps_its_beginning_and_alerts_no_more(now, caplog):
    site.pause(ago(now, hours=1), status=402, message="Empty.")
    site.claim_probe(now)
    probe_at = state().probe_at
    site.pause(now, status=401, message="Bad key.")
    assert (state().paused_since, state().probe_at, state().probes) == (ago(now, hours=1), probe_at, 1)
    assert (state().pause_status, "Bad key." in state().pause_reason) == (401, True)
    assert len(caplog.records) == 1


def test_probes_come_after_15_seconds_and_then_ever_later(now):
    site.pause(now, status=402, message="")
    pauses = []
    for _probe in range(7):
        at = state().probe_at
        assert not site.claim_probe(at - timedelta(milliseconds=1))
        assert site.claim_probe(at)
        pauses.append((state().probe_at - at).total_seconds())
    assert pauses == [30, 60, 120, 240, 300, 300, 300]
    assert site.probe_seconds(10**6) == 300


def test_only_one_caller_gets_the_probe(now, monkeypatch):
    site.pause(ago(now, hours=1), status=402, message="")
    seen = state()
    monkeypatch.setattr(type(GatewayState.objects), "current", lambda self: seen)  # both looked before either wrote
    assert [site.claim_probe(now), site.claim_probe(now)] == [True, False]


def test_there_is_no_probe_without_a_pause(now):
    assert not site.claim_probe(now)
    GatewayState.objects.ensure()
    assert not site.claim_probe(now)


def test_resuming_makes_waiting_rows_due_and_does_not_age_them(now, editor, caplog):
    """What was queued before the pause waits as much longer as it lasted; what came during it has its whole time."""
    since = ago(now, hours=10)
    before = put(editor, Status.QUEUED, queued_at=ago(now, hours=20), queue_expires_at=now + timedelta(hours=4))
    during = put(editor, Status.QUEUED, queued_at=ago(now, hours=9), queue_expires_at=now + timedelta(hours=15))
    sent = put(editor, Status.SUBMITTED, queued_at=ago(now, hours=20), queue_expires_at=now)
    due_at = sent.due_at
    site.pause(since, status=402, message="")
    caplog.clear()
    assert site.resume(now)
    for row, expires_at, due in (
        (before, now + timedelta(hours=14), now),
        (during, now + timedelta(hours=24), now),
        (sent, now, due_at),
    ):
        row.refresh_from_db()
        assert (row.queue_expires_at, row.due_at) == (expires_at, due)
    assert (state().is_paused, state().pause_status, state().pause_reason) == (False, None, "")
    assert (state().probe_at, state().probes) == (None, 0)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_resuming_what_is_not_paused_is_nothing(now, editor, caplog):
    row = put(editor, Status.QUEUED)
    assert not site.resume(now)
    row.refresh_from_db()
    assert seconds_until(row.due_at) > 30
    assert not caplog.records


def test_a_pause_ends_once(now, monkeypatch, editor):
    site.pause(ago(now, hours=1), status=402, message="")
    row = put(editor, Status.QUEUED, queued_at=ago(now, hours=2), queue_expires_at=now)
    seen = state()
    monkeypatch.setattr(type(GatewayState.objects), "current", lambda self: seen)
    assert [site.resume(now), site.resume(now)] == [True, False]
    row.refresh_from_db()
    assert row.queue_expires_at == now + timedelta(hours=1)


@pytest.mark.parametrize(("after", "status", "resumed"), [(401, 401, True), (401, 402, False), (None, 402, True)])
def test_a_read_that_works_proves_the_key_and_not_the_wallet(after, status, resumed, now):
    site.pause(now, status=status, message="")
    assert site.resume(now, after=after) == resumed
    assert state().is_paused == (not resumed)


# -- the tick's lease


def test_one_has_the_lease_until_it_is_given_back(now):
    first = site.acquire_tick(now, seconds=60)
    assert first is not None
    assert (state().ticked_at, state().tick_lease_until) == (now, now + timedelta(seconds=60))
    assert site.acquire_tick(now + timedelta(seconds=60), seconds=60) is None
    site.release_tick(first)
    second = site.acquire_tick(now, seconds=60)
    assert second > first


def test_the_lease_of_the_dead_is_taken_over_and_they_cannot_come_back(now):
    first = site.acquire_tick(now, seconds=60)
    later = now + timedelta(seconds=61)
    second = site.acquire_tick(later, seconds=60)
    assert second is not None
    assert not site.renew_tick(first, later, seconds=600)
    site.release_tick(first)
    assert state().tick_lease_until == later + timedelta(seconds=60)
    assert site.renew_tick(second, later, seconds=90)
    assert state().tick_lease_until == later + timedelta(seconds=90)


def test_a_lease_that_was_given_back_cannot_be_renewed(now):
    token = site.acquire_tick(now, seconds=60)
    site.release_tick(token)
    assert not site.renew_tick(token, now, seconds=60)
    assert state().tick_lease_until is None
