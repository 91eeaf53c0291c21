"""Allowances: listed, added and changed; issued by the sweep."""

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from grokvideo_django import credits
from grokvideo_django.models import Allowance, CreditAccount

from .conftest import as_, person, text_of

pytestmark = pytest.mark.django_db

LIST = "/admin/grokvideo/allowance/"
ADD = f"{LIST}add/"


@pytest.fixture
def treasurer(db):
    return person("treasurer", "view_allowance", "add_allowance", "change_allowance", "delete_allowance")


@pytest.fixture
def browser(treasurer):
    return as_(treasurer)


@pytest.fixture
def group(editor):
    group = Group.objects.create(name="Editors")
    editor.groups.add(group)
    return group


def fields(**changes):
    return {
        "name": "Monthly", "is_active": "on", "user": "", "group": "", "amount": "50", "period": "month",
        "carry_over_percent": "50", "starts_at_0": "2026-01-01", "starts_at_1": "00:00:00", **changes,
    }  # fmt: skip


def test_adding_one_that_the_sweep_issues_once(browser, editor, group):
    assert browser.post(ADD, fields(group=group.pk)).status_code == 302
    for _twice in range(2):
        credits.issue_due(timezone.now())
    assert CreditAccount.objects.for_user(editor).posted == 150
    text = text_of(browser.get(LIST))
    assert "Monthly Editors 50 on the first of every month 50 %" in text
    assert "last issued for" in text_of(browser.get(f"{LIST}{Allowance.objects.get().pk}/change/")).lower()


def test_changing_it(browser, editor, group):
    allowance = Allowance.objects.create(name="Monthly", group=group, amount=5)
    url = f"{LIST}{allowance.pk}/change/"
    assert browser.post(url, fields(user=editor.pk, amount="7", is_active="")).status_code == 302
    allowance.refresh_from_db()
    assert (allowance.user, allowance.group, allowance.amount, allowance.is_active) == (editor, None, 7, False)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({}, "__all__"),
        ({"user": "own", "group": "own"}, "__all__"),
        ({"user": "own", "amount": "0"}, "amount"),
        ({"user": "own", "amount": "-5"}, "amount"),
        ({"user": "own", "amount": ""}, "amount"),
        ({"user": "own", "carry_over_percent": "101"}, "carry_over_percent"),
        ({"user": "own", "starts_at_0": "soon"}, "starts_at"),
        ({"user": "999"}, "user"),
    ],
)
def test_nonsense_is_refused_in_words(browser, editor, group, changes, field):
    own = {"user": editor.pk, "group": group.pk}
    data = fields(**{name: own[name] if value == "own" else value for name, value in changes.items()})
    response = browser.post(ADD, data)
    assert response.status_code == 200
    assert field in response.context["adminform"].form.errors
    assert not Allowance.objects.exists()


def test_no_query_per_row(browser, editor, group):
    def make(count):
        for number in range(count):
            Allowance.objects.create(name=f"{number}", user=editor, amount=1)
            Allowance.objects.create(name=f"{number}", group=group, amount=1)

    def queries():
        with CaptureQueriesContext(connection) as captured:
            assert browser.get(LIST).status_code == 200
        return len(captured)

    make(2)
    queries()
    few = queries()
    make(20)
    assert queries() == few


def test_who_may_not_may_not(client, editor):
    allowance = Allowance.objects.create(name="Monthly", user=editor, amount=5)
    assert client.get(LIST).status_code == 403
    assert client.post(ADD, fields(user=editor.pk)).status_code == 403
    assert client.post(f"{LIST}{allowance.pk}/change/", fields(user=editor.pk)).status_code == 403
    assert client.post(f"{LIST}{allowance.pk}/delete/", {"post": "yes"}).status_code == 403
    assert Allowance.objects.get().amount == 5


def test_csrf_is_enforced(treasurer, editor):
    client = as_(treasurer, enforce_csrf_checks=True)
    client.get(ADD)
    assert client.post(ADD, fields(user=editor.pk)).status_code == 403
    token = client.cookies["csrftoken"].value
    assert client.post(ADD, fields(user=editor.pk, csrfmiddlewaretoken=token)).status_code == 302
