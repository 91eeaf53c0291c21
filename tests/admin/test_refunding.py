"""Refunds from a request's page: once, with a reason, never more than was charged."""

import pytest

from grokvideo_django import credits
from grokvideo_django.admin.refunding import RefundForm
from grokvideo_django.lifecycle import money
from grokvideo_django.models import CreditAccount, CreditEntry, VideoRequest
from tests.making import put, turn_into

from .conftest import as_, page, person, said, text_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(manager):
    return as_(manager)


@pytest.fixture
def charged(editor):
    """20 of 25 credits."""
    return charge(editor)


def charge(owner, amount=20):
    row = put(owner, "submitted", duration_seconds=5)
    money.capture(row, amount, reason="The video is stored.")
    return turn_into(row, "succeeded", due_at=None)


def filled(browser, obj, **changes):
    form = browser.get(page(obj, "refund")).context["form"]
    return {**{name: form[name].value() or "" for name in form.fields}, **changes}


def posted(user):
    return CreditAccount.objects.for_user(user).posted


def test_what_is_left_is_refunded_with_a_reason(browser, client, editor, charged):
    before = posted(editor)
    assert page(charged, "refund") in browser.get(page(charged)).content.decode()
    data = filled(browser, charged, reason="It flickers")
    assert data["amount"] == 20
    response = browser.post(page(charged, "refund"), data, follow=True)
    assert said(response) == [("success", "Refunded: 20 credits, about $0.20 are available to editor again.")]
    assert response.redirect_chain == [(page(charged), 302)]
    assert posted(editor) == before + 20
    entry = CreditEntry.objects.get(kind="refund")
    [event] = charged.events.filter(kind="refunded")
    assert (event.message, event.actor) == ("Refunded: 20 credits. Reason: “It flickers”.", "manager")
    assert (entry.actor, entry.reason, entry.refunds.kind) == ("manager", "It flickers", "capture")
    assert page(charged, "refund") not in response.content.decode()
    assert "It flickers" in text_of(client.get(page(charged)))


def test_what_is_offered_is_taken_however_much_it_is():
    """More than a grant by hand may give."""
    much = 3_000_000_000
    form = RefundForm(much, {"amount": str(much), "reason": "x"}, charged=much)
    assert form.is_valid()
    assert f'max="{much}"' in str(form["amount"])


def test_in_parts(browser, editor, charged):
    before = posted(editor)
    browser.post(page(charged, "refund"), filled(browser, charged, amount=5, reason="A part"))
    data = filled(browser, charged, reason="The rest")
    assert data["amount"] == 15
    assert "At most 15 can still be refunded." in text_of(browser.get(page(charged, "refund")))
    response = browser.post(page(charged, "refund"), {**data, "amount": 16})
    assert "At most 15 of the 20 that were charged can still be refunded, not 16." in text_of(response)
    browser.post(page(charged, "refund"), data)
    assert posted(editor) == before + 20


def test_a_double_click_refunds_once(browser, editor, charged):
    before = posted(editor)
    data = filled(browser, charged, amount=5, reason="It flickers")
    for _twice in range(2):
        response = browser.post(page(charged, "refund"), data, follow=True)
    assert response.status_code == 200
    assert posted(editor) == before + 5


def test_a_form_that_comes_again_says_that_nothing_was_refunded(browser, charged):
    data = filled(browser, charged, amount=5, reason="It flickers")
    browser.post(page(charged, "refund"), data, follow=True)
    response = browser.post(page(charged, "refund"), {**data, "reason": "Another"}, follow=True)
    words = (
        "This form was sent before, and 5 credits, about $0.05 were refunded to editor then. Nothing was changed now."
    )
    assert said(response) == [("info", words)]


def test_a_double_click_refunds_all_of_it_once(browser, editor, charged):
    before = posted(editor)
    data = filled(browser, charged, reason="It flickers")
    for _twice in range(2):
        assert browser.post(page(charged, "refund"), data).status_code == 302
    assert posted(editor) == before + 20


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount": "0"}, "amount"),
        ({"amount": "-1"}, "amount"),
        ({"amount": "1.5"}, "amount"),
        ({"amount": "9" * 30}, "amount"),
        ({"amount": "21"}, "amount"),
        ({"reason": " "}, "reason"),
    ],
)
def test_nonsense_is_refused_in_words(browser, editor, charged, changes, field):
    before = posted(editor)
    data = filled(browser, charged, **{"reason": "x", **changes})
    response = browser.post(page(charged, "refund"), data)
    assert field in response.context["form"].errors
    assert posted(editor) == before


def test_a_key_of_another_refund_is_refused(browser, editor, charged):
    data = filled(browser, charged, amount=5, reason="x")
    browser.post(page(charged, "refund"), data)
    response = browser.post(page(charged, "refund"), {**data, "amount": 6})
    assert "already used for a different operation" in text_of(response)


def test_a_forged_key_harms_nothing(browser, editor, charged):
    browser.post(page(charged, "refund"), filled(browser, charged, reason="x", key=f"hold:{charged.key}"))
    assert CreditEntry.objects.get(kind="refund").key.startswith("admin-refund:")


@pytest.mark.parametrize("status", VideoRequest.Status.values)
def test_what_cost_nothing_has_nothing_to_refund(browser, editor, status):
    row = put(editor, status)
    for response in (
        browser.get(page(row, "refund"), follow=True),
        browser.post(page(row, "refund"), {"amount": 5, "reason": "x"}, follow=True),
    ):
        assert said(response) == [("info", "There is nothing to refund. Nothing was changed.")]


def test_what_was_refunded_has_nothing_left(browser, charged):
    credits.refund(CreditEntry.objects.get(kind="capture"))
    assert "nothing to refund" in said(browser.get(page(charged, "refund"), follow=True))[0][1]


def test_who_may_not_grant_may_not_refund(client, editor, charged):
    before = posted(editor)
    for browser in (client, as_(person("other", "change_all", "view_videorequest"))):
        assert page(charged, "refund") not in browser.get(page(charged)).content.decode()
        assert browser.get(page(charged, "refund")).status_code == 403
        assert browser.post(page(charged, "refund"), {"amount": 5, "reason": "x"}).status_code == 403
    assert posted(editor) == before


def test_who_does_not_see_it_does_not_refund_it(editor, charged):
    before = posted(editor)
    cashier = as_(person("cashier", "grant", "view_videorequest"))
    assert cashier.post(page(charged, "refund"), {"amount": 5, "reason": "x"}).url == "/admin/"
    assert posted(editor) == before


def test_who_does_not_see_its_page_does_not_refund_it(editor, charged):
    before = posted(editor)
    cashier = as_(person("cashier", "grant", "change_all"))
    assert cashier.get(page(charged)).status_code == 403
    assert cashier.get(page(charged, "refund")).status_code == 403
    assert cashier.post(page(charged, "refund"), {"amount": 5, "reason": "x"}).status_code == 403
    assert posted(editor) == before


def test_csrf_is_enforced(manager, editor, charged):
    before = posted(editor)
    client = as_(manager, enforce_csrf_checks=True)
    data = filled(client, charged, reason="x")
    assert client.post(page(charged, "refund"), data).status_code == 403
    assert posted(editor) == before
    token = client.cookies["csrftoken"].value
    assert client.post(page(charged, "refund"), {**data, "csrfmiddlewaretoken": token}).status_code == 302
