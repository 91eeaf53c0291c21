"""What fits on a desk and on a phone, and pages that load themselves anew, before a real browser."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Page, expect

from grokvideo_django import credits
from grokvideo_django.models import CreditAccount

from ..making import put
from .conftest import OVERFLOW, Complaints, Visit

pytestmark = pytest.mark.django_db(transaction=True)

ADMIN = "/admin/grokvideo/"
REQUESTS = f"{ADMIN}videorequest/"
INNER = """() => [...document.querySelectorAll(".results, .grokvideo-scroll")]
    .filter((box) => box.scrollWidth > box.clientWidth).map((box) => box.scrollWidth - box.clientWidth)"""
LINES = """(cells) => [...document.querySelectorAll(cells)].map((cell) => {
    const text = document.createRange();
    text.selectNodeContents(cell);
    return text.getClientRects().length;
})"""
UNDER_BUTTONS = """() => {
    const tools = document.querySelector(".object-tools").getBoundingClientRect();
    return [...document.querySelectorAll("#content h1, #content h2, .grokvideo-reload, .form-row")].filter((other) => {
        const box = other.getBoundingClientRect();
        return box.bottom > tools.top + 1 && box.top < tools.bottom - 1;
    }).map((other) => other.textContent);
}"""
CUT_OFF = """() => [...document.querySelectorAll(".form-row")]
    .filter((row) => row.scrollWidth > row.clientWidth).map((row) => row.textContent)"""
REASON = "For the autumn campaign of the magazine, as agreed with marketing in September"
ADDRESS = f"https://example.com/{'alongpathwithoutanend' * 9}"


@pytest.fixture
def rich(visit: Visit) -> CreditAccount:
    """A manager's account with large numbers and long reasons, and a request with a long address."""
    chief = User.objects.get(username="chief")
    for _many in range(3):
        credits.grant(chief, 1_234_567, reason=REASON, actor="a.long.name@example.com", expires_at=None)
    put(chief, "submitted", prompt=f"Like {ADDRESS}", duration_seconds=15, queued_at=timezone.now())
    return CreditAccount.objects.for_user(chief)


def test_lists_and_statements_fit_on_a_desk(rich: CreditAccount, visit: Visit, complaints: Complaints) -> None:
    for path in (
        "creditentry/",
        f"creditentry/?account__id__exact={rich.pk}",
        "creditgrant/",
        "videorequest/",
        f"creditaccount/{rich.pk}/change/",
    ):
        page = visit(f"{ADMIN}{path}")
        assert page.evaluate(OVERFLOW) <= 0, path
        assert page.evaluate(INNER) == [], path
    assert set(page.evaluate(LINES, ".field-kind, .field-amount, .field-balance")) == {1}
    assert complaints == []


def test_the_history_breaks_no_word_on_a_tablet(rich: CreditAccount, visit: Visit, complaints: Complaints) -> None:
    row = rich.user.video_requests.get()  # type: ignore[union-attr]
    row.events.create(kind="submitting", message=f"Attached to {ADDRESS}", actor="a.long.name@example.com")
    page = visit(f"{REQUESTS}{row.pk}/change/", width=800)
    assert page.evaluate(OVERFLOW) <= 0
    assert set(page.evaluate(LINES, ".grokvideo-history .field-event p")) == {1}
    assert complaints == []


def test_on_a_phone_a_statement_needs_no_scrolling_and_no_prompt_widens_a_page(
    rich: CreditAccount, visit: Visit, complaints: Complaints
) -> None:
    row = put(User.objects.get(username="chief"), "succeeded", prompt=ADDRESS, due_at=None)
    for path in ("creditentry/", f"creditaccount/{rich.pk}/change/"):
        page = visit(f"{ADMIN}{path}", width=390)
        assert page.evaluate(INNER) == [], path
    page = visit(f"{ADMIN}creditentry/", width=390)
    for words in (REASON, "3703776, 75 held"):
        box = page.get_by_text(words).first.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
    for name in ("change", "delete", "history"):
        page = visit(f"{REQUESTS}{row.pk}/{name}/", width=390)
        assert page.evaluate(OVERFLOW) <= 0, name
    assert complaints == []


@pytest.mark.parametrize("width", [390, 800, 1280])
def test_the_buttons_lie_on_nothing_and_a_long_prompt_is_whole(
    rich: CreditAccount, visit: Visit, complaints: Complaints, width: int
) -> None:
    owner = User.objects.create_user("an-owner-with-a-long-name")
    ready = put(owner, "succeeded", prompt=f"Like {ADDRESS} and {ADDRESS}", due_at=None)
    for row in (ready, rich.user.video_requests.get()):  # type: ignore[union-attr]
        page = visit(f"{REQUESTS}{row.pk}/change/", width=width)
        assert page.evaluate(UNDER_BUTTONS) == []
        assert page.evaluate(CUT_OFF) == []
    assert complaints == []


def has_loaded_anew(page: Page) -> bool:
    return not page.evaluate("window.isTheSame === true")


def test_a_page_does_not_reload_under_ones_hands(rich: CreditAccount, visit: Visit, complaints: Complaints) -> None:
    row = rich.user.video_requests.get()  # type: ignore[union-attr]
    visit(REQUESTS).clock.install()
    page = visit(f"{REQUESTS}{row.pk}/change/")
    expect(page.locator(".grokvideo-reload-pauses")).to_be_visible()
    details = page.locator("#content details summary")
    page.evaluate("window.isTheSame = true")
    details.click()
    page.evaluate("document.activeElement.blur()")
    page.clock.run_for(20_000)
    assert not has_loaded_anew(page)
    details.click()
    page.clock.run_for(20_000)
    assert not has_loaded_anew(page)  # what was clicked has the focus
    page.evaluate("document.activeElement.blur()")
    with page.expect_navigation():
        page.clock.run_for(20_000)
    assert has_loaded_anew(page)
    assert complaints == []
