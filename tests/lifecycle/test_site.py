"""The pause of the whole site, and the lease of the tick."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from grokvideo_django.lifecycle import site
from grokvideo_django.models import GatewayState, VideoRequest

from ..credits.test_concurrency import in_threads
from ..making import Status, put, seconds_until
from ..timing import about

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


# -- a pause that comes back


def alerts(caplog):
    return [record.getMessage().split(" (")[0] for record in caplog.records if record.levelno == logging.ERROR]


def flap(now, *, status=401, times=1):
    """Pause and resume within a minute; the moment after it."""
    for _time in range(times):
        site.pause(now, status=status, message="No.")
        assert site.resume(now + timedelta(seconds=20))
        now += timedelta(seconds=40)
    return now


def test_a_pause_that_flaps_alerts_again_only_if_it_keeps_flapping(now, caplog):
    now = flap(now, times=3)
    assert len(alerts(caplog)) == 2
    for _time in range(3):
        site.pause(now, status=401, message="No.")
        assert site.resume(now + timedelta(seconds=20), after=401)
        now += timedelta(seconds=40)
    assert alerts(caplog)[2:] == ["Submissions to the gateway are paused"]


def test_the_probes_of_a_pause_that_flaps_become_rarer(now):
    now = flap(now, times=3)
    site.pause(now, status=401, message="No.")
    assert state().probe_at == now + timedelta(seconds=15 * 2**3)
    assert site.claim_probe(state().probe_at)
    assert (state().probe_at - now).total_seconds() == 15 * 2**3 + 240


def test_a_pause_that_flapped_and_lasts_alerts_in_the_end(now, caplog):
    now = flap(now)
    caplog.clear()
    site.pause(now, status=401, message="No.")
    seen = state()
    assert not site.announce(seen, now + timedelta(minutes=9, seconds=59))
    assert [site.announce(seen, now + timedelta(minutes=10)) for _worker in range(2)] == [True, False]
    assert not site.announce(state(), now + timedelta(minutes=20))
    assert site.resume(now + timedelta(minutes=30))
    assert [text[:40] for text in alerts(caplog)] == [
        "Submissions to the gateway are paused",
        "Submissions to the gateway have resumed ",
    ]


@pytest.mark.parametrize(("status", "minutes"), [(402, 0), (401, 10)])
def test_another_trouble_and_a_later_one_alert(status, minutes, now, caplog):
    now = flap(now) + timedelta(minutes=minutes)
    caplog.clear()
    site.pause(now, status=status, message="No.")
    assert len(alerts(caplog)) == 1
    assert state().probe_at == now + timedelta(seconds=15)


def test_an_end_that_only_a_look_has_seen_is_announced_once_it_has_held(now, caplog):
    """A wallet with a cent in it: the look finds credits, and the next submission is refused again, all day long."""
    site.pause(now, status=402, message="")
    for _time in range(20):
        assert site.resume(now + timedelta(minutes=4), after=402)
        assert not site.announce(state(), now + timedelta(minutes=5))
        site.pause(now + timedelta(minutes=6), status=402, message="")
        now += timedelta(minutes=6)
    assert alerts(caplog) == ["Submissions to the gateway are paused"]
    assert site.resume(now, after=402)
    seen = state()
    assert [site.announce(seen, now + timedelta(minutes=10)) for _worker in range(2)] == [True, False]
    assert not site.announce(state(), now + timedelta(minutes=20))
    assert len(alerts(caplog)) == 2


def test_an_end_that_a_submission_proves_is_announced_at_once(now, caplog):
    site.pause(now, status=402, message="")
    site.resume(now, after=402)
    assert len(alerts(caplog)) == 1
    for _submission in range(2):
        assert not site.resume(now)
    assert [text[:39] for text in alerts(caplog)[1:]] == ["Submissions to the gateway have resumed"]


def test_an_announced_pause_is_not_announced_again(now, caplog):
    site.pause(now, status=402, message="")
    assert not site.announce(state(), now + timedelta(hours=1))
    assert len(alerts(caplog)) == 1


def test_reads_that_work_do_not_make_it_flap(now):
    """A key that may read and not submit: the first pause ends at once, those that come back wait for their probe."""
    site.pause(now, status=401, message="")
    assert site.key_works(now)
    site.pause(now, status=401, message="")
    assert not site.key_works(now + timedelta(seconds=29))
    assert site.key_works(now + timedelta(seconds=30))
    assert not site.key_works(now)
    site.pause(now, status=402, message="")
    assert not site.key_works(now + timedelta(hours=1))


@pytest.mark.django_db(transaction=True)
def test_many_workers_that_see_401_at_once_alert_once(now, caplog):
    GatewayState.objects.ensure()
    outcomes = in_threads(lambda: site.pause(now, status=401, message="Bad key."))
    assert outcomes == {"done": 8}
    assert len(alerts(caplog)) == 1


# -- what may go during a pause


def test_one_submission_is_let_through_once(now):
    assert site.may_submit(now)
    assert not site.let_one_through(now)
    site.pause(now, status=403, message="")
    assert not state().lets_through(now)
    assert not site.may_submit(now)
    assert site.let_one_through(now)
    assert state().lets_through(now)
    assert [site.may_submit(now), site.may_submit(now)] == [True, False]


def test_the_request_that_has_waited_the_longest_tries_at_once(now, editor):
    """It was put off until the next probe."""
    site.pause(now, status=403, message="")
    later = now + timedelta(minutes=4)
    rows = [put(editor, Status.QUEUED, queued_at=ago(now, minutes=age), due_at=later) for age in (3, 9, 6)]
    assert site.let_one_through(now)
    assert [VideoRequest.objects.get(pk=row.pk).due_at for row in rows] == [later, now, later]


def test_one_that_was_refused_lets_others_try_before_it_tries_again(now, editor):
    """Else a single request that the gateway will never take keeps the whole site paused."""
    site.pause(now, status=403, message="")
    later = now + timedelta(minutes=4)
    tries = {"queued_at": ago(now, minutes=9), "submit_attempts": 1}, {"queued_at": ago(now, minutes=3)}
    rows = [put(editor, Status.QUEUED, due_at=later, **columns) for columns in tries]
    assert site.let_one_through(now)
    assert [VideoRequest.objects.get(pk=row.pk).due_at for row in rows] == [later, now]


def test_a_probe_that_is_due_and_that_nobody_claimed_is_a_submission(now):
    site.pause(ago(now, minutes=1), status=402, message="")
    assert state().lets_through(now)
    assert [site.may_submit(now), site.may_submit(now)] == [True, False]


def test_what_was_let_through_is_forgotten_with_its_pause(now):
    site.pause(now, status=403, message="")
    site.let_one_through(now)
    site.resume(now)
    site.pause(now, status=403, message="")
    assert not site.may_submit(now)


def test_a_probe_can_be_asked_for(now):
    assert not site.probe_now(now)
    site.pause(now, status=402, message="")
    assert not state().is_probe_due(now)
    assert site.probe_now(now)
    assert state().is_probe_due(now)


# -- a pause by hand


def test_a_pause_by_hand_ends_by_hand_only(now, editor, caplog):
    assert site.pause_by_hand(now, actor=editor, reason="Too dear")
    assert (state().is_paused_by_hand, state().paused_by, state().pause_reason) == (True, "editor", "Too dear")
    later = now + timedelta(hours=1)
    assert not site.may_submit(later)
    assert not site.let_one_through(later)
    assert not site.probe_now(later)
    assert not site.claim_probe(later)
    assert not site.resume(later)
    assert not site.key_works(later)
    assert not site.announce(state(), later)
    site.pause(later, status=401, message="Bad key.")
    assert (state().pause_status, state().pause_reason, state().probe_at) == (None, "Too dear", None)
    assert not site.pause_by_hand(later, actor=None, reason="Again")
    assert site.resume_by_hand(later, actor=editor, reason="Cheaper now")
    assert (state().is_paused, state().paused_by, state().pause_reason) == (False, "", "")
    assert not site.resume_by_hand(later, actor=editor, reason="")
    assert alerts(caplog) == []
    assert "were paused by editor: Too dear" in caplog.text
    assert "were resumed by editor. Cheaper now" in caplog.text


def test_a_pause_by_hand_ages_nothing(now, editor):
    row = put(editor, Status.QUEUED, queued_at=ago(now, hours=2), queue_expires_at=now)
    site.pause_by_hand(ago(now, hours=1), actor=None, reason="x")
    assert state().paused_by == "the site's code"
    assert site.resume_by_hand(now, actor=None, reason="")
    row.refresh_from_db()
    assert (row.queue_expires_at, row.due_at) == (now + timedelta(hours=1), now)


def test_a_pause_of_the_gateway_becomes_one_by_hand_with_its_beginning(now, caplog):
    site.pause(ago(now, hours=1), status=402, message="Empty.")
    assert site.pause_by_hand(now, actor="cron", reason="Enough")
    assert (state().paused_since, state().pause_status) == (ago(now, hours=1), None)
    assert not site.resume(now)
    assert site.resume_by_hand(now, actor="cron", reason="")
    assert len(alerts(caplog)) == 2


def test_a_refusal_right_after_a_pause_by_hand_is_news(now, caplog):
    flap(now)
    caplog.clear()
    site.pause_by_hand(now, actor="cron", reason="x")
    site.resume_by_hand(now, actor="cron", reason="")
    site.pause(now, status=401, message="")
    assert len(alerts(caplog)) == 1


def test_only_a_pause_by_hand_is_ended_by_hand(now):
    site.pause(now, status=402, message="")
    assert not site.resume_by_hand(now, actor=None, reason="")
    assert state().is_paused


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


def test_a_lease_from_a_clock_that_was_hours_ahead_binds_nobody(now):
    """It was set right, and the worker killed: polling does not wait for hours."""
    wrong = site.acquire_tick(now + timedelta(hours=2), seconds=5)
    token = site.acquire_tick(now, seconds=5)
    assert token == wrong + 1
    assert not site.renew_tick(wrong, now + timedelta(hours=2), seconds=5)
    assert seconds_until(state().tick_lease_until) == about(5)


def test_a_worker_whose_clock_is_hours_behind_takes_the_lease_from_nobody(now, monkeypatch):
    """Whether a lease ends absurdly far ahead is said by the database's clock."""
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has no clock of its own")
    token = site.acquire_tick(now, seconds=5)
    monkeypatch.setattr(timezone, "now", lambda: now - timedelta(hours=2))
    assert site.acquire_tick(timezone.now(), seconds=5) is None
    assert site.renew_tick(token, now, seconds=5)


def test_a_pause_that_somebody_else_ends_meanwhile_is_ended_once(editor, monkeypatch, caplog):
    now = timezone.now()
    site.pause_by_hand(now, actor=editor, reason="Holidays")
    seen = GatewayState.objects.current()
    assert site.resume_by_hand(now, actor="cron", reason="")
    caplog.clear()
    monkeypatch.setattr(GatewayState.objects, "current", lambda: seen)
    assert not site.resume_by_hand(now, actor=editor, reason="")
    assert not caplog.records
