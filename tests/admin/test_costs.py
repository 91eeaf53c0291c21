"""Every request that has ended says what it cost, and why."""

from datetime import timedelta

import pytest
from django.utils import timezone
from django.utils.formats import date_format

from grokvideo_django import services
from grokvideo_django.admin.telling import in_words
from grokvideo_django.lifecycle import money, reading, submitting
from grokvideo_django.models import VideoRequest
from tests.making import Status, lease_of, put, turn_into

from .conftest import page, text_of

pytestmark = pytest.mark.django_db


def charge(settings, **policy):
    settings.GROKVIDEO = {**settings.GROKVIDEO, "CHARGE": policy}


def succeeded(owner, amount, **columns):
    row = put(owner, Status.RENDERED, duration_seconds=2)
    money.capture(row, amount, reason="")
    return turn_into(row, Status.SUCCEEDED, due_at=None, **columns)


def full(owner, settings):
    return succeeded(owner, 10, delivered_seconds=2.0)


def shorter(owner, settings):
    return succeeded(owner, 5, delivered_seconds=1.1)


def cheaper(owner, settings):
    return succeeded(owner, 8, delivered_seconds=2.0)


def canceled_too_late(owner, settings):
    return succeeded(owner, 10, delivered_seconds=2.0, cancel_refused_at=timezone.now())


def refunded(owner, settings):
    row = succeeded(owner, 10, delivered_seconds=2.0)
    services.refund(row, 4, actor="boss", reason="It flickers")
    return row


def all_refunded(owner, settings):
    row = succeeded(owner, 10, delivered_seconds=2.0)
    services.refund(row, actor="boss", reason="It flickers")
    return row


def failed(owner, settings):
    row = put(owner, Status.SUBMITTED)
    reading.ended_without_video(lease_of(row), code="moderated", message="No.", outcome="moderated")
    return row


def failed_and_charged(owner, settings):
    charge(settings, moderated="0.5")
    return failed(owner, settings)


def charged_by_decision(owner, settings):
    row = put(owner, Status.IN_DOUBT)
    services.resolve(row, "charge", actor="boss", reason="They charged")
    return row


def released_by_decision(owner, settings):
    row = put(owner, Status.IN_DOUBT)
    services.resolve(row, "release", actor="boss", reason="They did not")
    return row


def canceled(owner, settings):
    row = put(owner, Status.QUEUED)
    services.cancel(row)
    return row


def canceled_while_sending(owner, settings):
    row = put(owner, Status.SUBMITTING, cancel_requested_at=timezone.now())
    submitting.not_accepted(lease_of(row), message="Busy.", due_at=timezone.now())
    return row


def canceled_and_charged(owner, settings):
    charge(settings, canceled="full")
    row = put(owner, Status.SUBMITTED)
    reading.canceled(lease_of(row), asked=True)
    return row


def declined(owner, settings):
    settings.GROKVIDEO = {**settings.GROKVIDEO, "APPROVAL_ABOVE": 1}
    row = VideoRequest.objects.create(owner=owner, prompt="A fox")
    services.start(row)
    services.decline(row, actor="boss", reason="Too long")
    return row


def canceled_while_waiting(owner, settings):
    settings.GROKVIDEO = {**settings.GROKVIDEO, "APPROVAL_ABOVE": 1}
    row = VideoRequest.objects.create(owner=owner, prompt="A fox")
    services.start(row)
    services.cancel(row)
    return row


SHORTER = "It cost 5 of the 10 credits that were held: it is 1 s long, and 2 s were asked for."
BACK = "It cost nothing; what was held is available again."


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (full, "It cost 10 credits, the price that was shown."),
        (shorter, SHORTER),
        (cheaper, "It cost 8 of the 10 credits that were held: the price list has changed."),
        (canceled_too_late, "It was too late to cancel it, so it was finished, kept and charged."),
        (refunded, "It cost 10 credits, the price that was shown. 4 credits were refunded."),
        (all_refunded, "It cost 10 credits, the price that was shown. All of it was refunded."),
        (failed, BACK),
        (failed_and_charged, "It cost 3 of the 5 credits that were held: this site charges for videos that end so."),
        (charged_by_decision, "It cost 5 credits, by a site manager's decision; the reason is in its history."),
        (released_by_decision, BACK),
        (canceled, BACK),
        (canceled_while_sending, BACK),
        (
            canceled_and_charged,
            "It cost 5 of the 5 credits that were held: this site charges for what is canceled late.",
        ),
        (declined, "It was not approved, and cost nothing; the reason is in its history."),
        (canceled_while_waiting, "It was canceled. It cost nothing."),
    ],
)
def test_the_page_says_what_it_cost_and_why(client, editor, settings, end, words):
    row = end(editor, settings)
    assert words in text_of(client.get(page(row)))


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (failed, "It cost nothing."),
        (failed_and_charged, "It cost 3 credits: this site charges for what is moderated."),
        (charged_by_decision, "Charged by decision. It cost 5 credits. Reason: “They charged”."),
        (released_by_decision, "Released by decision. It cost nothing. Reason: “They did not”."),
        (canceled, "Canceled before the gateway accepted it. It cost nothing."),
        (canceled_while_sending, "Canceled before the gateway accepted it. It cost nothing."),
        (canceled_and_charged, "It cost 5 credits: this site charges for what is canceled."),
        (declined, "Declined. It cost nothing. Reason: “Too long”."),
        (refunded, "Refunded: 4 credits. Reason: “It flickers”."),
    ],
)
def test_the_history_says_it_too(client, editor, settings, end, words):
    row = end(editor, settings)
    assert words in row.events.last().message
    assert words in text_of(client.get(page(row)))


def test_one_credit_is_not_spoken_of_as_many(client, editor, settings):
    row = succeeded(editor, 10, delivered_seconds=2.0)
    services.refund(row, 1, actor="boss", reason="A scratch")
    assert "1 credit was refunded." in text_of(client.get(page(row)))
    VideoRequest.objects.update(quoted_credits=1, charged_credits=1)
    assert "It cost 1 credit, the price that was shown." in text_of(client.get(page(row)))
    doubtful = put(editor, Status.IN_DOUBT, quoted_credits=1)
    assert "1 credit stays held until the gateway" in text_of(client.get(page(doubtful)))
    assert in_words(1) == "1 credit, about $0.01"


def test_what_goes_on_has_cost_nothing_yet(client, editor):
    text = text_of(client.get(page(put(editor, Status.SUBMITTED))))
    assert "It cost" not in text


def test_what_was_made_and_cannot_be_had_says_what_comes_of_it(client, editor, settings):
    row = put(editor, Status.IN_DOUBT, error_code="media", rendered_at=timezone.now())
    text = text_of(client.get(page(row)))
    assert "The gateway has made the video, but it could not be stored on this site." in text
    assert "5 credits stay held until a site manager decides; nothing more will be charged." in text
    assert "Nobody knows" not in text
    charge(settings, undelivered="0.5")
    text = text_of(client.get(page(row)))
    day = date_format(timezone.localtime(row.rendered_at + timedelta(days=7)), "DATE_FORMAT")
    assert f"by {day}, when the gateway has deleted the video, it ends then and costs 3 of them." in text
