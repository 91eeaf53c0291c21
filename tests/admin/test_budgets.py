"""Budgets: what is used of them now, and who may change them."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from grokvideo_django import credits, periods
from grokvideo_django.models import Budget, BudgetCounter

from .conftest import as_, person, text_of

pytestmark = pytest.mark.django_db

LIST = "/admin/grokvideo/budget/"
ADD = f"{LIST}add/"
ALL = ("view_budget", "add_budget", "change_budget", "delete_budget")


@pytest.fixture
def treasurer(db):
    return person("treasurer", *ALL)


@pytest.fixture
def browser(treasurer):
    return as_(treasurer)


def fields(**changes):
    return {
        "name": "Site", "is_active": "on", "scope": "site", "group": "", "user": "", "period": "month",
        "limit_credits": "100", "warn_percent": "80", "max_running": "", "max_duration_seconds": "",
        "max_resolution": "", "approval_above": "", **changes,
    }  # fmt: skip


def rows(response):
    return {row.name: row for row in response.context["cl"].result_list}


def test_the_list_shows_what_is_used_and_left_and_when_it_begins_anew(browser, editor):
    Budget.objects.create(name="Site", limit_credits=60)
    Budget.objects.create(name="Counted", period="forever")
    Budget.objects.create(name="Editor", scope="user", user=editor, limit_credits=50)
    Budget.objects.create(name="Nothing", limit_credits=0, is_active=False)
    credits.hold(editor, 50)
    response = browser.get(LIST)
    text, html = text_of(response), response.content.decode()
    _start, end = periods.bounds(timezone.now(), "month", UTC)
    assert "50 of 60 (83 %) past its warning level 10" in text
    assert "50 of 50 (100 %) used up 0" in text
    assert "0 of 0 (100 %) used up 0" in text
    assert "50 used, no ceiling - never" in text
    assert '<meter min="0" max="60" low="48" high="59" optimum="0" value="50" aria-hidden="true">' in html
    assert f"{end:%m/%d/%Y}" in text
    assert "editor" in text
    assert "the whole site" in text
    assert "style=" not in html.partition('id="result_list"')[2].partition("</table>")[0]


def test_a_budget_over_its_ceiling_is_shown_and_sorted(browser, editor):
    """A site that lowers a ceiling below what is used; MariaDB's unsigned columns know no negative difference."""
    over = Budget.objects.create(name="Over", limit_credits=60)
    Budget.objects.create(name="Under", limit_credits=100)
    credits.hold(editor, 50)
    Budget.objects.filter(pk=over.pk).update(limit_credits=20)
    assert "50 of 20 (250 %) used up 0" in text_of(browser.get(LIST))
    assert list(rows(browser.get(LIST, {"o": "4"}))) == ["Over", "Under"]
    assert "50 of 20" in text_of(browser.get(f"{LIST}{over.pk}/change/"))


def test_only_the_present_period_counts(browser, editor):
    budget = Budget.objects.create(name="Site", limit_credits=60, period="day")
    credits.hold(editor, 50)
    BudgetCounter.objects.update(period_start=timezone.now() - timedelta(days=3))
    assert rows(browser.get(LIST))["Site"].used == 0
    BudgetCounter.objects.update(period_start=periods.bounds(datetime.now(UTC), "day", UTC)[0])
    assert rows(browser.get(LIST))["Site"].used == 50
    assert "50 of 60" in text_of(browser.get(f"{LIST}{budget.pk}/change/"))


def test_as_many_queries_for_thirty_as_for_three(browser, editor):
    def make(count):
        for number in range(count):
            group = Group.objects.create(name=f"g{Group.objects.count()}")
            user = User.objects.create(username=f"u{User.objects.count()}")
            Budget.objects.create(name=f"{number}", scope="group", group=group, limit_credits=10)
            Budget.objects.create(name=f"{number}", scope="user", user=user, limit_credits=10, period="week")
            editor.groups.add(group)
        credits.hold(editor, 1)

    def queries():
        with CaptureQueriesContext(connection) as captured:
            assert browser.get(LIST).status_code == 200
        return len(captured)

    make(2)
    queries()
    few = queries()
    make(15)
    assert queries() == few


@pytest.mark.parametrize("order", ["4", "-5", "2"])
def test_the_list_is_sorted_by_the_numbers(browser, editor, order):
    Budget.objects.create(name="Site", limit_credits=60)
    Budget.objects.create(name="Counted")
    credits.hold(editor, 5)
    assert browser.get(LIST, {"o": order, "q": "o"}).status_code == 200


def test_adding_and_changing(browser, editor):
    browser.post(ADD, fields())
    budget = Budget.objects.get()
    assert (budget.name, budget.limit_credits, budget.scope) == ("Site", 100, "site")
    url = f"{LIST}{budget.pk}/change/"
    assert browser.post(url, fields(scope="user", user=editor.pk, limit_credits="")).status_code == 302
    budget.refresh_from_db()
    assert (budget.user, budget.limit_credits) == (editor, None)


def test_the_form_says_who_is_told_and_what_counts(browser):
    text = text_of(browser.get(ADD))
    assert "once a period, the log has a warning and code may react to a signal" in text
    assert "It counts what is started from its creation on." in text
    assert "begins a new count" in text


def test_a_budget_sent_twice_is_two_that_count_alike(browser, editor):
    """It limits, and spends nothing: the stricter one decides, and they are the same."""
    for _twice in range(2):
        browser.post(ADD, fields())
    credits.hold(editor, 5)
    assert [row.used for row in browser.get(LIST).context["cl"].result_list] == [5, 5]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"scope": "user"}, "user"),
        ({"scope": "group"}, "group"),
        ({"scope": "x"}, "scope"),
        ({"limit_credits": "-1"}, "limit_credits"),
        ({"limit_credits": "9" * 30}, "limit_credits"),
        ({"warn_percent": "0"}, "warn_percent"),
        ({"warn_percent": "101"}, "warn_percent"),
        ({"max_resolution": "9000p"}, "max_resolution"),
        ({"user": "999"}, "user"),
        ({"name": ""}, "name"),
    ],
)
def test_nonsense_is_refused_in_words(browser, changes, field):
    response = browser.post(ADD, fields(**changes))
    assert response.status_code == 200
    assert field in response.context["adminform"].form.errors
    assert not Budget.objects.exists()


def test_the_sites_budget_names_nobody(browser, editor):
    response = browser.post(ADD, fields(user=editor.pk))
    assert "user" in response.context["adminform"].form.errors


def test_deleting_asks_first_and_takes_its_counts_along(browser, editor):
    budget = Budget.objects.create(name="Site", limit_credits=60)
    held = credits.hold(editor, 5)
    url = f"{LIST}{budget.pk}/delete/"
    assert "budget use" not in text_of(browser.get(url))
    browser.post(url, {"post": "yes"})
    assert not Budget.objects.exists()
    credits.capture(held)
    Budget.objects.create(name="Other")
    data = {"action": "delete_selected", "_selected_action": [Budget.objects.get().pk], "post": "yes"}
    browser.post(LIST, data)
    assert not Budget.objects.exists()


def test_who_may_not_may_not(client, editor):
    budget = Budget.objects.create(name="Site", limit_credits=60)
    url = f"{LIST}{budget.pk}/change/"
    assert client.get(LIST).status_code == 403
    looker = as_(person("looker", "view_budget"))
    assert "0 of 60" in text_of(looker.get(LIST))
    assert "0 of 60" in text_of(looker.get(url))
    for browser in (client, looker):
        assert browser.post(ADD, fields()).status_code == 403
        assert browser.post(url, fields(limit_credits="1")).status_code == 403
        assert browser.post(f"{LIST}{budget.pk}/delete/", {"post": "yes"}).status_code == 403
    assert Budget.objects.get().limit_credits == 60


def test_csrf_is_enforced(treasurer):
    client = as_(treasurer, enforce_csrf_checks=True)
    client.get(ADD)
    assert client.post(ADD, fields()).status_code == 403
    assert client.post(ADD, fields(csrfmiddlewaretoken=client.cookies["csrftoken"].value)).status_code == 302
