"""The banner on the admin's pages while submissions are paused."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.template import Context, RequestContext, Template
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

import grokvideo_django
from grokvideo_django.lifecycle import site
from grokvideo_django.models import GatewayState
from tests.conftest import make_draft
from tests.making import put

from .conftest import ADD, LIST, as_, page, person, text_of

pytestmark = pytest.mark.django_db

APP = "/admin/grokvideo/"
STATE = f"{APP}gatewaystate/"
CALM = "Requests keep their credits and go on by themselves afterwards. Nothing is lost, and you need not do anything."


def pause(status=402, message="top up"):
    site.pause(timezone.now() - timedelta(minutes=3), status=status, message=message)
    GatewayState.objects.update(probe_at=timezone.now() + timedelta(minutes=3))


@pytest.fixture
def chief(db):
    return person("chief")


@pytest.fixture
def browser(chief):
    chief.is_superuser = True
    chief.save()
    return as_(chief)


def banner(response):
    """Its text; nothing if there is none."""
    content = response.content.decode()
    if "grokvideo-weather" not in content:
        return ""
    start = content.index('<section class="grokvideo-weather"')
    section = content[start : content.index("</section>", start)]
    assert content.count('<section class="grokvideo-weather"') == 1
    assert 'role="status"' in section
    response.content = section.encode()
    return text_of(response)


def test_without_a_pause_there_is_none(browser, editor):
    for address in (APP, LIST, ADD):
        assert banner(browser.get(address)) == ""
        assert banner(as_(editor).get(address)) == ""


@pytest.mark.parametrize(
    "address",
    [
        APP,
        LIST,
        ADD,
        f"{APP}budget/",
        f"{APP}budget/add/",
        f"{APP}allowance/",
        f"{APP}creditaccount/",
        f"{APP}creditaccount/grant/",
        f"{APP}creditentry/",
        f"{APP}creditgrant/",
    ],
)
def test_a_pause_is_on_every_page(address, browser):
    pause()
    text = banner(browser.get(address))
    for words in (
        "Submissions to the gateway are paused (HTTP 402)",
        "The site's wallet at the gateway is empty. It says: top up",
        "Fill the wallet",
        "Next look:",
        "Gateway state",
    ):
        assert words in text


def test_also_on_the_pages_of_one_request(browser, editor):
    pause()
    request = put(editor, "failed")
    doubtful = put(editor, "in_doubt")
    for address in (
        page(request),
        page(request, "delete"),
        page(request, "history"),
        page(doubtful, "resolve"),
        page(make_draft(editor)),
    ):
        assert "HTTP 402" in banner(browser.get(address))
    response = browser.post(LIST, {"action": "delete_selected", "_selected_action": [request.pk]})
    assert "HTTP 402" in banner(response)


@pytest.mark.parametrize(("status", "words"), [(401, "Change the key"), (403, "Widen the key"), (402, "Fill the")])
def test_those_who_may_act_read_what_to_do(status, words, manager):
    pause(status)
    assert words in banner(as_(manager).get(LIST))


def test_it_links_to_the_page(manager):
    pause()
    assert f'href="{STATE}"' in as_(manager).get(LIST).content.decode().split("grokvideo-weather")[-1]


def test_editors_read_a_plain_sentence(client):
    pause(401, "key sk-1 expired")
    for address in (APP, LIST, ADD):
        text = banner(client.get(address))
        assert CALM in text
        assert "the gateway does not take any from this site just now" in text
        assert "Since" in text
        for hidden in ("401", "key", "HTTP", "Gateway state"):
            assert hidden not in text


def test_a_pause_by_hand_says_by_whom_to_those_who_may_act(client, manager):
    site.pause_by_hand(timezone.now(), actor=manager, reason="<i>Month's end</i>")
    text = banner(client.get(LIST))
    assert "a site manager has paused them" in text
    assert "Month" not in text
    response = as_(manager).get(LIST)
    assert "<i>Month" not in response.content.decode()
    text = banner(response)
    for words in ("paused by manager", "Month's end", "Until a site manager resumes them"):
        assert words in text


def test_colleagues_of_other_apps_have_no_business_with_it(rf, db):
    pause()
    request = rf.get("/")
    request.user = person("clerk")
    words = Template("{% load grokvideo_admin %}{% grokvideo_weather %}")
    assert words.render(RequestContext(request)).strip() == ""
    assert words.render(Context()).strip() == ""


def test_a_popup_has_none(browser):
    pause()
    assert banner(browser.get(f"{ADD}?_popup=1")) == ""


def test_a_look_that_is_due_is_a_matter_of_seconds(browser):
    pause()
    GatewayState.objects.update(probe_at=timezone.now())
    assert "The next look is a matter of seconds" in banner(browser.get(LIST))


@pytest.mark.parametrize("rows", [0, 30])
def test_it_is_one_query_however_many_rows(rows, browser, editor):
    for _row in range(rows):
        make_draft(editor)
    pause()
    with CaptureQueriesContext(connection) as queries:
        browser.get(LIST)
    assert len([query for query in queries if "gatewaystate" in query["sql"]]) == 1


def test_the_index_has_it_where_this_app_is_listed_first(browser, client, settings):
    pause()
    assert banner(browser.get("/admin/")) == ""
    settings.INSTALLED_APPS = ["grokvideo_django", *(n for n in settings.INSTALLED_APPS if n != "grokvideo_django")]
    assert "HTTP 402" in banner(browser.get("/admin/"))
    assert CALM in banner(client.get("/admin/"))
    assert "HTTP 402" in banner(browser.get(APP))  # once, although that page extends the index


def test_every_page_of_ours_has_a_place_for_the_banner():
    """But the page that the banner leads to, which says it all itself."""
    folder = Path(grokvideo_django.__file__).parent / "templates"
    texts = {str(page.relative_to(folder)): page.read_text() for page in folder.rglob("*.html")}
    bare = [name for name, text in texts.items() if '{% extends "admin/base_site.html" %}' in text]
    assert bare == ["grokvideo/admin/page.html"]
    assert "{% block content %}{% grokvideo_weather %}" in texts["grokvideo/admin/page.html"]
    ours = {name: text for name, text in texts.items() if '{% extends "grokvideo/admin/page.html" %}' in text}
    assert len(ours) >= 4
    assert [name for name, text in ours.items() if "{% block content %}" in text] == ["grokvideo/admin/gateway.html"]
