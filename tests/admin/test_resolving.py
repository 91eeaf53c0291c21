"""A manager decides about a request whose fate nobody knows."""

from datetime import timedelta

import pytest
from django.conf import settings as django_settings
from django.test import override_settings
from django.utils import timezone

from grokvideo_django.admin import VideoRequestAdmin
from grokvideo_django.models import CreditAccount, VideoRequest, VideoRequestEvent
from tests.making import put

from .conftest import as_, page, person, said, text_of

pytestmark = pytest.mark.django_db

YES = {"reason": "Looked it up", "confirm": "on"}


@pytest.fixture
def doubtful(editor):
    return put(editor, "in_doubt", gateway_job_id=None, error_message="The answer was lost.", due_at=None)


@pytest.fixture
def browser(manager):
    return as_(manager)


def held(owner):
    account = CreditAccount.objects.for_user(owner)
    return account.posted, account.held


def test_the_page_leads_to_the_decision_and_says_what_each_does(browser, doubtful):
    response = browser.get(page(doubtful))
    assert f'href="{page(doubtful, "resolve")}"' in response.content.decode()
    text = text_of(browser.get(page(doubtful, "resolve")))
    for words in (
        "5 credits stay held",
        "The answer was lost.",
        "Gateway job: none is known",
        "Attach a job:",
        "Release 5 credits:",
        "Charge 5 credits:",
        "Releasing or charging cannot be undone.",
    ):
        assert words in text
    assert "Ask again" not in text


def test_release_gives_the_credits_back(browser, doubtful, editor, manager):
    response = browser.post(page(doubtful, "resolve"), {"outcome": "release", **YES}, follow=True)
    doubtful.refresh_from_db()
    assert (doubtful.status, doubtful.charged_credits) == ("failed", 0)
    assert held(editor) == (105, 0)
    assert said(response) == [("success", "Released: it cost nothing, and the credits are available again.")]
    event = doubtful.events.last()
    assert (event.actor, "Looked it up" in event.message) == ("manager", True)


def test_charge_spends_them(browser, doubtful, editor):
    browser.post(page(doubtful, "resolve"), {"outcome": "charge", **YES})
    doubtful.refresh_from_db()
    assert (doubtful.status, doubtful.charged_credits) == ("failed", 5)
    assert held(editor) == (100, 0)


def test_attach_reads_the_job_that_was_found(browser, doubtful, editor):
    data = {"outcome": "attach", "gateway_job_id": " job_77 ", **YES}
    response = browser.post(page(doubtful, "resolve"), data, follow=True)
    doubtful.refresh_from_db()
    assert (doubtful.status, doubtful.gateway_job_id) == ("submitted", "job_77")
    assert held(editor) == (105, 5)
    assert said(response)[0][1].startswith("The gateway is asked about this job")


def test_ask_again_is_offered_where_there_is_a_job(browser, doubtful):
    VideoRequest.objects.update(gateway_job_id="job_5")
    assert "Ask again: read job job_5 once more." in text_of(browser.get(page(doubtful, "resolve")))
    browser.post(page(doubtful, "resolve"), {"outcome": "ask_again", **YES})
    doubtful.refresh_from_db()
    assert doubtful.status == "submitted"


def test_the_page_says_what_is_known_and_what_each_choice_costs(browser, doubtful, editor):
    now = timezone.now()
    due_at, expires_at = now + timedelta(hours=2), now + timedelta(hours=20, minutes=5)
    VideoRequest.objects.update(error_code="404", due_at=due_at, file_expires_at=expires_at)
    at = now - timedelta(hours=3, minutes=1)
    VideoRequestEvent.objects.create(request=doubtful, kind="in_doubt", at=at, to_status="in_doubt")
    text = text_of(browser.get(page(doubtful, "resolve")))
    for words in (
        "for 3 hours.",
        "Code: 404",
        "A worker asks the gateway again on",
        "The gateway deletes the video in 20 hours, and it is not stored here yet.",
        "It costs nothing now; a video is charged as usual.",
        "It costs the owner nothing.",
        "they can be refunded.",
        "release these 5 credits, and make it again as a new request for 5 credits, about $0.05.",
        "may have been paid for the first already",
    ):
        assert words in text
    assert "deletes the video in 20 hours" in text_of(browser.get(page(doubtful)))


def anew(browser, doubtful, **changes):
    shown = browser.get(page(doubtful, "resolve")).context["form"]["expected_credits"].value()
    data = {"outcome": "start_anew", "expected_credits": shown, **YES, **changes}
    return browser.post(page(doubtful, "resolve"), data, follow=True)


def test_start_anew_releases_the_first_and_starts_a_second_once(browser, doubtful, editor, redis_server):
    response = anew(browser, doubtful)
    doubtful.refresh_from_db()
    again = doubtful.retries.get()
    assert (doubtful.status, doubtful.charged_credits, again.status) == ("failed", 0, "queued")
    assert held(editor) == (105, 5)
    assert response.redirect_chain[-1][0] == page(again)
    assert said(response)[0][0] == "success"
    shown = {"outcome": "start_anew", "expected_credits": 5, **YES}
    response = browser.post(page(doubtful, "resolve"), shown, follow=True)
    assert said(response)[0][0] == "info"
    assert (doubtful.retries.count(), held(editor)) == (1, (105, 5))


def test_start_anew_asks_again_for_a_price_that_was_not_shown(browser, doubtful, editor, settings):
    response = anew(browser, doubtful, expected_credits="")
    assert "Please confirm it." in text_of(response)
    assert 'name="expected_credits" value="5"' in response.content.decode()
    doubtful.refresh_from_db()
    assert (doubtful.status, doubtful.retries.count()) == ("in_doubt", 0)


def test_start_anew_that_is_refused_changes_nothing(browser, doubtful, editor):
    CreditAccount.objects.filter(user_key=str(editor.pk)).update(posted=5)
    settings_ = {"xai/grok-imagine-video": {"480p": "50", "720p": "7", "image": "0.2"}}
    with override_settings(GROKVIDEO={**django_settings.GROKVIDEO, "PRICES": settings_}):
        response = anew(browser, doubtful)
    assert said(response)[0][0] == "error"
    doubtful.refresh_from_db()
    assert (doubtful.status, doubtful.retries.count(), held(editor)) == ("in_doubt", 0, (5, 5))


def test_who_may_not_generate_cannot_start_anew(doubtful, editor):
    browser = as_(person("controller", "change_videorequest", "change_all"))
    assert "Start anew" not in text_of(browser.get(page(doubtful, "resolve")))
    response = browser.post(page(doubtful, "resolve"), {"outcome": "start_anew", "expected_credits": 5, **YES})
    assert "outcome" in response.context["form"].errors
    assert doubtful.retries.count() == 0


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"outcome": "release", "confirm": "on"}, "reason"),
        ({"outcome": "release", "reason": "  ", "confirm": "on"}, "reason"),
        ({"outcome": "release", "reason": "x"}, "confirm"),
        (YES, "outcome"),
        ({"outcome": "ask_again", **YES}, "outcome"),
        ({"outcome": "explode", **YES}, "outcome"),
        ({"outcome": "attach", **YES}, "gateway_job_id"),
    ],
)
def test_half_a_decision_is_none(browser, doubtful, editor, data, field):
    response = browser.post(page(doubtful, "resolve"), data)
    assert response.status_code == 200
    assert field in response.context["form"].errors
    assert "Nothing was changed." in text_of(response)
    doubtful.refresh_from_db()
    assert (doubtful.status, held(editor)) == ("in_doubt", (105, 5))


def test_a_job_of_another_request_is_refused(browser, doubtful, editor):
    put(editor, "submitted", gateway_job_id="job_8")
    response = browser.post(
        page(doubtful, "resolve"), {"outcome": "attach", "gateway_job_id": "job_8", **YES}, follow=True
    )
    assert said(response) == [("error", "This job id belongs to another request. Nothing was changed.")]
    doubtful.refresh_from_db()
    assert doubtful.status == "in_doubt"


def test_deciding_twice_decides_once(browser, doubtful, editor):
    for _twice in range(2):
        response = browser.post(page(doubtful, "resolve"), {"outcome": "charge", **YES}, follow=True)
    assert said(response)[-1] == (
        "info",
        "It is not in doubt any more, so there is nothing to decide. Nothing was changed.",
    )
    assert held(editor) == (100, 0)


def test_opening_the_form_decides_nothing(browser, doubtful):
    assert browser.get(page(doubtful, "resolve"), {"outcome": "charge", **YES}).status_code == 200
    doubtful.refresh_from_db()
    assert doubtful.status == "in_doubt"


def test_what_is_not_in_doubt_has_no_form(browser, editor):
    request = put(editor, "queued")
    response = browser.get(page(request, "resolve"))
    assert (response.status_code, response.url) == (302, page(request))
    assert browser.get("/admin/grokvideo/videorequest/999/resolve/", follow=True).redirect_chain[0][0] == "/admin/"


def test_an_editor_may_not_decide(client, doubtful):
    assert client.get(page(doubtful, "resolve")).status_code == 403
    assert client.post(page(doubtful, "resolve"), {"outcome": "release", **YES}).status_code == 403
    doubtful.refresh_from_db()
    assert doubtful.status == "in_doubt"


@pytest.mark.parametrize(
    ("permissions", "status"),
    [(("change_all",), 403), (("change_all", "add_videorequest"), 403), (("change_all", "view_videorequest"), 200)],
)
def test_who_may_not_change_requests_may_not_decide(doubtful, permissions, status):
    browser = as_(person("watcher", *permissions))
    response = browser.get(page(doubtful))
    assert response.status_code == status
    assert page(doubtful, "resolve") not in response.content.decode()
    assert browser.get(page(doubtful, "resolve")).status_code == 403
    assert browser.post(page(doubtful, "resolve"), {"outcome": "release", **YES}).status_code == 403
    doubtful.refresh_from_db()
    assert doubtful.status == "in_doubt"


def test_a_site_that_hides_requests_hides_the_decision(browser, doubtful, monkeypatch):
    monkeypatch.setattr(VideoRequestAdmin, "has_view_permission", lambda *_args: False)
    assert browser.get(page(doubtful, "resolve")).status_code == 403
    assert browser.post(page(doubtful, "resolve"), {"outcome": "release", **YES}).status_code == 403


def test_csrf_is_enforced(manager, doubtful):
    client = as_(manager, enforce_csrf_checks=True)
    assert client.post(page(doubtful, "resolve"), {"outcome": "release", **YES}).status_code == 403
    client.get(page(doubtful, "resolve"))
    token = client.cookies["csrftoken"].value
    data = {"outcome": "release", **YES, "csrfmiddlewaretoken": token}
    assert client.post(page(doubtful, "resolve"), data).status_code == 302
