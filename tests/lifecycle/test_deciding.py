"""What a person decides about a request in doubt."""

from __future__ import annotations

import pytest
from django.utils import timezone

from grokvideo_django.exceptions import InvalidRequest, InvalidTransition
from grokvideo_django.lifecycle import deciding
from grokvideo_django.models import CreditAccount

from ..making import Status, last_event, put, turn_into, unchanged

pytestmark = pytest.mark.django_db


def resolve(row, outcome, reason="I called them.", job_id=None):
    deciding.resolve(row.pk, outcome, actor="boss", reason=reason, now=timezone.now(), gateway_job_id=job_id)
    row.refresh_from_db()


@pytest.mark.parametrize(("outcome", "charged", "posted"), [("release", 0, 105), ("charge", 5, 100)])
def test_the_credits_are_released_or_charged(outcome, charged, posted, editor):
    row = put(editor, Status.IN_DOUBT)
    resolve(row, outcome)
    account = CreditAccount.objects.get()
    assert (row.status, row.charged_credits, account.posted, account.held) == ("failed", charged, posted, 0)
    assert (row.due_at, row.lease_token, row.error_code) == (None, None, "resolved")
    assert row.finished_at is not None
    event = last_event(row)
    assert (event.kind, event.from_status, event.to_status, event.actor) == ("resolved", "in_doubt", "failed", "boss")
    assert "I called them." in event.message


def test_asking_again_reads_the_job_once_more(editor):
    row = put(editor, Status.IN_DOUBT, due_at=None, error_code="media", error_message="HTML.")
    job_id = row.gateway_job_id
    resolve(row, "ask_again")
    assert (row.status, row.gateway_job_id, row.error_code, row.error_message) == ("submitted", job_id, "", "")
    assert row.due_at <= timezone.now()
    assert row.lease_token is None
    assert CreditAccount.objects.get().held == 5


def test_a_job_that_was_never_named_cannot_be_asked_about(editor):
    row = put(editor, Status.IN_DOUBT, gateway_job_id=None, due_at=None)
    with unchanged(), pytest.raises(InvalidRequest, match="never named a job"):
        resolve(row, "ask_again")


def test_attaching_a_job(editor):
    row = put(editor, Status.IN_DOUBT, gateway_job_id=None, due_at=None)
    resolve(row, "attach", job_id=" job_found ")
    assert (row.status, row.gateway_job_id) == ("submitted", "job_found")
    assert row.due_at <= timezone.now()
    assert last_event(row).data == {"gateway_job_id": "job_found"}


def test_what_the_last_job_said_of_its_length_says_nothing_about_another(editor):
    row = put(editor, Status.IN_DOUBT, reported_seconds=1.0)
    resolve(row, "attach", job_id="job_other")
    assert row.reported_seconds is None


@pytest.mark.parametrize("job_id", [None, "", "  ", "j" * 201, "job\0"])
def test_a_job_id_must_be_one(job_id, editor):
    row = put(editor, Status.IN_DOUBT)
    with unchanged(), pytest.raises(InvalidRequest, match="Give the gateway's job id"):
        resolve(row, "attach", job_id=job_id)


def test_the_job_of_another_request_cannot_be_attached(editor):
    row, other = put(editor, Status.IN_DOUBT), put(editor, Status.SUBMITTED)
    with unchanged(), pytest.raises(InvalidRequest, match="belongs to another request"):
        resolve(row, "attach", job_id=other.gateway_job_id)


@pytest.mark.parametrize("outcome", deciding.OUTCOMES)
def test_a_reason_is_needed(outcome, editor):
    row = put(editor, Status.IN_DOUBT)
    with unchanged(), pytest.raises(InvalidRequest, match="Say why"):
        resolve(row, outcome, reason="  ", job_id="job_found")


def test_no_such_outcome(editor):
    row = put(editor, Status.IN_DOUBT)
    with unchanged(), pytest.raises(InvalidRequest, match="ask_again, attach, release, charge"):
        resolve(row, "forget")


@pytest.mark.parametrize("outcome", deciding.OUTCOMES)
def test_only_what_is_in_doubt_is_decided(outcome, editor):
    row = put(editor, Status.SUBMITTED)
    for status in Status.values:
        if status != Status.IN_DOUBT:
            turn_into(row, status)
            with unchanged(), pytest.raises(InvalidTransition):
                resolve(row, outcome, job_id="job_found")
