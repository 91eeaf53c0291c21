"""Credits for several accounts at once: asked, confirmed, granted once."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from grokvideo_django import credits
from grokvideo_django.admin import granting_many
from grokvideo_django.models import CreditAccount, CreditEntry

from .conftest import ACCOUNTS, as_, person, said, text_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(manager):
    return as_(manager)


@pytest.fixture
def accounts(editor, colleague):
    return [CreditAccount.objects.for_user(user) for user in (editor, colleague)]


def chosen(accounts, **changes):
    return {"action": "grant_selected", "_selected_action": [account.pk for account in accounts], **changes}


def hidden(response):
    """What the page's form would send again."""
    form = response.content.decode().partition('class="grokvideo-form"')[2].partition("</form>")[0]
    data = {}
    for tag in re.findall(r"<input[^>]*type=\"hidden\"[^>]*>", form):
        name, value = re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)
        data.setdefault(name[1], []).append(value[1] if value else "")
    return data


def confirmation(browser, accounts, **changes):
    asked = browser.post(ACCOUNTS, chosen(accounts))
    filled = {"amount": 50, "reason": "For June", "expires_at": "", **changes}
    return browser.post(ACCOUNTS, {**hidden(asked), **filled})


def posted(accounts):
    return [CreditAccount.objects.get(pk=account.pk).posted for account in accounts]


def test_it_asks_says_who_and_how_much_and_grants(browser, accounts):
    response = confirmation(browser, accounts)
    assert posted(accounts) == [100, 100]
    text = text_of(response)
    assert "2 accounts get 50 credits each, together 100 credits, about $1.00." in text
    assert "For June" in text
    assert "editor 100" in text
    assert "colleague 100" in text
    response = browser.post(ACCOUNTS, hidden(response), follow=True)
    words = "2 accounts were granted 50 credits each: together 100 credits, about $1.00."
    assert said(response) == [("success", words)]
    assert posted(accounts) == [150, 150]
    entry = accounts[0].entries.first()
    assert (entry.actor, entry.reason) == ("manager", "For June")


def test_one_account(browser, accounts):
    response = confirmation(browser, accounts[:1])
    assert "1 account gets 50 credits, together 50 credits" in text_of(response)
    browser.post(ACCOUNTS, hidden(response))
    assert posted(accounts) == [150, 100]


def test_a_double_click_grants_once(browser, accounts):
    data = hidden(confirmation(browser, accounts))
    for _twice in range(2):
        response = browser.post(ACCOUNTS, data, follow=True)
    words = "This form was sent before, and 2 accounts were granted their credits then. They got nothing now."
    assert said(response)[-1] == ("info", words)
    assert posted(accounts) == [150, 150]


def test_what_was_cut_short_is_finished_by_sending_it_again(browser, accounts):
    data = hidden(confirmation(browser, accounts))
    credits.grant(accounts[0], 50, key=f"admin-grant:{data['key'][0]}:{accounts[0].pk}")
    told = said(browser.post(ACCOUNTS, data, follow=True))
    assert [level for level, _words in told] == ["info", "success"]
    assert told[0][1].startswith("This form was sent before, and 1 account was granted its credits then.")
    assert told[1][1].startswith("1 account was granted 50 credits: together 50 credits")
    assert posted(accounts) == [150, 150]


def test_the_same_form_with_another_amount_grants_nothing(browser, accounts):
    data = hidden(confirmation(browser, accounts))
    browser.post(ACCOUNTS, data, follow=True)
    response = browser.post(ACCOUNTS, {**data, "amount": 60}, follow=True)
    assert [level for level, _words in said(response)] == ["error", "error"]
    assert "Nothing was granted to editor. The key was already used" in said(response)[1][1]
    assert posted(accounts) == [150, 150]


def test_a_grant_can_expire(browser, accounts):
    tomorrow = (timezone.now() + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M")
    browser.post(ACCOUNTS, hidden(confirmation(browser, accounts, expires_at=tomorrow)))
    assert accounts[0].grants.latest("pk").expires_at.strftime("%Y-%m-%dT%H:%M") == tomorrow


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount": "0"}, "amount"),
        ({"amount": "-5"}, "amount"),
        ({"amount": ""}, "amount"),
        ({"amount": "9" * 30}, "amount"),
        ({"reason": " "}, "reason"),
        ({"expires_at": "soon"}, "expires_at"),
        ({"expires_at": "2001-01-01T00:00"}, "expires_at"),
    ],
)
@pytest.mark.parametrize("step", ["ask", "do"])
def test_nonsense_is_refused_in_words(browser, accounts, changes, field, step):
    data = {"amount": 50, "reason": "x", "expires_at": "", "step": step, **changes}
    response = browser.post(ACCOUNTS, chosen(accounts, **data))
    assert response.status_code == 200
    assert field in response.context["form"].errors
    assert posted(accounts) == [100, 100]


def test_an_account_that_is_refused_does_not_keep_the_others_from_theirs(browser, accounts):
    data = hidden(confirmation(browser, accounts))
    credits.grant(accounts[0], 1, key=f"admin-grant:{data['key'][0]}:{accounts[0].pk}")
    told = said(browser.post(ACCOUNTS, data, follow=True))
    assert [level for level, _words in told] == ["error", "success"]
    assert "1 account was granted 50 credits: together 50 credits" in told[1][1]
    assert posted(accounts) == [101, 150]


def test_no_more_than_can_be_confirmed(browser, accounts, monkeypatch):
    monkeypatch.setattr(granting_many, "MOST_AT_ONCE", 1)
    response = browser.post(ACCOUNTS, chosen(accounts), follow=True)
    words = "At most 1 accounts can be granted at once. Nothing was granted; choose fewer."
    assert said(response) == [("error", words)]


def test_a_hundred_are_shown_in_as_many_queries_as_two(browser, accounts, django_assert_max_num_queries):
    CreditAccount.objects.bulk_create(CreditAccount(user_key=f"x{n}", user_name=f"x{n}") for n in range(100))
    with django_assert_max_num_queries(10):
        response = browser.post(ACCOUNTS, chosen(CreditAccount.objects.all()))
    assert "x99" in text_of(response)


def test_who_may_not_grant_may_not(client, accounts):
    watcher = as_(person("watcher", "view_usage"))
    for browser in (client, watcher):
        assert "Grant credits" not in text_of(browser.get(ACCOUNTS))
        browser.post(ACCOUNTS, chosen(accounts, step="do", amount=50, reason="x", expires_at=""))
    assert posted(accounts) == [100, 100]


def test_csrf_is_enforced(manager, accounts):
    client = as_(manager, enforce_csrf_checks=True)
    client.get(ACCOUNTS)
    data = chosen(accounts, step="do", amount=50, reason="x", expires_at="")
    assert client.post(ACCOUNTS, data).status_code == 403
    assert posted(accounts) == [100, 100]
    token = client.cookies["csrftoken"].value
    assert client.post(ACCOUNTS, {**data, "csrfmiddlewaretoken": token}).status_code == 302
    assert posted(accounts) == [150, 150]


def test_nobody_is_invented(browser, accounts):
    User.objects.create(username="without")
    browser.post(ACCOUNTS, chosen(accounts, step="do", amount=50, reason="x", expires_at=""))
    assert not CreditAccount.objects.filter(user_name="without").exists()
    assert CreditEntry.objects.filter(kind="grant", reason="x").count() == 2
