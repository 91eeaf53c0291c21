"""What an editor does, by hand and with her eyes."""

from __future__ import annotations

import re
import time

from playwright.sync_api import Page

TITLE = "The keeper of Bell Rock"
PROMPT = "A lighthouse at dusk, its beam sweeps through fog, gulls, the sound of surf"
PATIENCE_SECONDS = 90


def log_in(page: Page, site: str, user: str, password: str) -> None:
    page.goto(f"{site}admin/")
    page.get_by_label("Username").fill(user)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def open_article(page: Page, title: str) -> None:
    page.get_by_role("link", name="Articles").first.click()
    page.get_by_role("link", name=title).click()


def states_until_ready(page: Page) -> list[str]:
    """The states that the page goes through by itself, in order, until the video is there."""
    seen: list[str] = []
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        is_there = page.locator("video").count() > 0
        state = page.locator(".grokvideo-badge").first.inner_text().split()[-1]
        if seen[-1:] != [state]:
            seen.append(state)
        if is_there:
            return seen
        page.wait_for_timeout(250)
    raise AssertionError(f"No video after {PATIENCE_SECONDS} s; the states were {seen}.")


def generate(page: Page, line: re.Match[str]) -> list[str]:
    """Log in, ask for a video for an article, and wait for it; the states on the way."""
    log_in(page, line["url"], line["user"], line["password"])
    open_article(page, TITLE)
    page.get_by_role("link", name="Generate a video for this article").click()
    page.get_by_label("Prompt").fill(PROMPT)
    page.get_by_role("button", name=re.compile("generate · 25 credits", re.IGNORECASE)).click()
    return states_until_ready(page)
