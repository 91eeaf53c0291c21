"""From rendered to succeeded, and what is attached after it."""

from __future__ import annotations

import logging
import socket
import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from grokvideo_django.lifecycle import expiring, storing
from grokvideo_django.lifecycle.storing import Stored
from grokvideo_django.models import CreditAccount, CreditEntry, PlannedFile, VideoRequest
from grokvideo_django.polling import schedule
from tests.site.models import Article

from ..making import (
    Status,
    another_lease,
    last_event,
    lease_of,
    overdue,
    put,
    seconds_until,
    shift,
    turn_into,
    unchanged,
)
from ..timing import about
from .table import Case, check_fence, check_moves, check_stays, each, fenced, from_every_allowed_status

pytestmark = pytest.mark.django_db

Place = PlannedFile.Place


def stored(**values):
    return Stored(
        **{
            "video": "grokvideo/1.mp4",
            "poster": "grokvideo/1.jpg",
            "seconds": 1.0,
            "width": 854,
            "height": 480,
            "has_audio": True,
            "size_bytes": 9,
            "sha256": "0" * 64,
            **values,
        }
    )


def soon():
    return timezone.now() + timedelta(seconds=42)


CASES = [
    Case(
        name="succeed",
        act=lambda row, lease: storing.succeed(lease, stored()),
        allowed=(Status.RENDERED,),
        to=Status.SUCCEEDED,
        kind="succeeded",
        charged=5,
        settled="capture",
        error_code="",
        before={"error_code": "media", "error_message": "Before."},
        says="It cost 5 of the 5 credits",
    ),
    Case(
        name="fetch_again",
        act=lambda row, lease: storing.fetch_again(lease, message="Cut.", due_at=soon()),
        allowed=(Status.RENDERED,),
        to=None,
        kind="fetch_failed",
        due=42,
        says="Cut.",
    ),
    Case(
        name="media_refused",
        act=lambda row, lease: storing.media_refused(lease, message="HTML.", now=timezone.now()),
        allowed=(Status.RENDERED,),
        to=None,
        kind="media_refused",
        due=20,
        says="HTML.",
    ),
    Case(
        name="media_refused_for_good",
        act=lambda row, lease: storing.media_refused(lease, message="HTML.", now=timezone.now()),
        allowed=(Status.RENDERED,),
        to=Status.IN_DOUBT,
        kind="in_doubt",
        before={"media_refusals": 2},
        error_code="media",
        says="HTML.",
    ),
    Case(
        name="doubt",
        act=lambda row, lease: storing.doubt(lease, code="not_stored", message="Full."),
        allowed=(Status.RENDERED,),
        to=Status.IN_DOUBT,
        kind="in_doubt",
        error_code="not_stored",
        says="credits stay held",
    ),
    Case(
        name="attached",
        act=lambda row, lease: storing.attached(lease, message="Attached."),
        allowed=(Status.SUCCEEDED,),
        to=None,
        kind="attached",
        says="Attached.",
    ),
    Case(
        name="attach_failed",
        act=lambda row, lease: storing.attach_failed(lease, message="No.", now=timezone.now()),
        allowed=(Status.SUCCEEDED,),
        to=None,
        kind="attach_failed",
        before={"attach_attempts": 1},
        due=120,
        says="No. It is tried again.",
    ),
    Case(
        name="attach_failed_for_good",
        act=lambda row, lease: storing.attach_failed(lease, message="No.", now=timezone.now(), final=True),
        allowed=(Status.SUCCEEDED,),
        to=None,
        kind="attach_failed",
        says="can be attached by hand",
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


# -- leases


@pytest.mark.parametrize(
    ("claim", "status", "counter", "seconds"),
    [
        (storing.claim, Status.RENDERED, "fetch_attempts", 180),
        (storing.claim_attach, Status.SUCCEEDED, "attach_attempts", 300),
    ],
)
class TestClaims:
    def test_a_free_row_is_taken_before_it_is_due(self, claim, status, counter, seconds, editor):
        row = put(editor, status, lease_token=None)
        lease = claim(row.pk, timezone.now())
        row.refresh_from_db()
        assert (row.lease_token, getattr(row, counter)) == (lease.token, 1)
        assert seconds_until(row.due_at) == about(seconds)
        assert storing.holds(lease, timezone.now())

    def test_a_row_that_another_has_is_not_taken(self, claim, status, counter, seconds, editor):
        row = put(editor, status)
        with unchanged():
            assert claim(row.pk, timezone.now()) is None

    def test_the_row_of_the_dead_is_taken_over(self, claim, status, counter, seconds, editor):
        row = put(editor, status)
        before = lease_of(row)
        overdue(row)
        lease = claim(row.pk, timezone.now())
        assert lease is not None
        assert not storing.holds(before, timezone.now())
        assert storing.holds(lease, timezone.now())

    def test_a_row_that_nothing_waits_for_is_not_taken(self, claim, status, counter, seconds, editor):
        row = put(editor, status, due_at=None, lease_token=None)
        with unchanged():
            assert claim(row.pk, timezone.now()) is None

    def test_rows_in_other_states_are_not_taken(self, claim, status, counter, seconds, editor):
        row = put(editor, status)
        for other in Status.values:
            if other != status:
                turn_into(row, other, lease_token=None)
                with unchanged():
                    assert claim(row.pk, timezone.now()) is None


def test_a_lease_that_ran_out_is_not_held(editor):
    row = put(editor, Status.RENDERED)
    assert storing.holds(lease_of(row), timezone.now())
    assert not storing.holds(another_lease(row), timezone.now())
    overdue(row)
    assert not storing.holds(lease_of(row), timezone.now())


def test_only_dead_leases_end(editor):
    dead, alive, other = (put(editor, Status.RENDERED) for _ in range(3))
    overdue(dead, other)
    assert storing.end_dead_leases({dead.lease_token, alive.lease_token}, timezone.now()) == 1
    for row, ended in ((dead, True), (alive, False), (other, False)):
        row.refresh_from_db()
        assert (row.lease_token is None) == ended


# -- plans


def test_a_plan_names_files_before_their_first_byte(editor):
    row = put(editor, Status.RENDERED)
    names = [(Place.TEMPORARY, "/tmp/1.mp4"), (Place.RESULT, "1.mp4")]
    storing.plan(row, lease_of(row), names, now=timezone.now(), target_field="a.B.c")
    temporary, result = PlannedFile.objects.order_by("pk")
    assert (temporary.name, temporary.host) == ("/tmp/1.mp4", socket.gethostname())
    assert (result.name, result.host, result.place) == ("1.mp4", "", Place.RESULT)
    assert {temporary.lease_token, result.lease_token} == {row.lease_token}
    assert result.request_key == row.key
    assert result.target_field == "a.B.c"
    assert seconds_until(result.expires_at) == about(300)


def test_only_the_named_files_of_the_lease_are_forgotten(editor):
    row, other = put(editor, Status.RENDERED), put(editor, Status.RENDERED)
    for owner in (row, other):
        storing.plan(owner, lease_of(owner), [(Place.RESULT, "1"), (Place.RESULT, "2")], now=timezone.now())
    storing.forget_plan(lease_of(row), ["1", "3"])
    left = PlannedFile.objects.values_list("lease_token", "name")
    assert sorted(left) == sorted([(row.lease_token, "2"), (other.lease_token, "1"), (other.lease_token, "2")])


def test_what_a_row_refers_to(editor):
    put(editor, Status.SUCCEEDED, video="1.mp4", poster="1.jpg")
    assert [storing.is_referred_to(name) for name in ("1.mp4", "1.jpg", "2.mp4")] == [True, True, False]


# -- succeeding


def test_success_refers_to_its_files_and_forgets_their_plan_in_one_step(editor):
    row = put(editor, Status.RENDERED)
    names = [(Place.RESULT, "grokvideo/1.mp4"), (Place.RESULT, "grokvideo/1.jpg"), (Place.RESULT, "left")]
    storing.plan(row, lease_of(row), names, now=timezone.now())
    assert storing.succeed(lease_of(row), stored(seconds=1.2))
    row.refresh_from_db()
    assert (row.video.name, row.poster.name, row.size_bytes) == ("grokvideo/1.mp4", "grokvideo/1.jpg", 9)
    assert (row.width, row.height, row.has_audio, row.delivered_seconds) == (854, 480, True, 1.2)
    assert list(PlannedFile.objects.values_list("name", flat=True)) == ["left"]
    assert CreditAccount.objects.get().held == 0


def test_success_without_a_poster(editor):
    row = put(editor, Status.RENDERED)
    storing.plan(row, lease_of(row), [(Place.RESULT, ""), (Place.RESULT, "grokvideo/1.mp4")], now=timezone.now())
    assert storing.succeed(lease_of(row), stored(poster=""))
    assert list(PlannedFile.objects.values_list("name", flat=True)) == [""]


def test_a_lost_lease_captures_nothing_and_keeps_the_plan(editor):
    row = put(editor, Status.RENDERED)
    storing.plan(row, lease_of(row), [(Place.RESULT, "grokvideo/1.mp4")], now=timezone.now())
    VideoRequest.objects.filter(pk=row.pk).update(lease_token=uuid.uuid4())
    with unchanged():
        assert not storing.succeed(lease_of(row), stored())


def test_a_target_makes_it_due_at_once(editor):
    row = put(editor, Status.RENDERED, target=Article.objects.create(title="Foxes"), target_field="hero")
    storing.succeed(lease_of(row), stored())
    row.refresh_from_db()
    assert row.due_at <= timezone.now()


@pytest.mark.parametrize(
    ("asked", "reported", "measured", "charged"),
    [
        (4, None, 4.0, 20),
        (4, None, 3.4, 15),
        (4, None, 3.5, 20),
        (4, 2.4, 4.0, 10),
        (4, 2.5, 4.0, 15),
        (4, 99.0, 4.0, 20),
        (4, None, 99.0, 20),
        (4, 0.01, 4.0, 5),
        (4, None, 0.2, 5),
        (1, None, 1.04, 5),
    ],
)
def test_the_charge_is_for_the_seconds_that_were_delivered(asked, reported, measured, charged, editor):
    row = put(editor, Status.RENDERED, duration_seconds=asked, reported_seconds=reported)
    storing.succeed(lease_of(row), stored(seconds=measured))
    row.refresh_from_db()
    assert row.charged_credits == charged
    assert CreditEntry.objects.get(kind="capture").posted_delta == -charged
    assert f"It cost {charged} of the {asked * 5} credits" in last_event(row).message


@pytest.mark.parametrize(
    ("reported", "details"),
    [
        (None, {"measured_seconds": 1.0}),
        (1.5, {"measured_seconds": 1.0, "reported_seconds": 1.5}),
        (1.6, {"measured_seconds": 1.0, "reported_seconds": 1.6, "disagree": True}),
    ],
)
def test_gateway_and_file_may_disagree(reported, details, editor):
    row = put(editor, Status.RENDERED, reported_seconds=reported)
    storing.succeed(lease_of(row), stored())
    assert last_event(row).data == details


def test_a_row_without_a_hold_is_not_charged_and_alerts(editor, caplog):
    row = put(editor, Status.RENDERED)
    VideoRequest.objects.filter(pk=row.pk).update(uuid=uuid.uuid4())  # its hold has another key now
    assert storing.succeed(lease_of(row), stored())
    row.refresh_from_db()
    assert (row.status, row.charged_credits) == (Status.SUCCEEDED, 0)
    assert caplog.records[0].levelno == logging.ERROR


# -- failing


def test_the_third_refusal_is_for_a_person_and_alerts(editor, caplog):
    row = put(editor, Status.RENDERED)
    for refusals in (1, 2):
        assert storing.media_refused(lease_of(row), message="HTML.", now=timezone.now())
        row.refresh_from_db()
        assert (row.status, row.media_refusals) == (Status.RENDERED, refusals)
        VideoRequest.objects.filter(pk=row.pk).update(lease_token=uuid.uuid4())
        row.refresh_from_db()
    assert not caplog.records
    assert storing.media_refused(lease_of(row), message="HTML.", now=timezone.now())
    row.refresh_from_db()
    assert (row.status, row.error_message) == (Status.IN_DOUBT, "HTML.")
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert CreditAccount.objects.get().held == 5


def test_a_lost_lease_raises_no_alarm(editor, caplog):
    row = put(editor, Status.RENDERED, media_refusals=2)
    with unchanged():
        assert not storing.media_refused(another_lease(row), message="HTML.", now=timezone.now())
    assert not caplog.records


def test_a_new_address_is_saved_under_the_lease_only(editor):
    row = put(editor, Status.RENDERED)
    with unchanged():
        assert not storing.new_url(another_lease(row), "https://x.example/2")
    assert storing.new_url(lease_of(row), "https://x.example/2")
    row.refresh_from_db()
    assert row.result_url == "https://x.example/2"
    VideoRequest.objects.filter(pk=row.pk).update(status=Status.SUCCEEDED)
    with unchanged():
        assert not storing.new_url(lease_of(row), "https://x.example/3")


def test_attaching_is_tried_five_times_with_growing_pauses(editor):
    pauses = []
    for attempts in range(1, 6):
        row = put(editor, Status.SUCCEEDED, attach_attempts=attempts)
        storing.attach_failed(lease_of(row), message="No.", now=timezone.now())
        row.refresh_from_db()
        pauses.append(row.due_at and seconds_until(row.due_at))
    assert pauses == about([120, 480, 1920, 7680, None])


def test_attaching_to_a_request_that_was_deleted(editor):
    row = put(editor, Status.SUCCEEDED)
    lease = lease_of(row)
    VideoRequest.objects.filter(pk=row.pk).delete()
    assert not storing.attach_failed(lease, message="No.", now=timezone.now())


# What was made, and cannot be had

WEEK = timedelta(days=7)


@pytest.fixture
def lost(editor):
    """In doubt for want of its file, which the gateway has deleted by now."""
    row = put(editor, Status.RENDERED, rendered_at=timezone.now() - WEEK - timedelta(minutes=1), media_refusals=2)
    assert storing.media_refused(lease_of(row), message="HTML.", now=timezone.now())
    row.refresh_from_db()
    return row


def policy(settings, **charge):
    settings.GROKVIDEO = {**settings.GROKVIDEO, "CHARGE": charge}


@pytest.mark.parametrize("code", ["media", "not_stored"])
def test_what_cannot_be_had_is_looked_at_when_the_gateway_has_deleted_it(editor, code):
    row = put(editor, Status.RENDERED, rendered_at=timezone.now())
    assert storing.doubt(lease_of(row), code=code, message="No.")
    row.refresh_from_db()
    assert row.due_at == row.rendered_at + WEEK
    assert VideoRequest.objects.filter(expiring.UNDELIVERED).get() == row


def test_asked_about_again_its_file_is_not_younger(editor):
    first = timezone.now() - timedelta(days=6)
    row = put(editor, Status.RENDERED, rendered_at=timezone.now(), file_expires_at=first + WEEK)
    assert storing.doubt(lease_of(row), code="media", message="No.")
    row.refresh_from_db()
    assert row.due_at == first + WEEK


def test_its_history_says_who_decides(editor, settings):
    for charge, words in (({}, "what to do."), ({"undelivered": "full"}, "what to do or the gateway has deleted it.")):
        policy(settings, **charge)
        row = put(editor, Status.RENDERED, rendered_at=timezone.now())
        assert storing.doubt(lease_of(row), code="media", message="No.")
        assert last_event(row).message == f"No. Its credits stay held until a person says {words}"


def test_the_gateway_forgets_when_the_schedule_says():
    assert expiring.KEPT_FOR.total_seconds() == schedule.FORGOTTEN_AFTER_SECONDS


@pytest.mark.parametrize(("share", "charged"), [("none", 0), ("full", 5), ("0.5", 3), (0, 0)])
def test_then_it_ends_as_the_sites_policy_says(lost, settings, share, charged):
    policy(settings, undelivered=share)
    assert storing.undelivered(lost.pk, timezone.now())
    lost.refresh_from_db()
    account = CreditAccount.objects.get()
    assert (lost.status, lost.charged_credits, account.held, account.posted) == ("failed", charged, 0, 105 - charged)
    assert (lost.due_at, lost.lease_token, lost.error_code, lost.error_message) == (None, None, "media", "HTML.")
    assert lost.finished_at is not None
    event = last_event(lost)
    assert (event.kind, event.from_status, event.to_status) == ("undelivered", "in_doubt", "failed")
    assert "could not be stored here, and the gateway has deleted it by now." in event.message
    assert (f"It cost {charged} credits" if charged else "It cost nothing.") in event.message


def test_without_a_policy_it_stays_in_doubt_and_is_looked_at_once_a_day(lost, settings):
    policy(settings, failed="full", moderated="full")
    assert not storing.undelivered(lost.pk, timezone.now())
    lost.refresh_from_db()
    assert (lost.status, CreditAccount.objects.get().held) == ("in_doubt", 5)
    assert seconds_until(lost.due_at) == about(86_400)
    policy(settings, undelivered="none")
    shift(lost, due_at=timedelta(days=1, minutes=1))
    assert storing.undelivered(lost.pk, timezone.now())  # the policy came later, and counts


def test_before_that_it_waits(lost, settings):
    policy(settings, undelivered="full")
    VideoRequest.objects.filter(pk=lost.pk).update(rendered_at=timezone.now() - WEEK + timedelta(hours=1))
    assert not storing.undelivered(lost.pk, timezone.now())
    lost.refresh_from_db()
    assert (lost.status, lost.due_at) == ("in_doubt", lost.rendered_at + WEEK)


@pytest.mark.parametrize(
    "columns",
    [
        {"due_at": timezone.now() + timedelta(hours=1)},
        {"error_code": "deadline"},
        {"status": Status.SUBMITTED},
    ],
)
def test_nothing_else_ends_like_this(lost, settings, columns):
    policy(settings, undelivered="full")
    VideoRequest.objects.filter(pk=lost.pk).update(**columns)
    with unchanged():
        assert not storing.undelivered(lost.pk, timezone.now())


# What it says of its cost


@pytest.mark.parametrize(
    ("values", "seconds", "words"),
    [
        ({}, 1.0, "Stored. It cost 5 of the 5 credits that were held."),
        (
            {"duration_seconds": 3},
            2.0,
            "It cost 10 of the 15 credits that were held: it is 2 s long, and 3 s were asked",
        ),
        ({"cancel_refused_at": timezone.now()}, 1.0, "that were held. It was too late to cancel it."),
    ],
)
def test_a_stored_video_says_what_it_cost_and_why(editor, values, seconds, words):
    row = put(editor, Status.RENDERED, **values)
    assert storing.succeed(lease_of(row), stored(seconds=seconds))
    assert words in last_event(row).message
