"""One loop for the whole site: its lease, what it reads and looks after, and when it ends."""

from __future__ import annotations

import logging
import time
import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from grokvideo_django import credits, submission
from grokvideo_django.gateway import RateLimit
from grokvideo_django.lifecycle import money, reading, site, submitting
from grokvideo_django.models import CreditAccount, GatewayState, VideoRequest
from grokvideo_django.polling import rate
from grokvideo_django.polling import tick as ticking
from grokvideo_django.polling.reader import Reader

from ..making import Status, last_event, many, overdue, put, seconds_until, unchanged
from ..timing import about

pytestmark = pytest.mark.django_db


def state():
    return GatewayState.objects.current()


def put_due(owner, status, **values):
    row = put(owner, status, **values)
    overdue(row)
    return row


# -- the lease


def test_only_one_ticks_and_the_other_has_answered_its_bell(tick, bell, editor):
    row = put_due(editor, Status.QUEUED)
    token = site.acquire_tick(timezone.now(), seconds=60)
    with unchanged():
        assert tick() is False
    assert (bell.cleared, bell.rings, bell.submitted) == (1, [], [])
    site.release_tick(token)
    assert tick() is True
    assert bell.submitted == [row.pk]


def test_the_lease_of_the_dead_is_taken_over(tick):
    site.acquire_tick(timezone.now() - timedelta(seconds=61), seconds=60)
    assert tick() is True


def test_the_leases_are_short_and_go_on_while_the_gateway_takes_its_time(tick, at_gateway, editor, monkeypatch):
    monkeypatch.setattr(ticking, "LEASE_SECONDS", 1.5)
    monkeypatch.setattr("grokvideo_django.polling.reads.LEASE_SECONDS", 1.5)
    row = at_gateway(editor, "delay=0 read-stall=4")
    began = timezone.now()
    seen = []
    real = reading.renew

    def look(token, *, until):
        seen.append((state().tick_lease_until, until))
        assert site.acquire_tick(timezone.now(), seconds=60) is None
        return real(token, until=until)

    monkeypatch.setattr(reading, "renew", look)
    tick()
    row.refresh_from_db()
    assert row.status == Status.RENDERED
    assert seen[-1][0] > began + timedelta(seconds=2.5)  # the first ones ended after 1.5 s
    assert seen[-1][1] == pytest.approx(seen[-1][0], abs=timedelta(seconds=1))


def test_a_takeover_ends_the_loop(tick, bell, at_gateway, editor):
    at_gateway(editor, due_at=timezone.now() + timedelta(seconds=1))

    def take_over():
        GatewayState.objects.update(tick_token=1000, tick_lease_until=timezone.now() + timedelta(hours=1))
        return False

    bell.other_work = take_over
    assert tick(10) is True
    assert bell.looks == 1
    assert state().tick_lease_until > timezone.now()  # the other's lease is not given back


def test_the_loop_renews_its_lease(tick, bell, at_gateway, editor):
    at_gateway(editor, due_at=timezone.now() + timedelta(seconds=1))

    def almost_over():
        GatewayState.objects.update(tick_lease_until=timezone.now() + timedelta(seconds=1))
        return bell.looks == 2

    bell.other_work = almost_over
    bell.on_ring = lambda: None
    seen = []
    real = ticking.Tick.round

    def look(self):
        seen.append(seconds_until(state().tick_lease_until))
        real(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ticking.Tick, "round", look)
        tick(10)
    assert seen == about([5, 5])


def test_a_loop_that_raises_gives_the_lease_back(tick, bell, at_gateway, editor):
    at_gateway(editor)

    def broken():
        raise RuntimeError("boom")

    bell.other_work = broken
    with pytest.raises(RuntimeError, match="boom"):
        tick(10)
    assert state().tick_lease_until is None


# -- when it ends, and what it leaves


def test_a_successor_is_rung_for_only_after_the_lease_is_given_back(tick, bell, at_gateway, editor):
    at_gateway(editor)
    bell.on_ring = lambda: state().tick_lease_until
    tick()
    assert bell.rings == [None]


def test_it_ends_at_once_and_for_good_when_nothing_is_in_flight(tick, bell, editor):
    put(editor, Status.SUCCEEDED, due_at=None, lease_token=None)
    began = time.monotonic()
    tick(60)
    assert time.monotonic() - began < 30
    assert (bell.rings, bell.looks) == ([], 0)


def test_what_is_in_doubt_does_not_keep_it_going(tick, bell, editor):
    put(editor, Status.IN_DOUBT, due_at=timezone.now() + timedelta(hours=1), lease_token=None)
    put(editor, Status.IN_DOUBT, due_at=None, lease_token=None)
    tick(20)
    assert (bell.rings, bell.looks) == ([], 0)


def test_what_is_in_doubt_and_due_soon_is_waited_for_asleep(tick, bell, editor):
    """Not by tick after tick, each of which ends at once."""
    put(editor, Status.IN_DOUBT, due_at=timezone.now() + timedelta(seconds=30), lease_token=None)
    bell.other_work = lambda: bell.looks > 1
    began = time.monotonic()
    tick(20)
    assert (bell.looks, len(bell.rings)) == (2, 1)
    assert time.monotonic() - began >= 0.9


def test_it_yields_as_soon_as_other_jobs_wait(tick, bell, at_gateway, editor):
    at_gateway(editor)
    bell.other_work = lambda: True
    began = time.monotonic()
    tick(60)
    assert time.monotonic() - began < 30
    assert (bell.looks, len(bell.rings)) == (1, 1)


def test_it_ends_when_its_time_is_up(tick, bell, editor):
    put(editor, Status.QUEUED)
    began = time.monotonic()
    tick(0.5)
    assert time.monotonic() - began < ticking.LOOP_SECONDS
    assert len(bell.rings) == 1


@pytest.mark.parametrize(
    ("seconds", "pause", "nap"), [(-5, 0, 0.1), (0.5, 0, 0.5), (500, 0, 1.0), (-5, 0.7, 0.7), (-5, 60, 1.0)]
)
def test_naps_are_short_and_end_when_something_is_due(seconds, pause, nap, bell, editor):
    put(editor, Status.SUBMITTED, due_at=timezone.now() + timedelta(seconds=seconds))
    one = ticking.Tick(bell, reader=None, gate=None, token=0)
    one._reads._wait_seconds = pause
    assert one._nap() == about(nap, within=0.02)


# -- looking after


@pytest.mark.parametrize("status", [Status.QUEUED, Status.RENDERED, Status.SUCCEEDED])
def test_a_row_that_nobody_took_is_rung_for_again(status, tick, bell, editor):
    row = put_due(editor, status)
    early = put(editor, status)
    events = row.events.count()
    tick()
    assert (bell.submitted, bell.fetched) == (([row.pk], []) if status == Status.QUEUED else ([], [row.pk]))
    row.refresh_from_db()
    assert (row.status, row.lease_token, row.events.count()) == (status, None, events)
    assert seconds_until(row.due_at) == about(30)
    tick()
    assert len(bell.submitted + bell.fetched) == 1
    early.refresh_from_db()
    assert early.lease_token is not None


def test_it_rings_only_while_the_queue_has_room_the_longest_waiting_first(tick, bell, editor):
    rows = [put_due(editor, Status.QUEUED) for _ in range(3)]
    films = [put_due(editor, Status.RENDERED) for _ in range(2)]
    for position, row in enumerate(reversed(rows)):
        VideoRequest.objects.filter(pk=row.pk).update(due_at=timezone.now() - timedelta(minutes=9 - position))
    bell.space = 4
    tick()
    assert bell.submitted == [row.pk for row in reversed(rows)]
    assert bell.fetched == [films[0].pk]
    films[1].refresh_from_db()
    assert films[1].due_at < timezone.now()


def test_a_full_queue_is_left_alone(tick, bell, editor):
    put_due(editor, Status.QUEUED)
    put_due(editor, Status.RENDERED)
    bell.space = 0
    with unchanged():
        tick()
    assert (bell.submitted, bell.fetched, len(bell.rings)) == ([], [], 1)


def test_a_submission_whose_worker_died_is_in_doubt(tick, editor):
    dead, alive = put_due(editor, Status.SUBMITTING), put(editor, Status.SUBMITTING)
    tick()
    dead.refresh_from_db()
    alive.refresh_from_db()
    assert (dead.status, dead.error_code, dead.due_at) == (Status.IN_DOUBT, "worker_died", None)
    assert alive.status == Status.SUBMITTING
    assert CreditAccount.objects.get().held == 10


def test_a_row_that_raises_waits_and_the_others_go_on(tick, editor, monkeypatch, caplog):
    first, second = put_due(editor, Status.SUBMITTING), put_due(editor, Status.SUBMITTING)
    real = submitting.abandoned

    def act(pk, now):
        if pk == first.pk:
            raise RuntimeError("boom")
        return real(pk, now)

    monkeypatch.setattr(submitting, "abandoned", act)
    tick()
    for row in (first, second):
        row.refresh_from_db()
    assert (first.status, second.status) == (Status.SUBMITTING, Status.IN_DOUBT)
    assert seconds_until(first.due_at) == about(60)
    assert f"Request {first.pk} could not be looked after." in caplog.text


def test_what_waits_too_long_fails(tick, bell, editor):
    old = put_due(editor, Status.QUEUED, queue_expires_at=timezone.now())
    young = put_due(editor, Status.QUEUED)
    eternal = put_due(editor, Status.QUEUED, queue_expires_at=None)
    tick()
    for row in (old, young, eternal):
        row.refresh_from_db()
    assert (old.status, old.charged_credits) == (Status.FAILED, 0)
    assert (young.status, eternal.status) == (Status.QUEUED, Status.QUEUED)
    assert bell.submitted == [young.pk, eternal.pk]


# -- the paused site


def test_a_paused_site_rings_for_nothing_and_ages_nothing(tick, bell, editor):
    now = timezone.now()
    site.pause(now, status=402, message="")
    old = put_due(editor, Status.QUEUED, queue_expires_at=now)
    young = put_due(editor, Status.QUEUED)
    GatewayState.objects.update(probe_at=now + timedelta(seconds=200))
    tick()
    for row in (old, young):
        row.refresh_from_db()
        assert (row.status, seconds_until(row.due_at)) == (Status.QUEUED, about(200))
    assert bell.submitted == []


@pytest.mark.parametrize("probe_at", [None, "soon"])
def test_while_it_waits_for_the_next_probe_rows_are_not_looked_at_all_the_time(probe_at, tick, editor):
    now = timezone.now()
    site.pause(now, status=402, message="")
    GatewayState.objects.update(probe_at=probe_at and now + timedelta(seconds=5))
    row = put_due(editor, Status.QUEUED)
    tick()
    row.refresh_from_db()
    assert seconds_until(row.due_at) == about(15)


def test_one_probe_goes_out_when_it_is_due(tick, bell, editor):
    now = timezone.now()
    site.pause(now - timedelta(seconds=20), status=402, message="")
    rows = [put_due(editor, Status.QUEUED) for _ in range(3)]
    tick()
    assert bell.submitted == [rows[0].pk]
    for row in rows:
        row.refresh_from_db()
    assert [seconds_until(row.due_at) for row in rows] == about([30, 20, 20], within=10)
    assert all(row.due_at > timezone.now() for row in rows)


def test_one_that_is_refused_again_and_again_lets_others_try(tick, bell, editor):
    site.pause(timezone.now() - timedelta(seconds=20), status=403, message="")
    refused, other = put_due(editor, Status.QUEUED, submit_attempts=1), put_due(editor, Status.QUEUED)
    tick()
    assert bell.submitted == [other.pk]
    refused.refresh_from_db()
    assert seconds_until(refused.due_at) > 10


def test_a_paused_site_is_read_on(tick, at_gateway, editor):
    site.pause(timezone.now(), status=402, message="")
    row = at_gateway(editor, "delay=0")
    tick()
    row.refresh_from_db()
    assert row.status == Status.RENDERED
    assert state().is_paused


def test_after_the_pause_time_counts_again(tick, editor):
    now = timezone.now()
    site.pause(now - timedelta(hours=30), status=402, message="")
    row = put_due(
        editor, Status.QUEUED, queued_at=now - timedelta(hours=40), queue_expires_at=now - timedelta(hours=16)
    )
    tick()
    row.refresh_from_db()
    assert row.status == Status.QUEUED
    site.resume(now)
    row.refresh_from_db()
    assert seconds_until(row.queue_expires_at) == about(14 * 3600)
    VideoRequest.objects.filter(pk=row.pk).update(queue_expires_at=now, due_at=now)
    tick()
    row.refresh_from_db()
    assert (row.status, row.error_code, row.charged_credits) == (Status.FAILED, "queue_age", 0)


# -- reading


def test_what_is_finished_is_rendered_and_rung_for_once(tick, bell, at_gateway, editor):
    done, pending = at_gateway(editor, "delay=0"), at_gateway(editor, "never")
    tick()
    done.refresh_from_db()
    pending.refresh_from_db()
    assert (done.status, done.reported_seconds) == (Status.RENDERED, pytest.approx(1, abs=0.1))
    assert done.result_url.startswith("http://127.0.0.1")
    assert (pending.status, pending.gateway_status, pending.reads) == (Status.SUBMITTED, "processing", 1)
    assert seconds_until(pending.due_at) == about(4.5, within=2.5)
    assert bell.fetched == [done.pk]
    tick()
    assert bell.fetched == [done.pk]


def test_only_what_is_due_is_read(tick, sandbox, at_gateway, editor):
    at_gateway(editor, due_at=timezone.now() + timedelta(seconds=30))
    tick()
    assert sandbox.answers["read 200"] == 0


def test_reads_keep_to_the_request_budget_the_latest_first(tick, sandbox, at_gateway, editor, settings):
    """Not the longest due: those that have probably been finished the longest."""
    rows = [at_gateway(editor) for _ in range(4)]
    now = timezone.now()
    for row, age, seen in zip(rows, (10, 60, 70, 80), (0, 58, 20, 30), strict=True):
        VideoRequest.objects.filter(pk=row.pk).update(
            due_at=now - timedelta(seconds=100 - age),
            submitted_at=now - timedelta(seconds=age),
            last_read_at=now - timedelta(seconds=age - seen),
        )
    settings.GROKVIDEO = {**settings.GROKVIDEO, "REQUESTS_PER_MINUTE": 100}
    tick()
    assert [row.pk for row in VideoRequest.objects.filter(reads=1).order_by("-pk")] == [rows[3].pk, rows[2].pk]
    assert sandbox.answers["read 200"] == 2
    rate.gate().learn(RateLimit(limit=100, remaining=0, reset_seconds=60))
    with unchanged():
        tick()
    assert sandbox.answers["read 200"] == 2


def test_a_loop_naps_until_the_budget_has_room(bell, at_gateway, editor, redis_server):
    at_gateway(editor)
    gate = rate.gate()
    gate.block(30)
    with Reader(submission.client) as reader:
        one = ticking.Tick(bell, reader, gate, 0)
        one.round()
        assert one._reads.pressed_seconds == about(30)
        assert one._nap() == 1.0
        redis_server.flush()
        one.round()
        assert one._reads.pressed_seconds == 0


@pytest.mark.parametrize("count", [2, 50])
def test_a_round_takes_a_constant_number_of_queries(count, tick, bell, at_gateway, sandbox, editor, settings):
    settings.GROKVIDEO = {**settings.GROKVIDEO, "REQUESTS_PER_MINUTE": 600_000}
    past = timezone.now() - timedelta(seconds=1)
    sent = {"due_at": past, "submitted_at": past}  # of one age: the next look at them is the same
    rows = [*(at_gateway(editor, **sent) for _ in range(2)), *many(editor, count - 2, due_at=past)]
    many(editor, count, Status.QUEUED, due_at=past)
    many(editor, count, Status.RENDERED, due_at=past)
    bell.space = 1000
    with Reader(submission.client) as reader:
        one = ticking.Tick(bell, reader, rate.gate(), 0)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            one.round()
    assert VideoRequest.objects.filter(pk__in=[row.pk for row in rows], reads=1).count() == count
    assert (len(bell.submitted), len(bell.fetched)) == (count, count)
    # Looking after: due rows, the pause, two UPDATEs. Reading: due rows, claim, what was claimed; one UPDATE for each
    # of the distinct outcomes (pending; unknown jobs); the pause. Learning, every ten seconds: what is finished, what
    # was sent lately, how many are in flight, and what is published.
    assert len(queries) <= 15, [query["sql"][:90] for query in queries]


@pytest.mark.parametrize(
    ("waiting", "paused", "read"), [(1, False, [False, True]), (0, False, [True, True]), (1, True, [True, True])]
)
def test_while_submissions_wait_only_what_is_late_is_worth_a_read(
    waiting, paused, read, bell, at_gateway, editor, redis_server
):
    """Of the request budget that both share, each read takes a submission; of a paused site's it takes nothing."""
    now = timezone.now()
    ages = 15, 120
    rows = [at_gateway(editor, due_at=now, submitted_at=now - timedelta(seconds=age)) for age in ages]
    many(editor, waiting, Status.QUEUED, due_at=now)
    if paused:
        site.pause(now, status=402, message="")
    assert ticking.in_passing(bell, new_client=submission.client, gate=rate.gate())
    assert [VideoRequest.objects.get(pk=row.pk).reads == 1 for row in rows] == read


def test_a_row_that_is_being_read_is_not_read_twice(tick, at_gateway, sandbox, editor):
    row = at_gateway(editor)
    VideoRequest.objects.filter(pk=row.pk).update(
        lease_token=uuid.uuid4(), due_at=timezone.now() + timedelta(seconds=60)
    )
    tick()
    assert sandbox.answers["read 200"] == 0


def test_a_round_whose_rows_another_took_writes_nothing(bell, at_gateway, editor, redis_server, monkeypatch):
    """Its lease ran out while it read; the other's writes stand."""
    row = at_gateway(editor, "delay=0")
    theirs = uuid.uuid4()

    class Slow(Reader):
        def ask(self, rows, *, beat):
            answers = super().ask(rows, beat=beat)
            VideoRequest.objects.filter(pk=row.pk).update(lease_token=theirs)
            return answers

    with Slow(submission.client) as reader:
        ticking.Tick(bell, reader, rate.gate(), 0).round()
    row.refresh_from_db()
    assert (row.status, row.lease_token, row.reads) == (Status.SUBMITTED, theirs, 0)
    assert bell.fetched == []
    assert last_event(row).kind == "queued"


# -- grants


def test_expired_grants_expire_visibly(tick, editor, account):
    credits.grant(editor, 7, expires_at=timezone.now() + timedelta(days=1))
    account.grants.update(expires_at=timezone.now() - timedelta(seconds=1))
    tick()
    account.refresh_from_db()
    assert account.posted == 0


def test_trouble_with_grants_does_not_stop_the_tick(tick, bell, editor, monkeypatch, caplog):
    row = put_due(editor, Status.QUEUED)

    def broken(now):
        raise RuntimeError("boom")

    monkeypatch.setattr(credits, "expire_due", broken)
    assert tick() is True
    assert bell.submitted == [row.pk]
    assert caplog.records[0].levelno == logging.ERROR


# -- what was made and cannot be had


def test_the_tick_ends_it_by_the_sites_policy_and_asks_nobody(tick, at_gateway, sandbox, editor, settings):
    columns = {"status": "in_doubt", "error_code": "media", "rendered_at": timezone.now() - timedelta(days=8)}
    row = at_gateway(editor, "delay=0", **columns)
    tick()
    row.refresh_from_db()
    assert (row.status, sandbox.answers["read 200"]) == (Status.IN_DOUBT, 0)
    overdue(row)
    settings.GROKVIDEO = {**settings.GROKVIDEO, "CHARGE": {"undelivered": "full"}}
    tick()
    row.refresh_from_db()
    assert (row.status, row.charged_credits, sandbox.answers["read 200"]) == (Status.FAILED, 5, 0)


def test_one_that_cannot_be_ended_does_not_stop_the_tick(tick, at_gateway, editor, settings, monkeypatch):
    settings.GROKVIDEO = {**settings.GROKVIDEO, "CHARGE": {"undelivered": "full"}}
    columns = {"status": "in_doubt", "error_code": "media", "rendered_at": timezone.now() - timedelta(days=8)}
    rows = [at_gateway(editor, **columns) for _twice in range(2)]
    real = money.end_without_video

    def end(row, *arguments, **values):
        if row.pk == rows[0].pk:
            raise RuntimeError
        return real(row, *arguments, **values)

    monkeypatch.setattr(money, "end_without_video", end)
    tick()
    assert [VideoRequest.objects.get(pk=row.pk).status for row in rows] == [Status.IN_DOUBT, Status.FAILED]


def test_no_round_asks_about_it(bell, at_gateway, sandbox, editor, redis_server):
    row = at_gateway(editor, "delay=0", status="in_doubt", error_code="media", rendered_at=timezone.now())
    with Reader(submission.client) as reader:
        ticking.Tick(bell, reader, rate.gate(), 0).round()
    row.refresh_from_db()
    assert (row.status, row.reads, sandbox.answers["read 200"]) == (Status.IN_DOUBT, 0, 0)
