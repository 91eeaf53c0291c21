"""Whether a video really plays: it has pixels, and its time moves."""

from __future__ import annotations

from dataclasses import dataclass

from playwright.sync_api import Page

PLAY = """
async (video) => {
    video.muted = true;
    if (video.readyState < 2) await new Promise((resolve, reject) => {
        video.addEventListener("loadeddata", resolve, {once: true});
        video.addEventListener("error", () => reject(new Error(video.error?.message)), {once: true});
        video.load();
    });
    await video.play();
}
"""
SEEK = """
async (video, seconds) => {
    const sought = new Promise((resolve) => video.addEventListener("seeked", resolve, {once: true}));
    video.currentTime = seconds;
    await sought;
}
"""


@dataclass(frozen=True)
class Played:
    """What the browser says about a video that plays."""

    width: int
    height: int
    seconds: float
    address: str


def play(page: Page, selector: str = "video") -> Played:
    """Play it until its time has moved, then seek near its end."""
    video = page.locator(selector).first
    video.evaluate(PLAY)
    handle = video.element_handle()
    page.wait_for_function("(video) => video.currentTime > 0.3", arg=handle)
    seconds = video.evaluate("(video) => video.duration")
    video.evaluate("(video) => video.pause()")
    video.evaluate(SEEK, seconds - 0.2)
    assert abs(video.evaluate("(video) => video.currentTime") - (seconds - 0.2)) < 0.1
    return Played(
        width=video.evaluate("(video) => video.videoWidth"),
        height=video.evaluate("(video) => video.videoHeight"),
        seconds=seconds,
        address=video.evaluate("(video) => video.currentSrc"),
    )
