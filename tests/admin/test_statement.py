"""The statement: a running balance on the page, and the same entries as CSV."""

import csv
import io
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from grokvideo_django import credits
from grokvideo_django.admin.statement import safe
from grokvideo_django.models import CreditAccount, CreditEntry

from .conftest import ACCOUNTS, ENTRIES, as_, person, said, text_of

pytestmark = pytest.mark.django_db

GRANTS = "/admin/grokvideo/creditgrant/"
EXPORT = f"{ENTRIES}export/"
HEADS = "at account kind posted held posted after held after why who request key"


@pytest.fixture
def browser(manager):
    return as_(manager)


def table(response):
    assert response.status_code == 200
    assert response.streaming
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text)))


def test_the_list_shows_the_running_balance(browser, editor):
    credits.hold(editor, 40)
    account = CreditAccount.objects.for_user(editor)
    text = text_of(browser.get(f"{ENTRIES}?account__id__exact={account.pk}"))
    assert "hold +40 held 100, 40 held" in text
    credits.capture(CreditEntry.objects.get(kind="hold"), 30)
    text = text_of(browser.get(ENTRIES))
    assert "editor capture -30, -40 held 70, 0 held" in text
    assert "editor grant +100 100, 0 held" in text


def test_a_statement_of_one_says_not_in_every_row_whose_it_is(browser, client, editor):
    account = CreditAccount.objects.for_user(editor)

    def columns(response):
        return response.context["cl"].list_display

    assert "account" in columns(browser.get(ENTRIES))
    assert "account" not in columns(browser.get(f"{ENTRIES}?account__id__exact={account.pk}"))
    assert "account" not in columns(client.get(ENTRIES))


def test_grants_say_whose_to_those_who_see_several(browser, client, editor):
    soon = timezone.now() + timedelta(days=1)
    credits.grant(editor, 7, reason="For June", expires_at=soon)
    credits.hold(editor, 3)
    text = text_of(browser.get(GRANTS))
    assert "editor 4 of 7 adjustment" in text
    assert f"{soon:%m/%d/%Y}" in text
    assert "editor" not in client.get(GRANTS).context["cl"].list_display
    assert "4 of 7 adjustment" in text_of(client.get(GRANTS))


def test_an_accounts_statement_is_a_file_with_the_oldest_first(browser, editor, colleague):
    account = CreditAccount.objects.for_user(editor)
    held = credits.hold(editor, 40, reason='A fox, "on ice"\nand more', actor="editor", request_key="r1")
    credits.capture(held, 30)
    page = browser.get(f"{ACCOUNTS}{account.pk}/change/").content.decode()
    url = f"{EXPORT}?account__id__exact={account.pk}"
    assert url in page
    response = browser.get(url)
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"] == 'attachment; filename="statement.csv"'
    heads, *lines = table(response)
    assert " ".join(heads) == HEADS
    assert {line[1] for line in lines} == {"editor"}
    assert [line[2:7] for line in lines] == [
        ["grant", "100", "0", "100", "0"],
        ["hold", "0", "40", "100", "40"],
        ["capture", "-30", "-40", "70", "0"],
    ]
    assert lines[1][7:10] == ['A fox, "on ice"\nand more', "editor", "r1"]
    assert lines[0][0].endswith("+00:00")


def test_the_lists_filters_and_search_hold_for_the_file(browser, editor):
    credits.grant(editor, 7, reason="For the autumn")
    response = browser.get(ENTRIES, {"q": "autumn", "kind__exact": "grant"})
    url = response.context["grokvideo_export_url"]
    assert url.startswith(EXPORT)
    assert [line[3] for line in table(browser.get(url))[1:]] == ["7"]
    assert table(browser.get(EXPORT, {"kind__exact": "void"}))[1:] == []


def test_all_pages_are_in_the_file(browser, editor):
    for _number in range(110):
        credits.grant(editor, 1)
    assert len(table(browser.get(EXPORT, {"p": "2"}))) == 1 + CreditEntry.objects.count()


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "  =1", "\r=1", "\uff1d1"])
def test_no_formula_reaches_a_spreadsheet(browser, editor, text):
    credits.grant(editor, 7, reason=text, actor=text)
    line = table(browser.get(EXPORT))[-1]
    assert line[7:9] == [f"'{text}"] * 2
    assert safe("a=1") == "a=1"


def test_editors_get_their_own_only(client, editor, colleague):
    other = CreditAccount.objects.for_user(colleague)
    assert {line[1] for line in table(client.get(EXPORT))[1:]} == {"editor"}
    assert table(client.get(EXPORT, {"account__id__exact": other.pk}))[1:] == []


def test_outsiders_get_nothing(editor):
    assert as_(person("outsider")).get(EXPORT).status_code == 403


def test_a_filter_that_cannot_be_read_says_so(browser, editor):
    response = browser.get(EXPORT, {"account__id__exact": "x"}, follow=True)
    assert said(response) == [("error", "The filter could not be read, so nothing was exported.")]


def test_the_file_takes_no_query_per_row(browser, editor):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            table(browser.get(EXPORT))
        return len(captured)

    queries()
    few = queries()
    for number in range(30):
        credits.grant(User.objects.create(username=f"u{number}"), 1)
    assert queries() == few


def test_reading_it_changes_nothing(browser, editor):
    with CaptureQueriesContext(connection) as captured:
        table(browser.get(EXPORT))
    assert not [query for query in captured if query["sql"].startswith(("INSERT", "UPDATE", "DELETE"))]
