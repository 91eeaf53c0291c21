"""Generate, retry and cancel: a POST each, once, by those who may."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.models import Permission
from django.db import connection

from grokvideo_django import services
from grokvideo_django.models import CreditAccount, VideoRequest
from tests.making import put, turn_into

from .conftest import LIST, as_, buttons_of, form_of, generate, page, person, press, said, text_of

pytestmark = pytest.mark.django_db

PROMPT = "A fox crosses a frozen lake"
EVERY_STATUS = [status for status in VideoRequest.Status.values if status != "draft"]


@pytest.fixture
def draft(editor):
    return VideoRequest.objects.create(owner=editor, prompt=PROMPT)


def ended(owner, status="failed"):
    request = put(owner, "queued")
    services.cancel(request)
    return turn_into(request, status)


@pytest.fixture
def only_looks(editor):
    """May generate from drafts, and not edit them."""
    editor.user_permissions.remove(Permission.objects.get(codename="change_videorequest"))


def test_beside_the_form_of_a_draft_nothing_spends_but_the_form(client, draft):
    response = client.get(page(draft))
    assert buttons_of(response) == []
    html = response.content.decode()
    assert html.count("25 credits, about $0.25") == 2  # the price, and the form's own button
    assert f'action="{page(draft, "generate")}"' not in html
    client.post(page(draft), form_of(response, prompt="An owl", _generate=1))
    draft.refresh_from_db()
    assert (draft.status, draft.prompt) == ("queued", "An owl")


@pytest.mark.usefixtures("only_looks")
def test_generate_starts_for_the_price_on_the_button(client, draft):
    response = client.get(page(draft))
    url, hidden = press(response, "generate")
    assert hidden == {"expected_credits": 25}
    assert "Generate · 25 credits, about $0.25" in text_of(response)
    response = client.post(url, hidden, follow=True)
    draft.refresh_from_db()
    assert response.redirect_chain == [(page(draft), 302)]
    assert (draft.status, draft.quoted_credits, draft.events.get().actor) == ("queued", 25, "editor")
    assert said(response)[0][0] == "success"


@pytest.mark.usefixtures("only_looks")
def test_generate_twice_costs_once(client, editor, draft):
    url, hidden = press(client.get(page(draft)), "generate")
    client.post(url, hidden)
    response = client.post(url, hidden, follow=True)
    assert said(response)[-1] == (
        "info",
        "This request is queued and was started before. Nothing was charged again.",
    )
    assert CreditAccount.objects.for_user(editor).held == 25
    assert draft.events.count() == 1


@pytest.mark.usefixtures("only_looks")
def test_a_new_price_is_asked_about_again(client, draft, settings):
    url, hidden = press(client.get(page(draft)), "generate")
    prices = {"xai/grok-imagine-video": {"480p": "6", "720p": "7", "image": "0.2"}}
    settings.GROKVIDEO = {**settings.GROKVIDEO, "PRICES": prices}
    response = client.post(url, hidden, follow=True)
    draft.refresh_from_db()
    assert draft.status == "draft"
    [(level, words)] = said(response)
    assert level == "warning"
    assert words.startswith("The price is now 30 credits, about $0.30, not 25 as shown. Nothing was charged;")
    url, hidden = press(response, "generate")
    client.post(url, hidden)
    draft.refresh_from_db()
    assert (draft.status, draft.quoted_credits) == ("queued", 30)


@pytest.mark.usefixtures("only_looks")
def test_a_draft_that_cannot_be_sent_says_what_to_do(client, editor):
    empty = VideoRequest.objects.create(owner=editor, prompt=" ")
    url, hidden = press(client.get(page(empty)), "generate")
    [(level, words)] = said(client.post(url, hidden, follow=True))
    assert level == "error"
    assert words.startswith("Describe the video:")
    assert words.endswith("It was not started, and nothing was charged.")


def test_a_draft_of_nobody_cannot_be_generated(manager):
    orphan = VideoRequest.objects.create(prompt=PROMPT, owner_name="gone")
    client = as_(manager)
    assert buttons_of(client.get(page(orphan))) == []
    [(level, words)] = said(client.post(page(orphan, "generate"), {"expected_credits": 25}, follow=True))
    assert (level, "A request needs an owner" in words) == ("error", True)
    assert "gone" in text_of(client.get(LIST))


@pytest.mark.parametrize("name", ["generate", "retry", "cancel"])
@pytest.mark.parametrize("status", VideoRequest.Status.values)
def test_opening_a_buttons_address_does_nothing(client, editor, name, status):
    request = put(editor, status) if status != "draft" else VideoRequest.objects.create(owner=editor, prompt=PROMPT)
    before = VideoRequest.objects.values().get(), request.events.count()
    for method in (client.get, client.head, client.put, client.delete):
        response = method(page(request, name))
        assert (response.status_code, response.url) == (302, page(request))
    assert (VideoRequest.objects.values().get(), request.events.count()) == before


@pytest.mark.parametrize("name", ["generate", "retry", "cancel"])
def test_csrf_is_enforced(editor, draft, name):
    client = as_(editor, enforce_csrf_checks=True)
    assert client.post(page(draft, name), {"expected_credits": 25}).status_code == 403
    draft.refresh_from_db()
    assert draft.status == "draft"
    client.get(page(draft))
    token = client.cookies["csrftoken"].value
    assert client.post(page(draft, name), {"csrfmiddlewaretoken": token}).status_code == 302


@pytest.mark.parametrize("name", ["generate", "retry", "cancel", "resolve"])
def test_a_stranger_must_log_in(client, draft, name):
    client.logout()
    response = client.post(page(draft, name), {"expected_credits": 25})
    assert (response.status_code, response.url.split("?")[0]) == (302, "/admin/login/")
    draft.refresh_from_db()
    assert draft.status == "draft"


@pytest.mark.parametrize("name", ["generate", "retry", "cancel"])
def test_somebody_elses_request_is_not_there(client, colleague, name):
    theirs = VideoRequest.objects.create(owner=colleague, prompt=PROMPT)
    response = client.post(page(theirs, name), {"expected_credits": 25}, follow=True)
    assert response.redirect_chain[0] == ("/admin/", 302)
    assert "exist. Perhaps it was deleted" in said(response)[0][1]
    theirs.refresh_from_db()
    assert theirs.status == "draft"


@pytest.mark.parametrize("key", ["999", "x", "9" * 40])
def test_no_request_at_all_is_not_there_either(client, key):
    assert client.post(f"{LIST}{key}/generate/").status_code == 302


def test_those_who_may_change_all_start_what_its_owner_pays(manager, editor, draft):
    client = as_(manager)
    generate(client, draft)
    draft.refresh_from_db()
    assert (draft.status, draft.events.get().actor) == ("queued", "manager")
    assert CreditAccount.objects.for_user(editor).held == 25


def test_who_may_not_add_may_not_generate_or_retry(db):
    user = person("reader", "view_videorequest", "change_videorequest", amount=100)
    client = as_(user)
    draft = VideoRequest.objects.create(owner=user, prompt=PROMPT)
    assert buttons_of(client.get(page(draft))) == []
    assert client.post(page(draft, "generate"), {"expected_credits": 25}).status_code == 403
    failed = ended(user)
    assert buttons_of(client.get(page(failed))) == []
    assert client.post(page(failed, "retry"), {"expected_credits": 5}).status_code == 403


def test_who_may_not_change_may_not_cancel(db):
    user = person("reader", "view_videorequest", amount=100)
    request = put(user, "queued")
    assert buttons_of(as_(user).get(page(request))) == []
    assert as_(user).post(page(request, "cancel")).status_code == 403


@pytest.mark.parametrize("name", ["generate", "retry"])
def test_who_does_not_see_the_page_has_no_button(draft, editor, name):
    writer = as_(person("writer", "add_videorequest", "change_all"))
    row = draft if name == "generate" else ended(editor)
    assert writer.get(page(row)).status_code == 403
    assert writer.post(page(row, name), {"expected_credits": 25, "retries": 0}).status_code == 403
    assert not VideoRequest.objects.filter(status="queued").exists()


def test_what_has_no_price_has_no_button(client, editor, settings):
    settings.GROKVIDEO = {**settings.GROKVIDEO, "PRICES": {"xai/grok-imagine-video": {"720p": "7"}}}
    assert buttons_of(client.get(page(ended(editor)))) == []


def test_retry_makes_and_starts_a_new_request(client, editor):
    failed = ended(editor)
    response = client.get(page(failed))
    url, hidden = press(response, "retry")
    assert hidden == {"expected_credits": 5, "retries": 0}
    response = client.post(url, hidden, follow=True)
    again = failed.retries.get()
    assert response.redirect_chain == [(page(again), 302)]
    assert (again.status, again.prompt, again.owner) == ("queued", failed.prompt, editor)
    assert said(response) == [("success", "Made again as a new request. Held: 5 credits, about $0.05.")]
    assert f"retry of #{failed.pk} (failed)" in text_of(response)
    assert f"made again as #{again.pk} (queued)" in text_of(client.get(page(failed)))


def label_of(response):
    [button] = response.context["grokvideo_buttons"]
    return button.label


def test_the_button_says_who_pays_and_whether_there_is_a_video(client, manager, editor):
    failed, ready = ended(editor), ended(editor, "succeeded")
    assert label_of(client.get(page(failed))) == "Retry · 5 credits, about $0.05"
    assert label_of(client.get(page(ready))) == "Make again · 5 credits, about $0.05"
    response = as_(manager).get(page(ready))
    assert label_of(response) == "Make again · 5 credits, about $0.05 (paid by editor)"
    response = as_(manager).post(*press(response, "retry"), follow=True)
    words = "Made again as a new request. Held: 5 credits, about $0.05 (paid by editor)."
    assert said(response) == [("success", words)]


def test_retry_twice_costs_once(client, editor):
    failed = ended(editor)
    url, hidden = press(client.get(page(failed)), "retry")
    client.post(url, hidden)
    response = client.post(url, hidden, follow=True)
    assert failed.retries.count() == 1
    assert said(response)[-1] == (
        "info",
        "It was made again already; the new request is linked below. Nothing was charged now.",
    )
    client.post(*press(response, "retry"))  # this page knows of the first: another one is meant
    assert failed.retries.count() == 2


def test_retry_without_its_hidden_fields_costs_nothing(client, editor):
    failed = ended(editor)
    assert "It costs 5 credits" in said(client.post(page(failed, "retry"), follow=True))[0][1]
    client.post(page(failed, "retry"), {"expected_credits": 5})
    assert not failed.retries.exists()


def test_retry_at_a_new_price_asks_again(client, editor):
    failed = ended(editor)
    response = client.post(page(failed, "retry"), {"expected_credits": 4, "retries": 0}, follow=True)
    assert said(response)[0][0] == "warning"
    assert not failed.retries.exists()


def test_a_retry_that_cannot_be_paid_leaves_nothing(client, editor):
    failed = turn_into(put(editor, "queued", duration_seconds=15), "failed")  # keeps its hold: 100 are left
    client.post(*press(client.get(page(ended(editor))), "retry"))
    editor.credit_account.grants.update(remaining=0)
    CreditAccount.objects.update(posted=0, held=0)
    response = client.post(*press(client.get(page(failed)), "retry"), follow=True)
    [(level, words)] = said(response)[-1:]
    assert (level, "missing: 75" in words) == ("error", True)
    assert not failed.retries.exists()


def test_what_has_not_ended_cannot_be_made_again(client, editor):
    doubtful = put(editor, "in_doubt")
    assert buttons_of(client.get(page(doubtful))) == []
    response = client.post(page(doubtful, "retry"), {"expected_credits": 5, "retries": 0}, follow=True)
    assert "only one that has ended can be made again" in said(response)[0][1]
    assert VideoRequest.objects.count() == 1


def test_canceling_what_was_not_sent_gives_everything_back(client, editor):
    request = put(editor, "queued")
    held = CreditAccount.objects.for_user(editor).held
    response = client.post(*press(client.get(page(request)), "cancel"), follow=True)
    request.refresh_from_db()
    assert request.status == "canceled"
    assert CreditAccount.objects.for_user(editor).held == held - 5
    assert said(response) == [("success", "Canceled. It cost nothing; what was held is available again.")]
    assert "nothing" in text_of(response)


def test_canceling_what_may_have_been_accepted_leaves_it_in_doubt(client, editor):
    request = put(editor, "queued", server_faults=1)
    response = client.post(*press(client.get(page(request)), "cancel"), follow=True)
    request.refresh_from_db()
    assert request.status == "in_doubt"
    [(level, words)] = said(response)
    assert level == "warning"
    assert "nobody knows whether it makes the video" in words
    assert CreditAccount.objects.for_user(editor).held == 5


@pytest.mark.parametrize("status", ["submitting", "submitted"])
def test_canceling_what_was_sent_asks_the_gateway(client, editor, status):
    request = put(editor, status)
    response = client.post(*press(client.get(page(request)), "cancel"), follow=True)
    request.refresh_from_db()
    assert (request.status, request.cancel_requested_at is not None) == (status, True)
    assert said(response)[0][1].startswith("The gateway is asked to cancel it.")
    assert "The gateway was asked to cancel it; until it confirms, the credits stay held." in text_of(response)
    assert "cancel" not in buttons_of(response)


@pytest.mark.parametrize("status", ["rendered", "succeeded", "failed", "canceled", "in_doubt"])
def test_too_late_to_cancel_says_why(client, editor, status):
    request = put(editor, status)
    assert "cancel" not in buttons_of(client.get(page(request)))
    response = client.post(page(request, "cancel"), follow=True)
    request.refresh_from_db()
    assert request.status == status
    [(level, words)] = said(response)
    assert (level, bool(words)) == ("info", True)


@pytest.mark.parametrize("status", EVERY_STATUS)
def test_no_button_is_a_server_error_in_any_state(client, editor, status):
    request = put(editor, status)
    for name in ("generate", "retry", "cancel"):
        response = client.post(page(request, name), {"expected_credits": 5, "retries": 0}, follow=True)
        assert response.status_code == 200
        assert said(response)


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer")
def test_two_presses_at_the_very_same_time_make_one_retry(editor):
    failed = ended(editor)
    clients = [as_(editor) for _ in range(4)]
    url, hidden = press(clients[0].get(page(failed)), "retry")

    def post(client):
        try:
            return client.post(url, hidden).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(post, clients)) == [302] * 4
    assert failed.retries.count() == 1
