"""From draft to queued, and canceling from wherever a request is."""

from __future__ import annotations

import pytest
from django.utils import timezone

from grokvideo_django.exceptions import InsufficientCredits, InvalidTransition
from grokvideo_django.lifecycle import starting, submitting
from grokvideo_django.models import CreditAccount, CreditEntry, VideoRequest

from ..making import MODEL, Status, last_event, put, seconds_until, turn_into, unchanged
from ..timing import about

pytestmark = pytest.mark.django_db


def start(row, owner, quoted=5):
    terms = starting.Terms(owner=owner, quoted=quoted, model=MODEL, actor=owner)
    return starting.start(row, terms, now=timezone.now())


def cancel(row, actor="somebody"):
    return starting.cancel(row.pk, now=timezone.now(), actor=actor)


def test_starting_holds_the_quote_and_queues(editor, draft, account):
    assert start(draft, editor)
    draft.refresh_from_db()
    assert (draft.status, draft.quoted_credits, draft.model) == (Status.QUEUED, 5, MODEL)
    assert seconds_until(draft.due_at) == about(15)
    assert seconds_until(draft.queue_expires_at) == about(86_400)
    event = last_event(draft)
    assert (event.kind, event.from_status, event.to_status) == ("queued", Status.DRAFT, Status.QUEUED)
    assert event.actor == "editor"
    account.refresh_from_db()
    assert (account.posted, account.held) == (100, 5)


def test_too_few_credits_leave_the_draft_as_it_was(editor, draft):
    with unchanged(), pytest.raises(InsufficientCredits):
        start(draft, editor, quoted=101)


def test_only_a_draft_is_started(editor):
    row = put(editor, Status.QUEUED)
    for status in Status.values:
        if status != Status.DRAFT:
            turn_into(row, status)
            with unchanged():
                assert not start(row, editor)


@pytest.mark.parametrize(
    "edit",
    [
        {"duration_seconds": 2},
        {"resolution": "720p"},
        {"operation": "image"},
        {"image": "other.png"},
        {"image_url": "https://example.com/fox.png"},
    ],
    ids=lambda edit: next(iter(edit)),
)
def test_a_draft_that_was_edited_since_its_quote_is_not_started(edit, editor, draft):
    VideoRequest.objects.filter(pk=draft.pk).update(**edit)
    with unchanged():
        assert not start(draft, editor)


@pytest.mark.parametrize("status", [Status.DRAFT, Status.AWAITING_APPROVAL, Status.QUEUED])
def test_what_was_not_sent_is_canceled_at_once(status, editor, account):
    row = put(editor, status)
    assert cancel(row) == Status.CANCELED
    row.refresh_from_db()
    assert (row.status, row.due_at, row.lease_token, row.charged_credits) == (Status.CANCELED, None, None, 0)
    assert row.finished_at is not None
    event = last_event(row)
    assert (event.kind, event.from_status, event.actor) == ("canceled", status, "somebody")
    account.refresh_from_db()
    assert account.held == 0
    assert [entry.kind for entry in CreditEntry.objects.filter(resolves__isnull=False)] == ["release"]


def test_what_was_refused_before_is_not_said_to_have_never_been_sent(editor):
    row = put(editor, Status.QUEUED, submit_attempts=1)
    assert cancel(row) == Status.CANCELED
    assert last_event(row).message == "Canceled before the gateway accepted it. It cost nothing."
    assert CreditEntry.objects.get(kind="release").reason == "Canceled before the gateway accepted it."


def test_canceling_a_draft_that_holds_nothing_releases_nothing(draft, account):
    assert cancel(draft) == Status.CANCELED
    draft.refresh_from_db()
    assert (draft.status, draft.charged_credits) == (Status.CANCELED, 0)
    assert not CreditEntry.objects.exclude(kind="grant").exists()


def test_during_the_submission_the_wish_is_noted(editor):
    row = put(editor, Status.SUBMITTING)
    lease, due_at = row.lease_token, row.due_at
    assert cancel(row) == Status.SUBMITTING
    row.refresh_from_db()
    assert (row.status, row.lease_token, row.due_at) == (Status.SUBMITTING, lease, due_at)
    assert row.cancel_requested_at is not None
    assert CreditAccount.objects.get().held == 5
    assert (last_event(row).kind, last_event(row).to_status) == ("cancel_requested", Status.SUBMITTING)


def test_at_the_gateway_the_wish_is_due_at_once_and_ends_the_lease_of_a_read(editor):
    """What the read under way would write could put the DELETE off for minutes."""
    row = put(editor, Status.SUBMITTED)
    assert cancel(row) == Status.SUBMITTED
    row.refresh_from_db()
    assert (row.status, row.lease_token) == (Status.SUBMITTED, None)
    assert row.due_at <= timezone.now()
    assert row.cancel_requested_at is not None
    assert CreditAccount.objects.get().held == 5


@pytest.mark.parametrize("status", [Status.SUBMITTING, Status.SUBMITTED])
def test_canceling_twice_says_nothing_new(status, editor):
    row = put(editor, status)
    cancel(row)
    with unchanged():
        assert cancel(row) == status


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (Status.RENDERED, "can no longer be canceled. It will be charged"),
        (Status.IN_DOUBT, "Its credits stay held"),
        (Status.SUCCEEDED, "already ended"),
        (Status.FAILED, "already ended"),
        (Status.CANCELED, "already ended"),
    ],
)
def test_too_late_to_cancel(status, words, editor):
    row = put(editor, status)
    with unchanged(), pytest.raises(InvalidTransition, match=words):
        cancel(row)


def test_canceling_what_is_gone(db):
    with pytest.raises(InvalidTransition, match="does not exist any more"):
        starting.cancel(987_654, now=timezone.now(), actor=None)


@pytest.mark.parametrize(
    ("first", "then", "result"),
    [
        (Status.QUEUED, Status.SUBMITTING, Status.SUBMITTING),
        (Status.SUBMITTING, Status.SUBMITTED, Status.SUBMITTED),
        (Status.SUBMITTING, Status.QUEUED, Status.CANCELED),
        (Status.SUBMITTED, Status.RENDERED, InvalidTransition),
    ],
)
def test_a_row_that_moves_between_two_looks_is_still_canceled(first, then, result, editor, monkeypatch):
    row = put(editor, first)
    real, looks = starting.move, []

    def look(pk, to, *, from_, **values):
        if not looks and first in from_:
            looks.append(from_)
            VideoRequest.objects.filter(pk=pk).update(status=then)
        return real(pk, to, from_=from_, **values)

    monkeypatch.setattr(starting, "move", look)
    monkeypatch.setattr(submitting, "move", look)
    if result is InvalidTransition:
        with pytest.raises(InvalidTransition, match="It will be charged"):
            cancel(row)
    else:
        assert cancel(row) == result
        row.refresh_from_db()
        assert row.status == result
    assert looks


def test_a_row_that_comes_back_between_two_looks_is_not_in_doubt(editor, monkeypatch):
    """Sent, not accepted, and queued again in the meantime: it had no fault, so it is canceled at the next look."""
    row = put(editor, Status.QUEUED)
    real, looks = submitting.move, []

    def look(pk, to, **values):
        looks.append(to)
        return len(looks) > 1 and real(pk, to, **values)

    monkeypatch.setattr(submitting, "move", look)
    assert cancel(row) == Status.CANCELED
    assert looks == [Status.CANCELED, Status.IN_DOUBT, Status.CANCELED]


def test_a_row_that_never_keeps_still_is_given_up(editor, monkeypatch):
    row = put(editor, Status.QUEUED)
    for module in (starting, submitting):
        monkeypatch.setattr(module, "move", lambda *args, **values: False)
    with unchanged(), pytest.raises(InvalidTransition):
        cancel(row)


# -- approval


def terms_of(owner, quoted=5, **values):
    return starting.Terms(owner=owner, quoted=quoted, model=MODEL, actor="boss", **values)


@pytest.fixture
def waiting(editor, draft):
    """A request that waits for approval and holds nothing."""
    assert starting.ask_for_approval(draft, terms_of(editor), limit=3)
    draft.refresh_from_db()
    return draft


def test_what_waits_for_approval_holds_nothing(waiting, account):
    assert (waiting.status, waiting.quoted_credits, waiting.due_at) == (Status.AWAITING_APPROVAL, 5, None)
    event = last_event(waiting)
    assert (event.kind, event.from_status, event.to_status) == ("approval_asked", "draft", "awaiting_approval")
    assert "5 credits, more than 3" in event.message
    account.refresh_from_db()
    assert account.held == 0


def test_what_should_exceed_its_budgets_says_so_to_whoever_approves(editor, draft):
    assert starting.ask_for_approval(draft, terms_of(editor, exceed_reason="Launch day."), limit=3)
    assert last_event(draft).message.endswith("It should exceed its budgets. Reason: “Launch day.”")


def test_only_a_draft_as_it_was_priced_asks_for_approval(editor, draft):
    for status in Status.values:
        if status != Status.DRAFT:
            turn_into(draft, status)
            with unchanged():
                assert not starting.ask_for_approval(draft, terms_of(editor), limit=3)
    turn_into(draft, Status.DRAFT)
    VideoRequest.objects.filter(pk=draft.pk).update(duration_seconds=2)
    with unchanged():
        assert not starting.ask_for_approval(draft, terms_of(editor), limit=3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "Approved for 5 credits. Reason: “Go on.”"),
        (
            {"exceed_reason": "Launch day."},
            "Approved for 5 credits. Reason: “Go on.” It may exceed its budgets. Reason: “Launch day.”",
        ),
    ],
)
def test_approval_holds_and_queues(values, message, waiting, editor, account):
    assert starting.approve(waiting, terms_of(editor, **values), reason="Go on.", now=timezone.now())
    waiting.refresh_from_db()
    event = last_event(waiting)
    assert (event.kind, event.from_status, event.to_status) == ("queued", "awaiting_approval", "queued")
    assert (event.message, event.actor) == (message, "boss")
    assert seconds_until(waiting.due_at) == about(15)
    assert seconds_until(waiting.queue_expires_at) == about(86_400)
    account.refresh_from_db()
    assert account.held == 5


def test_approval_without_enough_credits_changes_nothing(waiting, editor):
    with unchanged(), pytest.raises(InsufficientCredits):
        starting.approve(waiting, terms_of(editor, quoted=101), reason="", now=timezone.now())


def test_only_what_waits_is_approved_or_declined(waiting, editor):
    for status in Status.values:
        if status != Status.AWAITING_APPROVAL:
            turn_into(waiting, status)
            with unchanged():
                assert not starting.approve(waiting, terms_of(editor), reason="", now=timezone.now())
                assert not starting.decline(waiting.pk, actor="boss", reason="", now=timezone.now())


def test_what_was_changed_while_it_waited_is_not_approved_for_the_old_price(waiting, editor):
    VideoRequest.objects.filter(pk=waiting.pk).update(duration_seconds=15)
    with unchanged():
        assert not starting.approve(waiting, terms_of(editor), reason="", now=timezone.now())


@pytest.mark.parametrize(
    ("reason", "message"),
    [("Too dear.", "Declined. It cost nothing. Reason: “Too dear.”"), ("", "Declined. It cost nothing.")],
)
def test_what_is_declined_ends_and_cost_nothing(reason, message, waiting, account):
    assert starting.decline(waiting.pk, actor="boss", reason=reason, now=timezone.now())
    waiting.refresh_from_db()
    assert (waiting.status, waiting.charged_credits) == (Status.CANCELED, 0)
    assert waiting.finished_at is not None
    event = last_event(waiting)
    assert (event.kind, event.from_status, event.message, event.actor) == (
        "declined", "awaiting_approval", message, "boss",
    )  # fmt: skip
    account.refresh_from_db()
    assert (account.posted, account.held) == (100, 0)
