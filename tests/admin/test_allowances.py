"""Allowances: listed, added and changed; issued by the sweep."""

from datetime import UTC, date, datetime

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


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "now"),
        ({"issued_for": date(2026, 10, 1)}, "now"),
        ({"issued_for": date(2026, 11, 1), "due_at": datetime(2026, 11, 10, 13, tzinfo=UTC)}, "12/01/2026"),
        ({"period": "week", "issued_for": date(2026, 11, 9)}, "11/16/2026"),
        ({"due_at": datetime(2026, 11, 10, 13, tzinfo=UTC)}, "11/10/2026 1 p.m."),  # it could not be issued
        ({"starts_at": datetime(2026, 12, 5, 8, tzinfo=UTC)}, "12/05/2026 8 a.m."),
        ({"is_active": False, "issued_for": date(2026, 11, 1)}, "-"),
    ],
)
def test_the_next_issue_is_when_its_members_get_it_next(browser, editor, monkeypatch, values, said):
    monkeypatch.setattr(timezone, "now", lambda: datetime(2026, 11, 10, 12, tzinfo=UTC))
    starts = {"starts_at": datetime(2026, 1, 1, tzinfo=UTC), "period": "month"}
    allowance = Allowance.objects.create(name="Often", user=editor, amount=5, **{**starts, **values})
    Allowance.objects.filter(pk=allowance.pk).update(issued_for=values.get("issued_for"))
    response = browser.get(f"{LIST}{allowance.pk}/change/")
    assert f"Next issue: {said} " in text_of(response)
    assert f'<td class="field-next_issue">{said}</td>' in browser.get(LIST).content.decode()


def test_changing_it(browser, editor, group):
    allowance = Allowance.objects.create(name="Monthly", group=group, amount=5)
    url = f"{LIST}{allowance.pk}/change/"
    assert browser.post(url, fields(user=editor.pk, amount="7", is_active="")).status_code == 302
    allowance.refresh_from_db()
    assert (allowance.user, allowance.group, allowance.amount, allowance.is_active) == (editor, None, 7, False)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({}, "user"),
        ({"user": "own", "group": "own"}, "user"),
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


@pytest.mark.parametrize(
    ("changes", "errors"),
    [
        ({}, {"user": ["Choose either a user or a group."]}),
        ({"user": "own", "group": "own"}, {"user": ["Choose either a user or a group."]}),
        ({"user": "own", "amount": "0"}, {"amount": ["An allowance gives at least one credit."]}),
        ({"user": "own", "amount": ""}, {"amount": ["This field is required."]}),
        (
            {"amount": "0"},
            {
                "user": ["Choose either a user or a group."],
                "amount": ["An allowance gives at least one credit."],
            },
        ),
    ],
)
def test_a_mistake_is_said_once(browser, editor, group, changes, errors):
    own = {"user": editor.pk, "group": group.pk}
    data = fields(**{name: own[name] if value == "own" else value for name, value in changes.items()})
    assert browser.post(ADD, data).context["adminform"].form.errors == errors


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
