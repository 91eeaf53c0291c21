"""Credits for a group or for everybody, also for those who have no account yet: asked, confirmed, granted once."""

import re
from datetime import timedelta
from threading import Thread

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.db.models.signals import pre_save
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation

from grokvideo_django import credits
from grokvideo_django.admin import granting_people
from grokvideo_django.models import CreditAccount, CreditEntry

from .conftest import ACCOUNTS, allow, as_, person, said, text_of
from .test_granting_many import hidden

pytestmark = pytest.mark.django_db

MANY = f"{ACCOUNTS}grant-many/"
GRANTED = "2 accounts were granted 50 credits each: together 100 credits, about $1.00."
SENT_BEFORE = "This form was sent before, and 2 accounts were granted their credits then. They got nothing now."


@pytest.fixture
def browser(manager):
    return as_(manager)


@pytest.fixture
def anna(db):
    return User.objects.create(username="anna")


@pytest.fixture
def ben(db):
    return User.objects.create(username="ben")


@pytest.fixture
def group(anna, ben):
    made = Group.objects.create(name="authors")
    made.user_set.add(anna, ben, User.objects.create(username="gone", is_active=False))
    User.objects.create(username="stranger")
    return made


def ask(browser, among, **changes):
    """The form filled in, and what comes back."""
    filled = {"among": getattr(among, "pk", among), "amount": 50, "reason": "For June", "expires_at": "", **changes}
    return browser.post(MANY, {**hidden(browser.get(MANY)), **filled})


def confirm(browser, among, **changes):
    """What the page that confirms would send."""
    return hidden(ask(browser, among, **changes))


def shown(response):
    """Names and balances on the page that confirms."""
    return re.findall(r"<tr><td>([^<]*)</td><td>([^<]*)</td></tr>", response.content.decode())


def posted(*users):
    """None: there is no account."""
    accounts = dict(CreditAccount.objects.values_list("user_key", "posted"))
    return [accounts.get(str(user.pk)) for user in users]


def test_a_group_that_nobody_has_granted_anything(browser, group, anna, ben):
    credits.grant(ben, 7)
    response = ask(browser, group)
    assert shown(response) == [("anna", "0"), ("ben", "7")]
    text = text_of(response)
    assert "2 accounts get 50 credits each, together 100 credits, about $1.00." in text
    assert "Active members of authors" in text
    assert "For June" in text
    assert posted(anna, ben) == [None, 7]  # a page opens no account
    response = browser.post(MANY, hidden(response), follow=True)
    assert response.redirect_chain == [(ACCOUNTS, 302)]
    assert said(response) == [("success", GRANTED)]
    assert posted(anna, ben) == [50, 57]
    entry = CreditEntry.objects.get(account__user=anna)
    assert (entry.actor, entry.reason) == ("manager", "For June")
    assert CreditAccount.objects.count() == 3  # and the manager's own


def test_all_active_users(browser, group, anna):
    response = ask(browser, "all")
    assert [name for name, _posted in shown(response)] == ["anna", "ben", "manager", "stranger"]
    assert "All active users" in text_of(response)
    browser.post(MANY, hidden(response))
    assert CreditEntry.objects.filter(reason="For June").count() == 4


def test_one_user_and_one_credit(browser, anna):
    group = Group.objects.create(name="authors")
    group.user_set.add(anna)
    response = ask(browser, group, amount=1)
    assert "1 account gets 1 credit, together 1 credit, about $0.01." in text_of(response)
    response = browser.post(MANY, hidden(response), follow=True)
    assert said(response) == [("success", "1 account was granted 1 credit: together 1 credit, about $0.01.")]


def test_nobody_is_chosen_beforehand(browser, group):
    form = browser.get(MANY).context["form"]
    field = form["among"]
    assert next(iter(form)) is field
    assert field.value() is None
    assert [value for value, _label in field.field.choices][:2] == ["", "all"]


def test_the_list_leads_to_it(browser, editor):
    assert MANY in browser.get(ACCOUNTS).content.decode()
    assert MANY not in as_(editor).get(ACCOUNTS).content.decode()


def test_a_grant_can_expire(browser, group, anna):
    tomorrow = (timezone.now() + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M")
    browser.post(MANY, confirm(browser, group, expires_at=tomorrow))
    grant = CreditAccount.objects.for_user(anna).grants.get()
    assert grant.expires_at.strftime("%Y-%m-%dT%H:%M") == tomorrow


# Sent again


def test_a_double_click_grants_once(browser, group, anna, ben):
    data = confirm(browser, group)
    for _twice in range(2):
        response = browser.post(MANY, data, follow=True)
    assert said(response)[-1] == ("info", SENT_BEFORE)
    assert posted(anna, ben) == [50, 50]


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite lets one write at a time")
def test_two_posts_at_once_grant_once(browser, group, anna, ben):
    data = confirm(browser, group)

    def post():
        browser.post(MANY, data)
        connection.close()

    threads = [Thread(target=post) for _twice in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert posted(anna, ben) == [50, 50]
    assert CreditEntry.objects.filter(reason="For June").count() == 2


def test_what_was_cut_short_is_finished_by_sending_it_again(browser, group, anna, ben):
    data = confirm(browser, group)
    account = CreditAccount.objects.for_user(anna)
    credits.grant(account, 50, key=f"admin-grant:{data['key'][0]}:{account.pk}")
    told = said(browser.post(MANY, data, follow=True))
    assert [level for level, _words in told] == ["info", "success"]
    assert told[0][1].startswith("This form was sent before, and 1 account was granted its credits then.")
    assert told[1][1].startswith("1 account was granted 50 credits: together 50 credits")
    assert posted(anna, ben) == [50, 50]


def test_the_page_that_confirms_leaves_out_who_has_had_it(browser, group, anna, ben):
    """Back to the form, and on again: another group may be chosen there."""
    form = hidden(browser.get(MANY))
    filled = {**form, "among": group.pk, "amount": 50, "reason": "For June", "expires_at": ""}
    browser.post(MANY, hidden(browser.post(MANY, filled)))
    response = browser.post(MANY, {**filled, "among": "all"})
    text = text_of(response)
    assert "2 accounts get 50 credits each, together 100 credits, about $1.00." in text
    assert "This form was sent before, and 2 accounts were granted their credits then. They get nothing now." in text
    assert [level for level, _words in said(browser.post(MANY, hidden(response), follow=True))] == ["info", "success"]
    assert posted(anna, ben) == [50, 50]
    response = browser.post(MANY, filled)
    assert "They get nothing now" in text_of(response)
    assert 'value="Grant' not in response.content.decode()


# What changes between the pages


def test_what_was_confirmed_is_what_is_granted(browser, group, anna, ben):
    data = confirm(browser, group)
    newcomer = User.objects.create(username="newcomer")
    group.user_set.set([ben, newcomer])
    told = said(browser.post(MANY, data, follow=True))
    assert told == [("success", GRANTED)]
    assert posted(anna, ben, newcomer) == [50, 50, None]


def test_a_group_that_is_deleted_after_the_page_was_shown(browser, group, anna, ben):
    data = confirm(browser, group)
    group.delete()
    assert said(browser.post(MANY, data, follow=True)) == [("success", GRANTED)]
    assert posted(anna, ben) == [50, 50]


def test_a_user_who_is_deleted_after_the_page_was_shown(browser, group, anna, ben):
    data = confirm(browser, group)
    anna.delete()
    told = said(browser.post(MANY, data, follow=True))
    assert told[0] == ("error", "Nothing was granted to anna. This user does not exist any more.")
    assert told[1][1].startswith("1 account was granted 50 credits")
    assert posted(ben) == [50]
    assert not CreditAccount.objects.filter(user_name="anna").exists()


def test_a_user_who_is_deleted_with_an_account_gets_nothing(browser, group, anna, ben):
    CreditAccount.objects.for_user(anna)
    data = confirm(browser, group)
    anna.delete()
    told = said(browser.post(MANY, data, follow=True))
    assert told[0] == ("error", "Nothing was granted to anna. This user does not exist any more.")
    assert CreditAccount.objects.get(user_name="anna").posted == 0


def test_a_user_who_is_deleted_after_the_grant_has_had_it(browser, group, anna):
    data = confirm(browser, group)
    browser.post(MANY, data, follow=True)
    anna.delete()
    assert said(browser.post(MANY, data, follow=True)) == [("info", SENT_BEFORE)]


@pytest.mark.django_db(transaction=True)
def test_a_user_who_is_deleted_in_the_same_moment(browser, group, anna, ben):
    data = confirm(browser, group)

    def delete(instance, **_rest):
        if instance.user_id == anna.pk:
            User.objects.filter(pk=anna.pk).delete()

    pre_save.connect(delete, sender=CreditAccount)
    try:
        told = said(browser.post(MANY, data, follow=True))
    finally:
        pre_save.disconnect(delete, sender=CreditAccount)
    assert told[0] == ("error", "Nothing was granted to anna. This user does not exist any more.")
    assert told[1][1].startswith("1 account was granted 50 credits")
    assert posted(ben) == [50]


def test_a_user_who_is_switched_off_after_the_page_was_shown(browser, group, anna, ben):
    data = confirm(browser, group)
    User.objects.filter(pk=anna.pk).update(is_active=False)
    told = said(browser.post(MANY, data, follow=True))
    assert told[0] == ("error", "Nothing was granted to anna. This user is not active any more.")
    assert posted(anna, ben) == [None, 50]


def test_a_user_who_comes_again_has_the_old_account(browser, group, anna):
    credits.grant(anna, 7)
    key = anna.pk
    anna.delete()
    again = User.objects.create(pk=key, username="anna2")
    group.user_set.add(again)
    response = ask(browser, group)
    assert ("anna2", "7") in shown(response)
    browser.post(MANY, hidden(response))
    account = CreditAccount.objects.get(user=again)
    assert (account.posted, account.user_name) == (57, "anna2")


# Refused


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount": "0"}, "amount"),
        ({"amount": "9" * 30}, "amount"),
        ({"reason": " "}, "reason"),
        ({"expires_at": "2001-01-01T00:00"}, "expires_at"),
    ],
)
@pytest.mark.parametrize("step", ["ask", "do"])
def test_nonsense_is_refused_in_words_and_what_was_filled_in_stays(browser, group, changes, field, step):
    response = browser.post(MANY, {**confirm(browser, group), **changes, "step": step})
    form = response.context["form"]
    assert list(form.errors) == [field]
    assert form["among"].value() == str(group.pk)
    assert f'<option value="{group.pk}" selected>authors</option>' in response.content.decode()
    assert not CreditEntry.objects.filter(reason="For June").exists()


@pytest.mark.parametrize("among", ["", "x", "0", "-1", "9" * 40, "\0"])
def test_no_such_group(browser, group, among):
    response = ask(browser, among)
    words = "This field is required." if not among else "This group does not exist any more. Choose another."
    assert response.context["form"].errors == {"among": [words]}


def test_a_group_that_is_deleted_before_the_form_is_sent(browser, group):
    key = group.pk
    group.delete()
    form = ask(browser, key, amount=33).context["form"]
    assert form.errors == {"among": ["This group does not exist any more. Choose another."]}
    assert (form["amount"].value(), form["reason"].value()) == ("33", "For June")


def test_a_group_without_active_members(browser):
    group = Group.objects.create(name="empty")
    words = ["There is no active user in this group. Choose another."]
    assert ask(browser, group).context["form"].errors == {"among": words}
    group.user_set.add(User.objects.create(username="gone", is_active=False))
    assert ask(browser, group).context["form"].errors == {"among": words}


def test_no_more_than_can_be_granted_at_once(browser, group, monkeypatch):
    monkeypatch.setattr(granting_people, "MOST_AT_ONCE", 2)
    assert len(shown(ask(browser, group))) == 2
    response = ask(browser, "all")
    assert "These are more than 2 users, and no more can be granted at once." in text_of(response)
    assert response.context["form"]["reason"].value() == "For June"


@pytest.mark.parametrize("sent", ["", "x", "eyJ4IjoxfQ:1:x"])
def test_who_was_not_shown_is_not_granted(browser, group, anna, sent):
    response = browser.post(MANY, {**confirm(browser, group), "shown": sent})
    assert said(response) == [
        ("warning", "Who was shown could not be read, so nothing was granted. Please look again.")
    ]
    assert posted(anna) == [None]
    browser.post(MANY, hidden(response))
    assert posted(anna) == [50]


def test_who_may_not_grant_may_not(client, group, anna, manager):
    watcher = as_(person("watcher", "view_usage"))
    data = confirm(as_(manager), group)
    for browser in (client, watcher):
        assert "Grant credits" not in text_of(browser.get(ACCOUNTS))
        assert browser.get(MANY).status_code == 403
        assert browser.post(MANY, data).status_code == 403
    assert posted(anna) == [None]


def test_a_permission_that_is_taken_away_and_given_back(browser, manager, group, anna):
    data = confirm(browser, group)
    manager.user_permissions.clear()
    assert browser.post(MANY, data).status_code == 403
    assert posted(anna) == [None]
    allow(manager, "grant")
    browser.post(MANY, data)
    assert posted(anna) == [50]


def test_csrf_is_enforced(manager, group, anna):
    browser = as_(manager, enforce_csrf_checks=True)
    data = hidden(browser.get(MANY))
    filled = {**data, "among": group.pk, "amount": 50, "reason": "x", "expires_at": ""}
    data = hidden(browser.post(MANY, filled))
    token = data.pop("csrfmiddlewaretoken")
    assert browser.post(MANY, data).status_code == 403
    assert posted(anna) == [None]
    browser.post(MANY, {**data, "csrfmiddlewaretoken": token})
    assert posted(anna) == [50]


def test_a_hundred_are_shown_in_as_many_queries_as_two(browser, group):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            ask(browser, group)
        return len(captured)

    queries()
    few = queries()
    User.objects.bulk_create(User(username=f"x{n}") for n in range(100))
    group.user_set.add(*User.objects.filter(username__startswith="x"))
    assert queries() == few
    assert not CreditAccount.objects.filter(user_name__startswith="x").exists()


def test_names_are_shown_as_they_are(browser, group, anna):
    User.objects.filter(pk=anna.pk).update(username="<b>anna</b>")
    content = ask(browser, group).content.decode()
    assert "&lt;b&gt;anna&lt;/b&gt;" in content
    assert "<b>anna" not in content


def test_in_german(browser, group):
    with translation.override("de"):
        text = text_of(ask(browser, group))
    assert "2 Konten erhalten je 50 Credits, zusammen 100 Credits, etwa $1.00." in text
    assert "Aktive Mitglieder von authors" in text
