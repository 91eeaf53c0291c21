"""What the gateway's answers to reads and cancellations do to rows."""

from __future__ import annotations

import logging
import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from grokvideo_django.lifecycle import reading
from grokvideo_django.lifecycle.reading import Rendered
from grokvideo_django.models import CreditAccount, VideoRequest, VideoRequestEvent

from ..making import (
    Status,
    another_lease,
    last_event,
    lease_of,
    many,
    overdue,
    put,
    seconds_until,
    turn_into,
    unchanged,
)
from ..timing import about
from .table import Case, check_fence, check_moves, check_stays, each, fenced, from_every_allowed_status

pytestmark = pytest.mark.django_db


def soon():
    return timezone.now() + timedelta(seconds=42)


BOTH = (Status.SUBMITTED, Status.IN_DOUBT)
URL = "https://media.aigateway.sh/v.mp4"
CASES = [
    Case(
        name="ended_without_video",
        act=lambda row, lease: reading.ended_without_video(lease, code="moderated", message="No foxes."),
        allowed=BOTH,
        to=Status.FAILED,
        kind="gateway_failed",
        charged=0,
        settled="release",
        error_code="moderated",
        says="No foxes. It cost nothing.",
    ),
    Case(
        name="canceled",
        act=lambda row, lease: reading.canceled(lease, asked=True),
        allowed=BOTH,
        to=Status.CANCELED,
        kind="canceled",
        charged=0,
        settled="release",
        says="The gateway has canceled it. It cost nothing.",
    ),
    Case(
        name="canceled_by_itself",
        act=lambda row, lease: reading.canceled(lease, asked=False),
        allowed=BOTH,
        to=Status.CANCELED,
        kind="canceled",
        charged=0,
        settled="release",
        says="by itself",
    ),
    Case(
        name="cancel_refused",
        act=lambda row, lease: reading.cancel_refused(lease, message="Too late.", due_at=soon()),
        allowed=BOTH,
        to=None,
        kind="cancel_refused",
        due=42,
        says="finished, kept and charged. It says: Too late.",
    ),
    Case(
        name="doubt",
        act=lambda row, lease: reading.doubt(lease, code="deadline", message="Late.", due_at=soon()),
        allowed=(Status.SUBMITTED,),
        to=Status.IN_DOUBT,
        kind="in_doubt",
        due=42,
        error_code="deadline",
        says="credits stay held",
    ),
    Case(
        name="put_aside",
        act=lambda row, lease: reading.put_aside(lease, message="Boom.", due_at=soon()),
        allowed=BOTH,
        to=None,
        kind="put_aside",
        due=42,
        says="Boom.",
    ),
    Case(
        name="rendered",
        act=lambda row, lease: reading.rendered(lease.token, [Rendered(pk=row.pk, url=URL)]),
        allowed=BOTH,
        to=Status.RENDERED,
        kind="rendered",
        due=15,
        says="finished",
    ),
]


@from_every_allowed_status(CASES)
def test_moves(case, status, editor):
    check_moves(case, status, editor)


@each(CASES)
def test_stays(case, editor):
    check_stays(case, editor)


@fenced(CASES)
def test_fence(case, editor):
    check_fence(case, editor)


# -- claiming


def test_due_rows_are_claimed_with_one_token_in_two_queries(editor, django_assert_num_queries):
    rows = [put(editor, status) for status in (*BOTH, Status.SUBMITTED)]
    overdue(*rows)
    now = timezone.now()
    with django_assert_num_queries(2):
        pks = [row.pk for row in rows]
        token = reading.claim(pks, now=now, until=now + timedelta(seconds=60))
        got = reading.claimed(token, pks)
    assert sorted(row.pk for row in got) == sorted(row.pk for row in rows)
    assert all(seconds_until(row.due_at) == about(60) for row in got)


def test_rows_in_other_states_are_not_claimed(editor):
    row = put(editor, Status.SUBMITTED)
    for status in Status.values:
        if status not in BOTH:
            turn_into(row, status)
            with unchanged():
                token = reading.claim([row.pk], now=timezone.now() + timedelta(hours=1), until=timezone.now())
            assert reading.claimed(token, [row.pk]) == []


def test_rows_that_are_not_due_or_have_no_job_are_not_claimed(editor):
    early, nameless = put(editor, Status.SUBMITTED), put(editor, Status.SUBMITTED, gateway_job_id=None)
    overdue(nameless)
    with unchanged():
        token = reading.claim([early.pk, nameless.pk], now=timezone.now(), until=timezone.now())
    assert reading.claimed(token, [early.pk, nameless.pk]) == []


def test_a_row_is_claimed_once(editor):
    row = put(editor, Status.SUBMITTED)
    overdue(row)
    now = timezone.now()
    first = reading.claim([row.pk], now=now, until=now + timedelta(seconds=60))
    second = reading.claim([row.pk], now=now, until=now + timedelta(seconds=60))
    assert (len(reading.claimed(first, [row.pk])), len(reading.claimed(second, [row.pk]))) == (1, 0)


# -- the buckets


def in_one_round(owner, count, **values):
    token = uuid.uuid4()
    return token, many(owner, count, lease_token=token, **values)


@pytest.mark.parametrize("count", [2, 50])
def test_any_number_of_rows_is_looked_at_again_in_one_query(count, editor, django_assert_num_queries):
    token, rows = in_one_round(editor, count)
    with django_assert_num_queries(1):
        assert reading.look_again(token, [row.pk for row in rows], due_at=soon(), gateway_status="x" * 70) == count
    rows[-1].refresh_from_db()
    assert (rows[-1].reads, rows[-1].lease_token, rows[-1].gateway_status) == (1, None, "x" * 64)
    assert seconds_until(rows[-1].due_at) == about(42)
    assert not rows[-1].events.filter(kind="looked").exists()


def test_looking_again_keeps_the_word_unless_there_is_a_new_one(editor):
    token, rows = in_one_round(editor, 1, gateway_status="queued")
    reading.look_again(token, [rows[0].pk], due_at=None)
    rows[0].refresh_from_db()
    assert (rows[0].gateway_status, rows[0].due_at) == ("queued", None)


def test_looking_again_remembers_when_it_was_seen_unfinished(editor):
    token, rows = in_one_round(editor, 1)
    seen_at = timezone.now() - timedelta(seconds=2)
    reading.look_again(token, [rows[0].pk], due_at=soon(), seen_at=seen_at)
    rows[0].refresh_from_db()
    assert rows[0].last_read_at == seen_at
    VideoRequest.objects.update(lease_token=token)
    reading.look_again(token, [rows[0].pk], due_at=soon())
    rows[0].refresh_from_db()
    assert rows[0].last_read_at == seen_at


def test_looking_again_is_for_rows_at_the_gateway(editor):
    row = put(editor, Status.SUBMITTED)
    for status in Status.values:
        if status not in BOTH:
            turn_into(row, status)
            with unchanged():
                assert reading.look_again(lease_of(row).token, [row.pk], due_at=soon()) == 0


def test_looking_again_is_fenced(editor):
    row = put(editor, Status.SUBMITTED)
    with unchanged():
        assert reading.look_again(uuid.uuid4(), [row.pk], due_at=soon()) == 0


def test_any_number_of_rows_is_rendered_in_a_constant_number_of_queries(editor, django_assert_num_queries):
    """A savepoint, per state an UPDATE and, where it matched, a look, an UPDATE and one INSERT of events."""
    for count in (2, 50):
        token, rows = in_one_round(editor, count)
        found = [Rendered(pk=row.pk, url=f"{URL}?{row.pk}", seconds=float(row.pk)) for row in rows]
        with django_assert_num_queries(7):
            moved = reading.rendered(token, found)
        assert sorted(moved) == sorted(row.pk for row in rows)
        for row in rows:
            row.refresh_from_db()
            assert (row.status, row.result_url, row.reported_seconds) == ("rendered", f"{URL}?{row.pk}", float(row.pk))
        assert VideoRequestEvent.objects.filter(kind="rendered", request__in=rows).count() == count


def test_rows_of_both_states_are_rendered_each_with_its_own_event(editor):
    token = uuid.uuid4()
    rows = [put(editor, status, lease_token=token, media_refusals=2, fetch_attempts=9) for status in BOTH]
    moved = reading.rendered(token, [Rendered(pk=row.pk, url=URL, seconds=None) for row in rows])
    assert sorted(moved) == [row.pk for row in rows]
    for row, status in zip(rows, BOTH, strict=True):
        row.refresh_from_db()
        assert (last_event(row).kind, last_event(row).from_status) == ("rendered", status)
        assert (row.media_refusals, row.fetch_attempts, row.reads, row.reported_seconds) == (0, 0, 1, None)
        assert row.rendered_at is not None


def test_a_length_is_saved_only_for_rows_that_have_one(editor):
    token, (first, second) = in_one_round(editor, 2)
    reading.rendered(token, [Rendered(pk=first.pk, url=URL, seconds=2.5), Rendered(pk=second.pk, url=URL)])
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.reported_seconds, second.reported_seconds) == (2.5, None)


def test_rendered_rows_of_other_rounds_are_left_alone(editor):
    token, (mine,) = in_one_round(editor, 1)
    other = put(editor, Status.SUBMITTED)
    done = put(editor, Status.RENDERED)
    found = [Rendered(pk=row.pk, url=URL) for row in (mine, other, done)]
    assert reading.rendered(token, found) == [mine.pk]
    other.refresh_from_db()
    assert (other.status, other.result_url) == (Status.SUBMITTED, "")


def test_nothing_rendered_costs_nothing(django_assert_num_queries, db):
    with django_assert_num_queries(0):
        assert reading.rendered(uuid.uuid4(), []) == []


def test_a_video_that_was_finished_before_it_could_be_canceled_says_so(editor):
    asked = timezone.now() - timedelta(minutes=1)
    token, (row,) = in_one_round(editor, 1, cancel_requested_at=asked)
    reading.rendered(token, [Rendered(pk=row.pk, url=URL)])
    row.refresh_from_db()
    assert "too late to cancel it: the video is kept and charged" in last_event(row).message
    assert seconds_until(row.cancel_refused_at) == about(0)


@pytest.mark.parametrize("refused", [None, timezone.now() - timedelta(minutes=1)])
def test_a_refusal_keeps_its_time(refused, editor):
    asked = None if refused is None else refused - timedelta(minutes=1)
    token, (row,) = in_one_round(editor, 1, cancel_requested_at=asked, cancel_refused_at=refused)
    reading.rendered(token, [Rendered(pk=row.pk, url=URL)])
    row.refresh_from_db()
    assert row.cancel_refused_at == refused


# -- the rest


def test_a_refused_cancellation_is_not_asked_for_again(editor):
    row = put(editor, Status.SUBMITTED, cancel_requested_at=timezone.now())
    reading.cancel_refused(lease_of(row), message="Too late.", due_at=soon())
    row.refresh_from_db()
    assert row.cancel_refused_at is not None
    assert CreditAccount.objects.get().held == 5


def test_doubt_counts_the_read_and_alerts_once(editor, caplog):
    row = put(editor, Status.SUBMITTED)
    lease = lease_of(row)
    reading.doubt(lease, code="deadline", message="Late.", due_at=None)
    reading.doubt(lease, code="deadline", message="Late.", due_at=None)
    row.refresh_from_db()
    assert (row.reads, row.due_at) == (1, None)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


@pytest.mark.parametrize("status", [Status.QUEUED, Status.RENDERED, Status.SUCCEEDED])
def test_a_doorbell_is_rung_again_and_the_dead_lease_ends(status, editor):
    row = put(editor, status)
    now = timezone.now()
    with unchanged():
        assert reading.ring_again([row.pk], now=now, due_at=soon()) == 0  # its lease lives
    overdue(row)
    assert reading.ring_again([row.pk], now=now, due_at=soon()) == 1
    row.refresh_from_db()
    assert (row.status, row.lease_token) == (status, None)
    assert seconds_until(row.due_at) == about(42)


@pytest.mark.parametrize("status", [Status.SUBMITTING, *BOTH])
def test_no_doorbell_is_rung_for_what_a_tick_does_itself(status, editor):
    row = put(editor, status)
    overdue(row)
    with unchanged():
        assert reading.ring_again([row.pk], now=timezone.now(), due_at=soon()) == 0


def test_waiting_on_changes_when_and_nothing_else(editor):
    row = put(editor, Status.SUBMITTING)
    with unchanged():
        assert not reading.wait_on(row.pk, now=timezone.now(), due_at=soon())
    overdue(row)
    assert reading.wait_on(row.pk, now=timezone.now(), due_at=soon())
    before = VideoRequest.objects.values().get(pk=row.pk)
    row.refresh_from_db()
    assert before["lease_token"] == row.lease_token
    assert (row.status, seconds_until(row.due_at)) == (Status.SUBMITTING, about(42))


def test_a_row_that_is_put_aside_for_the_same_reason_says_it_once(editor):
    row = put(editor, Status.SUBMITTED)
    for _time in range(3):
        assert reading.put_aside(lease_of(row), message="Boom.", due_at=soon())
        row.refresh_from_db()
        assert (row.lease_token, seconds_until(row.due_at)) == (None, about(42))
        turn_into(row, Status.SUBMITTED)
    assert row.events.filter(kind="put_aside").count() == 1
    assert reading.put_aside(lease_of(row), message="Bang.", due_at=soon())
    assert row.events.filter(kind="put_aside").count() == 2
    with unchanged():
        assert not reading.put_aside(another_lease(row), message="Bang.", due_at=soon())


# -- who pays for what brings no video


def expired(row):
    return reading.ended_without_video(lease_of(row), code="x", message="No.", outcome="expired")


def failed(row):
    return reading.ended_without_video(lease_of(row), code="x", message="No.")


def canceled(row):
    return reading.canceled(lease_of(row), asked=True)


@pytest.mark.parametrize(
    ("policy", "act", "charged"),
    [
        ({}, failed, 0),
        ({"failed": "full"}, failed, 5),
        ({"failed": "full"}, expired, 0),
        ({"expired": "0.5"}, expired, 3),
        ({"canceled": "full"}, canceled, 5),
        ({"failed": "full", "expired": "full"}, canceled, 0),
    ],
)
def test_the_sites_policy_says_who_pays_and_the_event_says_it(policy, act, charged, editor, settings):
    settings.GROKVIDEO = {**settings.GROKVIDEO, "CHARGE": policy}
    row = put(editor, Status.SUBMITTED)
    assert act(row)
    row.refresh_from_db()
    account = CreditAccount.objects.get()
    assert (row.charged_credits, account.posted, account.held) == (charged, 105 - charged, 0)
    assert (f"It cost {charged} credits" if charged else "It cost nothing.") in last_event(row).message


def test_a_row_that_holds_nothing_cannot_be_charged(editor, settings, caplog):
    settings.GROKVIDEO = {**settings.GROKVIDEO, "CHARGE": {"failed": "full"}}
    (row,) = many(editor, 1, lease_token=uuid.uuid4())
    assert failed(row)
    row.refresh_from_db()
    assert (row.status, row.charged_credits) == (Status.FAILED, 0)
    assert "It cost nothing." in last_event(row).message
    assert caplog.records[0].levelno == logging.ERROR


@pytest.mark.parametrize("status", [Status.QUEUED, Status.SUBMITTED, Status.RENDERED])
def test_what_a_wrong_clock_has_put_off_for_hours_is_looked_at_within_one(status, editor):
    now = timezone.now()
    far = put(editor, status, due_at=now + timedelta(hours=3))
    near = put(editor, status, due_at=now + timedelta(minutes=59))
    assert reading.bring_back(now) == 1
    far.refresh_from_db()
    assert seconds_until(far.due_at) == about(3600)
    due_at = near.due_at
    near.refresh_from_db()
    assert near.due_at == due_at


def test_what_is_in_doubt_may_wait_for_twelve_hours_and_what_cannot_be_had_for_its_end(editor):
    now = timezone.now()
    waits = {hours: put(editor, Status.IN_DOUBT, due_at=now + timedelta(hours=hours)) for hours in (11, 13)}
    lost = put(editor, Status.IN_DOUBT, error_code="media", due_at=now + timedelta(days=7))
    assert reading.bring_back(now) == 1
    due = {hours: VideoRequest.objects.get(pk=row.pk).due_at for hours, row in waits.items()}
    assert due == {11: now + timedelta(hours=11), 13: now + timedelta(hours=12)}
    lost.refresh_from_db()
    assert lost.due_at == now + timedelta(days=7)


def test_a_long_lease_is_not_brought_back(editor, settings):
    settings.GROKVIDEO = {**settings.GROKVIDEO, "FETCH_SECONDS": 7200}
    put(editor, Status.RENDERED, due_at=timezone.now() + timedelta(seconds=7260))
    assert reading.bring_back(timezone.now()) == 0
