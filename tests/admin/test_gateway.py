"""The page of the gateway's state."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from grokvideo_django.lifecycle import site
from grokvideo_django.models import GatewayState
from tests.making import many, put

from .conftest import allow, as_, said, text_of

pytestmark = pytest.mark.django_db

STATE = "/admin/grokvideo/gatewaystate/"


def test_a_new_site_is_running_and_looking_at_it_writes_nothing(manager):
    text = text_of(as_(manager).get(STATE))
    assert "Submissions are running" in text
    assert "A worker last looked after the requests never" in text
    assert not GatewayState.objects.exists()


def test_a_pause_says_why_and_that_nothing_is_lost(manager):
    site.pause(timezone.now(), status=401, message="<b>bad key</b>")
    response = as_(manager).get(STATE)
    text = text_of(response)
    assert "Submissions are paused" in text
    assert "The gateway does not accept this site's key." in text
    assert "HTTP status 401" in text
    assert "What to do: Change the key" in text
    assert "&lt;b&gt;bad key" in response.content.decode()


def test_what_waits_and_what_is_in_doubt_are_counted_with_their_credits(manager, editor):
    for status in ("queued", "queued", "in_doubt", "submitted"):
        put(editor, status)
    response = as_(manager).get(STATE)
    text = text_of(response)
    assert "Requests that wait 2 · 10 credits held" in text
    assert "Requests in doubt 1 · 5 credits held" in text
    assert 'href="/admin/grokvideo/videorequest/?status__exact=in_doubt"' in response.content.decode()


@pytest.mark.parametrize("count", [1, 20])
def test_it_takes_few_queries_however_much_waits(count, manager, editor):
    many(editor, count, "queued")
    client = as_(manager)
    site.pause(timezone.now(), status=402, message="")
    with CaptureQueriesContext(connection) as queries:
        client.get(STATE)
    assert len([query for query in queries if "grokvideo_" in query["sql"]]) <= 4


def test_the_balance_is_shown_where_a_probe_read_one(manager):
    assert "Wallet" not in text_of(as_(manager).get(STATE))
    GatewayState.objects.ensure()
    site.note_balance(Decimal("12.3456"), timezone.now())
    assert "Wallet, when last looked $12.35 on" in text_of(as_(manager).get(STATE))


@pytest.mark.parametrize(
    ("ticked", "due", "warned"), [(None, 5, True), (10, 5, True), (1, 5, False), (10, -5, False), (None, -5, False)]
)
def test_no_worker_is_said_where_rows_wait_for_one(ticked, due, warned, manager, editor):
    now = timezone.now()
    put(editor, "queued", due_at=now - timedelta(minutes=due))
    GatewayState.objects.ensure()
    GatewayState.objects.update(ticked_at=ticked and now - timedelta(minutes=ticked))
    text = text_of(as_(manager).get(STATE))
    assert ("No worker is running" in text) == warned
    if warned:
        assert "1 request should have been looked after, and nobody does." in text
        assert ("No worker was ever seen." in text) == (ticked is None)
        assert "python manage.py rqworker default" in text
        assert "python manage.py rqcron grokvideo_django.cron" in text


def test_videos_that_are_about_to_be_deleted_are_counted(manager, editor):
    now = timezone.now()
    for hours in (5, 20, 30, -1):
        put(editor, "in_doubt", file_expires_at=now + timedelta(hours=hours, minutes=5))
    put(editor, "succeeded", file_expires_at=now + timedelta(hours=1))
    text = text_of(as_(manager).get(STATE))
    assert "deletes 2 finished videos that are not stored here, the first in 5 hours" in text


# -- the switch


@pytest.fixture
def switcher(manager):
    allow(manager, "change_gatewaystate")
    return manager


def test_those_who_only_look_have_no_buttons(manager):
    site.pause(timezone.now(), status=402, message="")
    client = as_(manager)
    response = client.get(STATE)
    assert "<button" not in response.content.decode().split("content-main")[1]
    assert "you need the permission to change the gateway state" in text_of(response)
    for name in ("try", "pause", "resume"):
        assert client.post(f"{STATE}{name}/", {"reason": "x"}).status_code == 403


def test_try_now_makes_the_probe_due_and_rings(switcher, redis_server):
    site.pause(timezone.now(), status=402, message="")
    client = as_(switcher)
    for _twice in range(2):
        response = client.post(f"{STATE}try/", follow=True)
        assert said(response)[-1][0] == "success"
        assert GatewayState.objects.current().is_probe_due(timezone.now())
    assert "Next look within seconds" in text_of(response)


def test_there_is_nothing_to_try_without_a_pause_of_the_gateway(switcher):
    client = as_(switcher)
    assert said(client.post(f"{STATE}try/", follow=True))[0][0] == "info"
    site.pause_by_hand(timezone.now(), actor="cron", reason="x")
    assert said(client.post(f"{STATE}try/", follow=True))[0][0] == "info"


def test_one_switch_stops_all_spending_and_one_resumes_it(switcher, redis_server):
    client = as_(switcher)
    assert "Stop all spending" in text_of(client.get(STATE))
    response = client.post(f"{STATE}pause/", {"reason": " Budget is gone "}, follow=True)
    state = GatewayState.objects.current()
    assert (state.paused_by, state.pause_reason) == ("manager", "Budget is gone")
    assert said(response)[0][0] == "success"
    assert "Nothing is sent until somebody resumes" in said(response)[0][1]
    text = text_of(response)
    assert "Submissions are paused by manager" in text
    assert "Try now" not in text
    assert said(client.post(f"{STATE}pause/", {"reason": "x"}, follow=True))[0][0] == "info"
    for level in ("success", "info"):
        response = client.post(f"{STATE}resume/", {"reason": ""}, follow=True)
        assert said(response)[0][0] == level
    assert not GatewayState.objects.current().is_paused


def test_who_paused_and_resumed_stays_on_the_page(switcher, redis_server):
    client = as_(switcher)
    assert "Paused and resumed by hand" not in text_of(client.get(STATE))
    for name, reason in (("pause", "Budget is gone"), ("pause", "Refused"), ("resume", ""), ("pause", "Again")):
        client.post(f"{STATE}{name}/", {"reason": reason})
    text = text_of(client.get(STATE))
    assert "manager · Paused: Budget is gone" in text
    assert text.index("manager · Paused: Again") < text.index("manager · Resumed")
    assert "Refused" not in text
    for _more in range(20):
        client.post(f"{STATE}resume/", {"reason": "on"})
        client.post(f"{STATE}pause/", {"reason": "off"})
    assert text_of(client.get(STATE)).count("manager · ") == 10


def test_a_pause_needs_a_reason(switcher):
    response = as_(switcher).post(f"{STATE}pause/", {"reason": "  "}, follow=True)
    assert said(response)[0][0] == "error"
    assert not GatewayState.objects.current().is_paused


def test_a_reason_with_a_nul_is_kept_without_it(switcher, redis_server):
    as_(switcher).post(f"{STATE}pause/", {"reason": "Budget\0 is gone"})
    assert GatewayState.objects.current().pause_reason == "Budget is gone"


def test_get_and_a_missing_token_switch_nothing(switcher):
    site.pause(timezone.now(), status=402, message="")
    before = GatewayState.objects.values().get()
    for name in ("try", "pause", "resume"):
        assert as_(switcher).get(f"{STATE}{name}/", {"reason": "x"}).url == STATE
        client = as_(switcher, enforce_csrf_checks=True)
        assert client.post(f"{STATE}{name}/", {"reason": "x"}).status_code == 403
    assert GatewayState.objects.values().get() == before


def test_its_row_can_only_be_looked_at(manager):
    GatewayState.objects.ensure()
    client = as_(manager)
    assert client.get(f"{STATE}1/change/").status_code == 200
    assert client.post(f"{STATE}1/change/", {"pause_reason": "x"}).status_code == 403
    assert client.get(f"{STATE}add/").status_code == 403
    assert client.post(f"{STATE}1/delete/", {"post": "yes"}).status_code == 403


def test_editors_do_not_see_it(client):
    assert client.get(STATE).status_code == 403
