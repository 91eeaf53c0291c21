"""From queued to submitted: every answer to the POST, and the one write that no fence discards."""

from __future__ import annotations

import logging
import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from grokvideo_django.lifecycle import submitting
from grokvideo_django.models import GatewayState, VideoRequest

from ..making import (
    Status,
    another_lease,
    everything,
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


def soon():
    return timezone.now() + timedelta(seconds=42)


def accept(pk, job_id="job_new"):
    now = timezone.now()
    return submitting.accepted(pk, job_id, now=now, first_read_at=now + timedelta(seconds=4))


S = Status.SUBMITTING
CASES = [
    Case(
        name="not_accepted",
        act=lambda row, lease: submitting.not_accepted(lease, message="Busy.", due_at=soon()),
        allowed=(S,),
        to=Status.QUEUED,
        kind="not_accepted",
        due=42,
        says="Busy.",
    ),
    Case(
        name="not_accepted_and_canceled",
        act=lambda row, lease: submitting.not_accepted(lease, message="Busy.", due_at=soon()),
        allowed=(S,),
        to=Status.CANCELED,
        kind="canceled",
        before={"cancel_requested_at": timezone.now()},
        charged=0,
        settled="release",
        says="cost nothing",
    ),
    Case(
        name="server_fault",
        act=lambda row, lease: submitting.server_fault(lease, message="Oops.", due_at=soon()),
        allowed=(S,),
        to=Status.QUEUED,
        kind="server_fault",
        due=42,
        says="Oops.",
    ),
    Case(
        name="last_server_fault",
        act=lambda row, lease: submitting.server_fault(lease, message="Oops.", due_at=soon()),
        allowed=(S,),
        to=Status.IN_DOUBT,
        kind="in_doubt",
        before={"server_faults": 2},
        error_code="500",
        says="not sent again",
    ),
    Case(
        name="server_fault_and_canceled",
        act=lambda row, lease: submitting.server_fault(lease, message="Oops.", due_at=soon()),
        allowed=(S,),
        to=Status.IN_DOUBT,
        kind="in_doubt",
        before={"cancel_requested_at": timezone.now()},
        error_code="500",
    ),
    Case(
        name="refused",
        act=lambda row, lease: submitting.refused(lease, code="422", message="No foxes."),
        allowed=(S,),
        to=Status.FAILED,
        kind="refused",
        charged=0,
        settled="release",
        error_code="422",
        says="No foxes. It cost nothing.",
    ),
    Case(
        name="doubt",
        act=lambda row, lease: submitting.doubt(lease, code="lost", message="Gone."),
        allowed=(S,),
        to=Status.IN_DOUBT,
        kind="in_doubt",
        error_code="lost",
        says="not sent again",
    ),
    Case(
        name="site_refused",
        act=lambda row, lease: submitting.site_refused(lease, status=402, message="Top up."),
        allowed=(S,),
        to=Status.QUEUED,
        kind="site_refused",
        due=15,
        says="nothing was charged",
    ),
    Case(
        name="unsendable",
        act=lambda row, lease: submitting.unsendable(row.pk, code="unsendable", message="No image."),
        allowed=(Status.QUEUED,),
        to=Status.FAILED,
        kind="unsendable",
        charged=0,
        settled="release",
        fenced=False,
        error_code="unsendable",
        says="No image. It cost nothing.",
    ),
    Case(
        name="abandoned",
        act=lambda row, lease: submitting.abandoned(row.pk, timezone.now() + timedelta(minutes=2)),
        allowed=(S,),
        to=Status.IN_DOUBT,
        kind="in_doubt",
        fenced=False,
        error_code="worker_died",
        says="not sent again",
    ),
    Case(
        name="too_old",
        act=lambda row, lease: submitting.too_old(row.pk, timezone.now() + timedelta(days=2)),
        allowed=(Status.QUEUED,),
        to=Status.FAILED,
        kind="too_old",
        charged=0,
        settled="release",
        fenced=False,
        error_code="queue_age",
        says="It cost nothing.",
    ),
    Case(
        name="accepted",
        act=lambda row, lease: accept(row.pk),
        allowed=(S, Status.QUEUED),
        to=Status.SUBMITTED,
        kind="submitted",
        due=4,
        fenced=False,
        error_code="",
    ),
    Case(
        name="accepted_after_doubt",
        act=lambda row, lease: accept(row.pk),
        allowed=(Status.IN_DOUBT,),
        to=Status.SUBMITTED,
        kind="submitted",
        due=4,
        fenced=False,
        before={"gateway_job_id": None, "due_at": None, "error_code": "lost", "error_message": "Gone."},
        error_code="",
    ),
    # After a 500 that was tried again, nobody can say that the gateway has accepted nothing.
    *(
        Case(
            name=f"{name}_after_a_server_fault",
            act=act,
            allowed=(status,),
            to=Status.IN_DOUBT,
            kind="in_doubt",
            fenced=status == S,
            before={"server_faults": 1, **before},
            error_code="500",
            says=submitting.AFTER_FAULT,
        )
        for name, act, status, before in [
            ("refused", lambda row, lease: submitting.refused(lease, code="409", message="In progress."), S, {}),
            (
                "not_accepted_and_canceled",
                lambda row, lease: submitting.not_accepted(lease, message="Not yet.", due_at=soon()),
                S,
                {"cancel_requested_at": timezone.now()},
            ),
            (
                "unsendable",
                lambda row, lease: submitting.unsendable(row.pk, code="unsendable", message="No image."),
                Status.QUEUED,
                {},
            ),
            (
                "too_old",
                lambda row, lease: submitting.too_old(row.pk, timezone.now() + timedelta(days=2)),
                Status.QUEUED,
                {},
            ),
        ]
    ),
]
MOVES = [case for case in CASES if not case.name.startswith("accepted")]


@from_every_allowed_status(CASES)
def test_moves(case, status, editor):
    check_moves(case, status, editor)


@each(MOVES)
def test_stays(case, editor):
    check_stays(case, editor)


@fenced(CASES)
def test_fence(case, editor):
    check_fence(case, editor)


# -- claim and confirm


def test_a_claim_is_committed_with_a_lease_that_outlives_the_post(editor, settings):
    settings.GROKVIDEO = {**settings.GROKVIDEO, "POST_TIMEOUT": 100}
    row = put(editor, Status.QUEUED, lease_token=None)
    lease = submitting.claim(row.pk, timezone.now())
    row.refresh_from_db()
    assert (row.status, row.lease_token, row.submit_attempts) == (S, lease.token, 1)
    assert seconds_until(row.due_at) == about(130)
    assert (last_event(row).from_status, last_event(row).to_status) == (Status.QUEUED, S)


def test_only_one_worker_gets_the_claim(editor):
    row = put(editor, Status.QUEUED)
    assert submitting.claim(row.pk, timezone.now())
    with unchanged():
        assert submitting.claim(row.pk, timezone.now()) is None


def test_only_a_queued_row_can_be_claimed(editor):
    row = put(editor, Status.QUEUED)
    for status in Status.values:
        if status != Status.QUEUED:
            turn_into(row, status)
            with unchanged():
                assert submitting.claim(row.pk, timezone.now()) is None


def test_confirming_renews_the_lease(editor, settings):
    settings.GROKVIDEO = {**settings.GROKVIDEO, "POST_TIMEOUT": 100}
    row = put(editor, S)
    assert submitting.confirm(lease_of(row), timezone.now())
    row.refresh_from_db()
    assert seconds_until(row.due_at) == about(130)


def test_a_lease_that_ran_out_is_not_confirmed(editor):
    row = put(editor, S)
    overdue(row)
    with unchanged():
        assert not submitting.confirm(lease_of(row), timezone.now())


def test_the_lease_of_another_is_not_confirmed(editor):
    row = put(editor, S)
    with unchanged():
        assert not submitting.confirm(another_lease(row), timezone.now())


def test_a_row_that_moved_on_is_not_confirmed(editor):
    row = put(editor, S)
    for status in Status.values:
        if status != S:
            turn_into(row, status)
            with unchanged():
                assert not submitting.confirm(lease_of(row), timezone.now())


# -- the gateway's id


@pytest.mark.parametrize(
    "status", [Status.CANCELED, Status.FAILED, Status.SUCCEEDED, Status.RENDERED, Status.SUBMITTED]
)
def test_an_id_for_a_row_that_moved_on_is_kept_and_alerts(status, editor, caplog):
    row = put(editor, status, gateway_job_id=None)
    due_at = row.due_at
    assert not accept(row.pk)
    row.refresh_from_db()
    assert (row.status, row.gateway_job_id, row.due_at) == (status, "job_new", due_at)
    event = last_event(row)
    assert (event.kind, event.data) == ("late_job_id", {"gateway_job_id": "job_new"})
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "job_new" in caplog.text


@pytest.mark.parametrize(
    "status", [Status.SUBMITTED, Status.RENDERED, Status.SUCCEEDED, Status.CANCELED, Status.FAILED]
)
def test_the_same_id_twice_is_nothing(status, editor, caplog):
    row = put(editor, status)
    with unchanged():
        assert accept(row.pk, row.gateway_job_id)
    assert not caplog.records


@pytest.mark.parametrize(
    "status", [Status.SUBMITTED, Status.RENDERED, Status.SUCCEEDED, Status.CANCELED, Status.FAILED, Status.IN_DOUBT]
)
def test_a_second_id_is_kept_as_an_event_and_alerts(status, editor, caplog):
    row = put(editor, status)
    first = row.gateway_job_id
    assert not accept(row.pk)
    row.refresh_from_db()
    assert (row.status, row.gateway_job_id) == (status, first)
    event = last_event(row)
    assert (event.kind, event.data) == ("second_job_id", {"gateway_job_id": "job_new"})
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


@pytest.mark.parametrize("status", [S, Status.QUEUED, Status.IN_DOUBT])
def test_the_id_of_another_request_is_for_a_person_to_decide(status, editor, caplog):
    other = put(editor, Status.SUBMITTED)
    values = {} if status != Status.IN_DOUBT else {"gateway_job_id": None, "due_at": None}
    row = put(editor, status, **values)
    assert not accept(row.pk, other.gateway_job_id)
    row.refresh_from_db()
    assert (row.status, row.gateway_job_id, row.due_at, row.lease_token) == (Status.IN_DOUBT, None, None, None)
    assert row.error_code == "job_id"
    event = last_event(row)
    assert (event.kind, event.from_status, event.data) == ("in_doubt", status, {"gateway_job_id": other.gateway_job_id})
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    other.refresh_from_db()
    assert other.status == Status.SUBMITTED


def test_the_id_of_another_request_for_a_row_that_has_ended_is_an_event(editor, caplog):
    other = put(editor, Status.SUBMITTED)
    row = put(editor, Status.CANCELED, gateway_job_id=None)
    assert not accept(row.pk, other.gateway_job_id)
    row.refresh_from_db()
    assert (row.status, row.gateway_job_id) == (Status.CANCELED, None)
    assert (last_event(row).kind, last_event(row).data) == ("second_job_id", {"gateway_job_id": other.gateway_job_id})
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_an_id_for_a_row_that_is_gone_alerts(editor, caplog):
    with unchanged():
        assert not accept(987_654)
    assert "job_new" in caplog.text
    assert "987654" in caplog.text
    assert caplog.records[0].levelno == logging.ERROR


def test_a_saved_id_clears_the_error_and_keeps_the_request_to_cancel(editor):
    row = put(editor, S, error_code="500", error_message="Oops.", cancel_requested_at=timezone.now())
    assert accept(row.pk)
    row.refresh_from_db()
    assert (row.error_code, row.error_message, row.gateway_job_id) == ("", "", "job_new")
    assert row.cancel_requested_at is not None
    assert seconds_until(row.submitted_at) == about(0)


# -- the rest


def test_the_number_of_repetitions_after_500_is_a_setting(editor, settings):
    settings.GROKVIDEO = {**settings.GROKVIDEO, "RETRIES_AFTER_500": 0}
    row = put(editor, S)
    assert submitting.server_fault(lease_of(row), message="Oops.", due_at=soon())
    row.refresh_from_db()
    assert row.status == Status.IN_DOUBT


def test_each_repetition_after_500_is_counted(editor):
    row = put(editor, S, server_faults=1)
    submitting.server_fault(lease_of(row), message="Oops.", due_at=soon())
    row.refresh_from_db()
    assert (row.status, row.server_faults) == (Status.QUEUED, 2)


@pytest.mark.parametrize(
    "act",
    [
        lambda row: submitting.doubt(lease_of(row), code="lost", message="Gone."),
        lambda row: submitting.abandoned(row.pk, timezone.now() + timedelta(minutes=2)),
    ],
)
def test_doubt_alerts(act, editor, caplog):
    row = put(editor, S)
    act(row)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert f"Request {row.pk} is in doubt" in caplog.text
    act(row)
    assert len(caplog.records) == 1


def test_a_submission_is_not_abandoned_while_its_lease_lives(editor):
    row = put(editor, S)
    with unchanged():
        assert not submitting.abandoned(row.pk, timezone.now())


def test_a_queued_row_is_not_too_old_before_its_time(editor):
    row = put(editor, Status.QUEUED)
    with unchanged():
        assert not submitting.too_old(row.pk, row.queue_expires_at - timedelta(seconds=1))
    shift(row, queue_expires_at=timedelta(hours=25))
    assert submitting.too_old(row.pk, timezone.now())


def test_a_refused_account_pauses_the_site_although_the_row_is_lost(editor):
    row = put(editor, S)
    before = everything()
    assert not submitting.site_refused(another_lease(row), status=401, message="Bad key.")
    assert everything() == before
    assert GatewayState.objects.current().is_paused


def test_a_cancellation_between_the_two_looks_is_seen(editor, monkeypatch):
    """It is asked for after the row was found uncanceled and before it would have been queued again."""
    row = put(editor, S)
    real = submitting.move

    def late(pk, to, **values):
        if to == Status.QUEUED:
            VideoRequest.objects.filter(pk=pk).update(cancel_requested_at=timezone.now())
        return real(pk, to, **values)

    monkeypatch.setattr(submitting, "move", late)
    assert submitting.not_accepted(lease_of(row), message="Busy.", due_at=soon())
    row.refresh_from_db()
    assert (row.status, row.charged_credits) == (Status.CANCELED, 0)


def test_two_leases_are_never_the_same(editor):
    row = put(editor, Status.QUEUED)
    first = submitting.claim(row.pk, timezone.now())
    VideoRequest.objects.filter(pk=row.pk).update(status=Status.QUEUED)
    second = submitting.claim(row.pk, timezone.now())
    assert isinstance(first.token, uuid.UUID)
    assert first.token != second.token
