"""Accounts, entries and grants: shown, granted, never edited."""

import uuid
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from grokvideo_django import credits
from grokvideo_django.models import CreditAccount, CreditEntry, CreditGrant, VideoRequest
from tests.making import put

from .conftest import ACCOUNTS, ENTRIES, allow, as_, person, said, text_of

pytestmark = pytest.mark.django_db

GRANT = f"{ACCOUNTS}grant/"
GRANTS = "/admin/grokvideo/creditgrant/"


@pytest.fixture
def browser(manager):
    return as_(manager)


def rows(response):
    return list(response.context["cl"].result_list)


def expire(account, amount):
    credits.grant(account, amount)
    newest = account.grants.latest("pk")
    account.grants.filter(pk=newest.pk).update(expires_at=timezone.now() - timedelta(minutes=1))


def test_the_list_shows_what_can_be_spent_in_as_many_queries_for_sixty_as_for_three(browser, manager, editor):
    expire(CreditAccount.objects.for_user(editor), 30)
    put(editor, "queued")
    browser.get(ACCOUNTS)

    def queries():
        with CaptureQueriesContext(connection) as captured:
            response = browser.get(ACCOUNTS)
        return len(captured), response

    few, response = queries()
    account = CreditAccount.objects.for_user(editor)
    assert (account.posted, account.held, account.available) == (135, 5, 100)
    assert "editor 135 5 100 Statement" in text_of(response)
    for number in range(60):
        credits.grant(User.objects.create(username=f"u{number}"), 5)
    assert queries()[0] == few


def test_editors_see_their_own_account_and_entries_only(client, editor, colleague):
    own = CreditAccount.objects.for_user(editor)
    assert rows(client.get(ACCOUNTS)) == [own]
    assert {entry.account for entry in rows(client.get(ENTRIES))} == {own}
    assert {given.account for given in rows(client.get(GRANTS))} == {own}
    theirs = CreditAccount.objects.for_user(colleague)
    for url, pk in (
        (ACCOUNTS, theirs.pk),
        (ENTRIES, theirs.entries.get().pk),
        (GRANTS, theirs.grants.get().pk),
    ):
        assert client.get(f"{url}{pk}/change/").url == "/admin/"
    assert client.get(f"{ACCOUNTS}{own.pk}/change/").status_code == 200
    assert "Grant credits" not in text_of(client.get(ACCOUNTS))


@pytest.mark.parametrize("permission", ["view_usage", "grant"])
def test_who_watches_or_grants_sees_everybodys(editor, colleague, permission):
    client = as_(person("watcher", permission))
    assert len(rows(client.get(ACCOUNTS))) == 2
    assert len(rows(client.get(ENTRIES))) == 2
    assert len(rows(client.get(GRANTS))) == 2


def test_who_has_nothing_to_do_with_it_sees_nothing(editor):
    client = as_(person("outsider"))
    for url in (ACCOUNTS, ENTRIES, GRANTS, GRANT):
        assert client.get(url).status_code == 403


def test_nobody_adds_changes_or_deletes(editor):
    User.objects.create_superuser("root")
    client = as_(User.objects.get(username="root"))
    for url, model in ((ACCOUNTS, CreditAccount), (ENTRIES, CreditEntry), (GRANTS, CreditGrant)):
        pk = model.objects.get().pk
        before = model.objects.values().get()
        assert client.get(f"{url}{pk}/change/").status_code == 200
        assert client.get(f"{url}add/").status_code == 403
        assert client.post(f"{url}{pk}/change/", {"amount": 5, "posted": 5}).status_code == 403
        assert client.post(f"{url}{pk}/delete/", {"post": "yes"}).status_code == 403
        client.post(url, {"action": "delete_selected", "_selected_action": [pk], "post": "yes"})
        assert model.objects.values().get() == before


def test_an_account_shows_its_last_entries_and_leads_to_all(browser, editor):
    account = CreditAccount.objects.for_user(editor)
    for number in range(25):
        credits.grant(editor, 1, reason=f"number {number}.", actor="<b>boss</b>")
    response = browser.get(f"{ACCOUNTS}{account.pk}/change/")
    text = text_of(response)
    assert "number 24." in text
    assert "number 4." not in text
    assert "<b>boss</b>" in text
    assert "&lt;b&gt;boss" in response.content.decode()
    url = f"{ENTRIES}?account__id__exact={account.pk}"
    assert url in response.content.decode()
    assert len(rows(browser.get(url))) == 26


def test_an_account_without_entries(browser, manager):
    user = User.objects.create(username="new")
    account = CreditAccount.objects.for_user(user)
    assert "None yet." in text_of(browser.get(f"{ACCOUNTS}{account.pk}/change/"))


def test_an_account_whose_user_is_gone_keeps_its_name(browser, colleague):
    account = CreditAccount.objects.for_user(colleague)
    colleague.delete()
    response = browser.get(f"{ACCOUNTS}{account.pk}/change/")
    assert "colleague" in text_of(response)
    assert "?user=" not in response.content.decode()


def test_an_entry_leads_to_its_request(browser, editor):
    request = put(editor, "queued")
    entry = CreditEntry.objects.get(kind="hold")
    html = browser.get(f"{ENTRIES}{entry.pk}/change/").content.decode()
    url = f"/admin/grokvideo/videorequest/?uuid={request.uuid}"
    assert url in html
    assert rows(browser.get(url)) == [request]
    granted = CreditEntry.objects.filter(kind="grant").first()
    assert "?uuid=" not in browser.get(f"{ENTRIES}{granted.pk}/change/").content.decode()


def test_an_entry_leads_to_no_request_that_may_not_be_seen(client, browser, editor, colleague):
    put(colleague, "queued")
    request = put(editor, "queued")
    entry = CreditEntry.objects.get(request_key=request.key)

    def shown(browser):
        response = browser.get(f"{ENTRIES}{entry.pk}/change/")
        assert request.key in text_of(response)
        return f"?uuid={request.key}" in response.content.decode()

    assert (shown(client), shown(browser)) == (True, True)
    granting = person("granting", "grant")
    assert not shown(as_(granting))
    allow(granting, "change_all")
    assert not shown(as_(granting))
    allow(granting, "view_videorequest")
    assert shown(as_(granting))
    VideoRequest.objects.filter(pk=request.pk).update(uuid=uuid.uuid4())  # as if it were deleted
    assert not shown(browser)


def test_entries_can_be_searched_and_filtered(browser, editor):
    credits.grant(editor, 7, reason="for the autumn")
    assert [entry.posted_delta for entry in rows(browser.get(ENTRIES, {"q": "autumn"}))] == [7]
    assert not rows(browser.get(ENTRIES, {"kind__exact": "hold"}))


def test_entries_take_no_query_per_row(browser, editor):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            browser.get(ENTRIES)
        return len(captured)

    queries()
    few = queries()
    for _ in range(30):
        credits.grant(User.objects.create(username=uuid.uuid4().hex), 1)
    assert queries() == few


# Granting


def grant_form(browser, **changes):
    form = browser.get(GRANT).context["form"]
    return {**{name: form[name].value() or "" for name in form.fields}, **changes}


def test_granting(browser, editor):
    response = browser.post(GRANT, grant_form(browser, user=editor.pk, amount=50, reason="For June"), follow=True)
    account = CreditAccount.objects.for_user(editor)
    assert account.posted == 150
    assert response.redirect_chain == [(f"{ACCOUNTS}{account.pk}/change/", 302)]
    assert said(response) == [("success", "Granted to editor: 50 credits, about $0.50.")]
    entry = account.entries.first()
    assert (entry.actor, entry.reason) == ("manager", "For June")


def test_granting_opens_an_account(browser):
    user = User.objects.create(username="new")
    browser.post(GRANT, grant_form(browser, user=user.pk, amount=50, reason="Welcome"))
    assert CreditAccount.objects.get(user=user).posted == 50


def test_a_double_click_grants_once(browser, editor):
    data = grant_form(browser, user=editor.pk, amount=50, reason="For June")
    for _twice in range(2):
        response = browser.post(GRANT, data, follow=True)
    assert response.status_code == 200
    assert CreditAccount.objects.for_user(editor).posted == 150


@pytest.mark.parametrize("changes", [{}, {"reason": "For July"}, {"expires_at": "2099-01-01T00:00"}])
def test_a_form_that_comes_again_grants_nothing_and_says_so(browser, editor, changes):
    data = grant_form(browser, user=editor.pk, amount=50, reason="For June")
    browser.post(GRANT, data, follow=True)
    words = (
        "This form was sent before, and editor was granted 50 credits, about $0.50 then. Nothing was granted now; "
        "to grant more, open the form anew."
    )
    assert said(browser.post(GRANT, {**data, **changes}, follow=True)) == [("info", words)]
    account = CreditAccount.objects.for_user(editor)
    assert account.posted == 150
    assert (account.entries.first().reason, account.grants.latest("pk").expires_at) == ("For June", None)


def test_the_same_form_with_another_amount_is_refused(browser, editor):
    data = grant_form(browser, user=editor.pk, amount=50, reason="For June")
    browser.post(GRANT, data)
    response = browser.post(GRANT, {**data, "amount": 60})
    assert "already used for a different operation" in text_of(response)
    assert CreditAccount.objects.for_user(editor).posted == 150


def test_a_forged_key_harms_nothing(browser, editor):
    browser.post(GRANT, grant_form(browser, user=editor.pk, amount=50, reason="x", key="hold:1"))
    assert CreditEntry.objects.first().key.startswith("admin-grant:")


def test_a_grant_can_expire(browser, editor):
    tomorrow = timezone.now() + timedelta(days=1)
    data = grant_form(browser, user=editor.pk, amount=5, reason="x", expires_at=tomorrow.strftime("%Y-%m-%dT%H:%M"))
    browser.post(GRANT, data)
    assert abs(CreditGrant.objects.first().expires_at - tomorrow) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount": "0"}, "amount"),
        ({"amount": "-5"}, "amount"),
        ({"amount": "1.5"}, "amount"),
        ({"amount": "9" * 30}, "amount"),
        ({"amount": ""}, "amount"),
        ({"reason": " "}, "reason"),
        ({"user": "999"}, "user"),
        ({"user": ""}, "user"),
        ({"expires_at": "soon"}, "expires_at"),
        ({"expires_at": "2001-01-01T00:00"}, "__all__"),
    ],
)
def test_bad_grants_are_refused(browser, editor, changes, field):
    data = grant_form(browser, **{"user": editor.pk, "amount": 50, "reason": "x", **changes})
    response = browser.post(GRANT, data)
    assert response.status_code == 200
    assert field in response.context["form"].errors
    assert CreditAccount.objects.for_user(editor).posted == 100


def test_the_page_of_an_account_fills_in_whom(browser, editor):
    account = CreditAccount.objects.for_user(editor)
    url = f"{GRANT}?user={editor.pk}"
    assert url in browser.get(f"{ACCOUNTS}{account.pk}/change/").content.decode()
    assert f'value="{editor.pk}" selected' in browser.get(url).content.decode()
    assert browser.get(f"{GRANT}?user=x").status_code == 200


def test_opening_the_form_grants_nothing(browser, editor):
    browser.get(GRANT, {"user": editor.pk, "amount": 50, "reason": "x"})
    assert CreditAccount.objects.for_user(editor).posted == 100


def test_an_editor_may_not_grant(client, editor):
    assert client.get(GRANT).status_code == 403
    assert client.post(GRANT, {"user": editor.pk, "amount": 50, "reason": "x"}).status_code == 403
    assert CreditAccount.objects.for_user(editor).posted == 100


def test_csrf_is_enforced(manager, editor):
    client = as_(manager, enforce_csrf_checks=True)
    data = grant_form(client, user=editor.pk, amount=50, reason="x")
    assert client.post(GRANT, data).status_code == 403
    token = client.cookies["csrftoken"].value
    assert client.post(GRANT, {**data, "csrfmiddlewaretoken": token}).status_code == 302


def test_users_are_searched_where_their_admin_may_be_seen(manager):
    allow(manager, "view_user")
    assert "admin-autocomplete" in as_(User.objects.get(pk=manager.pk)).get(GRANT).content.decode()
