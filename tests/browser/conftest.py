"""A real Chromium, and pages that keep what went wrong on them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Response, sync_playwright

from ..conftest import unavailable
from ..timing import PATIENCE
from . import chromium

HERE = Path(__file__).parent
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"

Visit = Callable[..., Page]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder drives a browser."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = chromium.find()
    if executable is None:
        unavailable(f"no browser: none of {', '.join(chromium.NAMES)} is on the path")
    # Playwright keeps a loop in this thread, and Django refuses its database beside one, here and in all later tests.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        running = chromium.launch(playwright, executable)
        yield running
        running.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    opened = browser.new_context(viewport={"width": 1280, "height": 900})
    opened.set_default_timeout(PATIENCE * 1000)
    yield opened
    opened.close()


class Complaints(list[str]):
    """What the browser complained about: errors of scripts, violations of the Content-Security-Policy, failed loads."""

    def listen(self, page: Page) -> None:
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.append(str(error)))
        page.on("requestfailed", lambda request: self._on_failure(request.url, request.failure or ""))
        page.on(
            "response", lambda answer: self.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None
        )

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.append(message.text)

    def _on_response(self, answer: Response) -> None:
        if answer.status >= 400:
            self.append(f"{answer.status} {answer.url}")

    def _on_failure(self, url: str, reason: str) -> None:
        if "ERR_ABORTED" not in reason:  # leaving a page aborts the loading of its video
            self.append(f"{reason} {url}")


@pytest.fixture
def complaints() -> Complaints:
    return Complaints()


@pytest.fixture
def page(context: BrowserContext, complaints: Complaints) -> Page:
    """A page that must not complain: look at ``complaints`` in the end."""
    opened = context.new_page()
    complaints.listen(opened)
    return opened


@pytest.fixture
def visit(browser: Browser, live_server: Any, redis_server: Any, complaints: Complaints) -> Iterator[Visit]:
    """Pages of a site manager, in a window of this size."""
    chief = User.objects.create_superuser("chief", password="pw")
    context = browser.new_context()
    context.set_default_timeout(PATIENCE * 1000)
    page = context.new_page()
    page.goto(f"{live_server.url}/admin/login/")
    page.get_by_label("Username").fill(chief.username)
    page.get_by_label("Password").fill("pw")
    page.get_by_role("button", name="Log in").click()
    complaints.listen(page)

    def go(path: str, width: int = 1280) -> Page:
        page.set_viewport_size({"width": width, "height": 844})
        page.goto(live_server.url + path)
        return page

    yield go
    context.close()
