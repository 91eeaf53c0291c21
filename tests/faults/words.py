"""What is asked of the sandbox in a random run, and where a request of each word may end when nothing else strikes.

Every word of the sandbox that a worker can meet is here, in a form that an end can be told of; ``LEFT_OUT`` says why
the others are not. A test compares both with the sandbox's own vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable

from grokvideo_django.models import VideoRequest
from grokvideo_django.sandbox.faults import VOCABULARY, Kind

Status = VideoRequest.Status

SUCCEEDED = frozenset({Status.SUCCEEDED})
FAILED = frozenset({Status.FAILED})
CANCELED = frozenset({Status.CANCELED})
IN_DOUBT = frozenset({Status.IN_DOUBT})
CANCELS = frozenset({Status.CANCELED, Status.SUCCEEDED})
"""Somebody asks for it; the gateway may refuse."""

LEFT_OUT = {
    **{name: "no worker asks for it" for name, word in VOCABULARY.items() if word.kind is Kind.ACCOUNT},
}


def _codes(prefix: str, codes: str, suffix: str = "") -> list[str]:
    return [f"{prefix}-{code}{suffix}" for code in codes.split()]


def _named(names: str, *, prefix: str = "", suffix: str = "") -> list[str]:
    return [f"{prefix}{name}{suffix}" for name in names.split()]


def _each(words: Iterable[str], ends: frozenset[str]) -> dict[str, frozenset[str]]:
    return dict.fromkeys(words, ends)


ENDS: dict[str, frozenset[str]] = {
    "": SUCCEEDED,
    # The paid POST
    **_each(_codes("create", "401 402 403 429 503", "*1"), SUCCEEDED),
    **_each(["create-429=1*2", "create-503=1*2", "create-500*2", "create-200", "stall=2"], SUCCEEDED),
    **_each(_codes("create", "400 404 405 409 422"), FAILED),
    **_each(_codes("create", "302 408 500 502 504"), IN_DOUBT),
    **_each(_named("lost-answer lost-request cut-answer bad-json html-answer empty-answer no-id"), IN_DOUBT),
    # Not 500 or 503: the vendor says that those were not accepted, and a site can choose not to believe it of 500.
    **_each(["error-but-accepted=502", "error-but-accepted=408", "stall=11"], IN_DOUBT),
    # What becomes of the job
    **_each(["delay=2", "slow=4", "queued=2", "never", "clip-duration=2", "silent", "created-at"], SUCCEEDED),
    **_each(["failed", "fail=nsfw", "moderated", "expired"], FAILED),
    **_each([f"failed error={how}" for how in ("object", "text", "none")], FAILED),
    **_each(["cancelled", "canceled"], CANCELED),
    **_each(["delay=2 status=thinking", "delay=2 no-status"], SUCCEEDED),
    **_each([f"shape={shape}" for shape in ("url", "file_url", "result_url", "data")], SUCCEEDED),
    **_each(["result-url*1", "no-url*2", "duration", "no-duration", "resolution", "result-null*2"], SUCCEEDED),
    **_each(["result-url", "result-url=file:///etc/passwd"], IN_DOUBT),
    # Reading it
    **_each(_codes("read", "302 400 401 403 408 410 422 429 500 502 503 504", "*1"), SUCCEEDED),
    "read-404*1": frozenset({Status.SUCCEEDED, Status.IN_DOUBT}),  # in doubt once a clock says that it is old
    **_each(_codes("read", "html empty 202 202-empty 304 cut bad-json list lost", "*2"), SUCCEEDED),
    **_each(["read-stall=2*1", "read-stall=7*1"], SUCCEEDED),
    # Cancelling it
    **_each(_codes("queued=30 cancel", "400 401 403 404 405 409 422 429 500 502 503"), CANCELS),
    **_each(_codes("queued=30 cancel", "404 429 500 503 lost-request unconfirmed ignored", "*1"), CANCELS),
    **_each(_codes("queued=30 cancel", "lost stall=2"), CANCELS),
    "delay=30 cancel-processing": CANCELS,
    # The file
    **_each(_codes("media", "400 401 403 404 408 410 416 429 500 502 503 504", "*1"), SUCCEEDED),
    **_each(_codes("media", "redirect cut truncated-mp4 html svg empty drip lost stall=2", "*1"), SUCCEEDED),
    **_each(_named("media-unsigned media-type media-no-length"), SUCCEEDED),
    **_each(_named("media-404 media-html media-endless media-big=6 media-gzip=6"), IN_DOUBT),
    **_each(["media-redirect=http://169.254.169.254/video.mp4"], IN_DOUBT),
    **_each([f"media-unsigned {word}" for word in _codes("sign", "401 403 404 429 500 503", "*1")], SUCCEEDED),
}  # fmt: skip


def names_of(text: str) -> set[str]:
    """The names in the sandbox's vocabulary that a text consists of."""
    return {word.partition("=")[0].partition("*")[0] for word in text.split()}


def is_to_be_canceled(text: str) -> bool:
    """Whether somebody must ask for its cancellation, or the word never strikes."""
    return "cancel-" in text


def prompt(number: int, text: str) -> str:
    """A prompt of its own, with the word in it."""
    return f"Fox {number} [sandbox:{text}]" if text else f"Fox {number}"
