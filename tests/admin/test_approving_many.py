"""Approving and declining several: asked with the total, each decided by itself, once."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from grokvideo_django import credits, services
from grokvideo_django.admin import approving_many
from grokvideo_django.models import CreditAccount, VideoRequest
from tests.making import many

from .conftest import LIST, allow, as_, person, said, text_of
from .test_granting_many import hidden

pytestmark = pytest.mark.django_db

Status = VideoRequest.Status


@pytest.fixture(autouse=True)
def limit(settings):
    settings.GROKVIDEO = {**settings.GROKVIDEO, "APPROVAL_ABOVE": 20}


@pytest.fixture
def approver(db):
    return person("approver", "approve")


@pytest.fixture
def browser(approver):
    return as_(approver)


def wait_for(owner, prompt="A fox"):
    """25 credits."""
    row = VideoRequest.objects.create(owner=owner, prompt=prompt)
    services.start(row)
    assert row.status == Status.AWAITING_APPROVAL
    return row


@pytest.fixture
def waiting(editor, colleague):
    return [wait_for(editor, "A fox"), wait_for(colleague, "A hare")]


def chosen(rows, action="approve_selected", **changes):
    return {"action": action, "_selected_action": [row.pk for row in rows], **changes}


def confirm(browser, rows, action="approve_selected", **changes):
    page = browser.post(LIST, chosen(rows, action))
    return browser.post(LIST, {**hidden(page), "reason": "", **changes}, follow=True)


def states(rows):
    return [VideoRequest.objects.get(pk=row.pk).status for row in rows]


def held(user):
    return CreditAccount.objects.for_user(user).held


def test_it_asks_with_the_total_and_approves_each(browser, waiting, editor, colleague):
    text = text_of(browser.post(LIST, chosen(waiting)))
    assert "Together 50 credits, about $0.50, held at once." in text
    assert "A fox editor 25" in text
    assert states(waiting) == [Status.AWAITING_APPROVAL] * 2
    told = said(confirm(browser, waiting, reason="For June"))
    assert told == [
        ("success", "“A fox” was approved. Held: 25 credits, about $0.25."),
        ("success", "“A hare” was approved. Held: 25 credits, about $0.25."),
        ("info", "2 requests were approved. Held: 50 credits, about $0.50."),
    ]
    assert states(waiting) == [Status.QUEUED] * 2
    assert (held(editor), held(colleague)) == (25, 25)
    event = waiting[0].events.last()
    assert (event.actor, "For June" in event.message) == ("approver", True)


def test_it_declines_each_with_the_reason(browser, waiting, editor):
    told = said(confirm(browser, waiting, "decline_selected", reason="Too long"))
    assert told[0] == ("success", "“A fox” was declined. It cost nothing.")
    assert len(told) == 2
    assert states(waiting) == [Status.CANCELED] * 2
    assert "Too long" in waiting[0].events.last().message
    assert held(editor) == 0


def test_declining_needs_a_reason(browser, waiting):
    response = confirm(browser, waiting, "decline_selected", reason=" ")
    assert "reason" in response.context["form"].errors
    assert states(waiting) == [Status.AWAITING_APPROVAL] * 2
    browser.post(LIST, {**hidden(response), "reason": "No"})
    assert states(waiting) == [Status.CANCELED] * 2


@pytest.mark.parametrize("action", ["approve_selected", "decline_selected"])
def test_a_double_click_decides_once(browser, waiting, editor, action):
    data = {**hidden(browser.post(LIST, chosen(waiting, action))), "reason": "x"}
    browser.post(LIST, data, follow=True)
    events = [row.events.count() for row in waiting]
    response = browser.post(LIST, data, follow=True)
    assert said(response) == [("info", services.NOT_AWAITING)]
    assert [row.events.count() for row in waiting] == events


def test_what_cannot_be_paid_says_why_and_the_others_go(browser, waiting, editor, colleague):
    CreditAccount.objects.for_user(editor)
    credits.void(editor.credit_account.grants.get(), reason="moved")
    told = said(confirm(browser, waiting))
    assert told[0][0] == "error"
    assert "“A fox” was not approved. This needs 25 credits; available: 0" in told[0][1]
    assert told[-1] == ("info", "1 request was approved. Held: 25 credits, about $0.25.")
    assert states(waiting) == [Status.AWAITING_APPROVAL, Status.QUEUED]


def test_their_own_are_left_to_others(approver, browser, waiting):
    credits.grant(approver, 100)
    own = wait_for(approver, "Mine")
    text = text_of(browser.post(LIST, chosen([own, *waiting])))
    assert "1 selected request is your own, which another site manager decides about." in text
    assert "Together 50 credits" in text
    told = said(browser.post(LIST, chosen([own], confirmed="1", reason=""), follow=True))
    assert len(told) == 1
    assert "“Mine” was not approved. Nobody approves their own requests here." in told[0][1]
    assert states([own]) == [Status.AWAITING_APPROVAL]
    assert said(browser.post(LIST, chosen([own]), follow=True))[0][0] == "warning"


def test_their_own_where_the_site_allows_it(approver, browser, settings):
    credits.grant(approver, 100)
    own = wait_for(approver, "Mine")
    settings.GROKVIDEO = {**settings.GROKVIDEO, "APPROVE_OWN": True}
    confirm(browser, [own])
    assert states([own]) == [Status.QUEUED]


def test_what_does_not_wait_is_left_alone(manager, waiting, editor):
    allow(manager, "approve")
    draft = VideoRequest.objects.create(owner=editor, prompt="A draft")
    text = text_of(as_(manager).post(LIST, chosen([draft, *waiting])))
    assert "1 selected request awaits no approval and is left alone." in text
    assert "Together 50 credits" in text


def test_no_more_than_can_be_confirmed(browser, waiting, monkeypatch):
    monkeypatch.setattr(approving_many, "MOST_AT_ONCE", 1)
    words = "At most 1 requests can be decided at once. Nothing was changed; choose fewer."
    assert said(browser.post(LIST, chosen(waiting), follow=True)) == [("error", words)]


def test_forty_are_shown_in_as_many_queries_as_two(browser, waiting, colleague):
    def queries(rows):
        with CaptureQueriesContext(connection) as captured:
            assert browser.post(LIST, chosen(rows)).status_code == 200
        return len(captured)

    few = queries(waiting)
    assert queries(many(colleague, 40, Status.AWAITING_APPROVAL, due_at=None)) == few


@pytest.mark.parametrize("action", ["approve_selected", "decline_selected"])
def test_who_may_not_approve_may_not(client, manager, waiting, action):
    for browser in (client, as_(manager)):
        assert "Approve selected" not in text_of(browser.get(LIST))
        browser.post(LIST, chosen(waiting, action, confirmed="1", reason="x"))
    assert states(waiting) == [Status.AWAITING_APPROVAL] * 2


def test_csrf_is_enforced(approver, waiting):
    client = as_(approver, enforce_csrf_checks=True)
    client.get(LIST)
    assert client.post(LIST, chosen(waiting, confirmed="1", reason="x")).status_code == 403
    assert states(waiting) == [Status.AWAITING_APPROVAL] * 2
