"""The banner, the page about the gateway and the decision about a request in doubt, before a real browser."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import expect

from grokvideo_django.lifecycle import site
from grokvideo_django.models import GatewayState, VideoRequest

from ..making import put
from .conftest import OVERFLOW, Complaints, Visit

pytestmark = pytest.mark.django_db(transaction=True)

STATE = "/admin/grokvideo/gatewaystate/"
LIST = "/admin/grokvideo/videorequest/"
OVERLAP = """() => {
    const [banner, tools] = [".grokvideo-weather", ".object-tools"].map((name) => document.querySelector(name));
    return banner.getBoundingClientRect().bottom > tools.getBoundingClientRect().top;
}"""


@pytest.mark.parametrize(("language", "width"), [("en", 1280), ("en", 390), ("ar", 390)])
def test_the_banner_hides_nothing_and_fits(
    language: str, width: int, visit: Visit, settings: Any, complaints: Complaints
) -> None:
    settings.LANGUAGE_CODE = language
    site.pause(timezone.now(), status=402, message="Insufficient credits. " * 6)
    for path in (LIST, f"{LIST}add/", STATE):
        page = visit(path, width)
        assert page.evaluate(OVERFLOW) == 0
    page = visit(LIST, width)
    expect(page.get_by_role("status").filter(has_text="HTTP 402")).to_be_visible()
    assert not page.evaluate(OVERLAP)
    assert complaints == []


def test_every_button_bears_a_double_click(visit: Visit, complaints: Complaints) -> None:
    site.pause(timezone.now(), status=402, message="Empty.")
    page = visit(LIST)
    page.get_by_role("status").get_by_role("link", name="Gateway state").click()
    page.get_by_role("button", name="Try now").dblclick()
    expect(page.get_by_text("A worker looks within seconds")).to_be_visible()
    assert GatewayState.objects.current().is_probe_due(timezone.now())

    page.get_by_label("Reason").fill("Month's end")
    page.get_by_role("button", name="Pause all submissions").dblclick()
    expect(page.get_by_role("button", name="Resume submissions")).to_be_visible()
    assert GatewayState.objects.current().pause_reason == "Month's end"

    page.get_by_role("button", name="Resume submissions").dblclick()
    expect(page.get_by_text("Submissions are running")).to_be_visible()
    assert not GatewayState.objects.current().is_paused
    assert complaints == []


def test_starting_anew_by_double_click_starts_one(visit: Visit, editor: User, complaints: Complaints) -> None:
    doubtful = put(editor, "in_doubt", error_code="lost", error_message="The answer was lost.")
    page = visit(f"{LIST}{doubtful.pk}/resolve/", 390)
    assert page.evaluate(OVERFLOW) == 0
    page.get_by_label("Start anew").check()
    page.get_by_label("Reason").fill("No trace of it at the gateway")
    page.get_by_label("I have looked this request up").check()
    page.get_by_role("button", name="Decide").dblclick()
    expect(page.get_by_text("retry of")).to_be_visible()
    again = VideoRequest.objects.get(retry_of=doubtful)
    doubtful.refresh_from_db()
    assert (doubtful.status, again.status) == ("failed", "queued")
    assert complaints == []
