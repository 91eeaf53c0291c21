"""The vocabulary of misbehaviour: every word, where it strikes, what it takes, and how it is written.

A word is written ``name``, ``name=value``, ``name*3`` (the first three times only) or ``name=value*3``; in a prompt as
``[sandbox:name]``, several with spaces between them or in several brackets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Where a word strikes."""

    CREATE = "create"
    JOB = "job"
    SNAPSHOT = "snapshot"
    PENDING = "pending"
    RESULT = "result"
    FAILURE = "failure"
    READ = "read"
    CANCEL = "cancel"
    MEDIA = "media"
    SIGN = "sign"
    ACCOUNT = "account"


class Takes(StrEnum):
    """What may stand behind the ``=``."""

    NOTHING = "nothing"
    NUMBER = "number"
    TEXT = "text"


@dataclass(slots=True, frozen=True)
class Word:
    """One entry of the vocabulary. ``decides``: at most one such word strikes a request; others change or delay."""

    kind: Kind
    doc: str
    takes: Takes | tuple[str, ...] = Takes.NOTHING
    default: str | None = None
    decides: bool = False


def _statuses(kind: Kind, codes: str) -> dict[str, Word]:
    words = {}
    for code in codes.split():
        doc, takes, default = f"HTTP {code}", Takes.NOTHING, None
        if code == "302":
            doc, takes, default = "HTTP 302 to this Location", Takes.TEXT, "/elsewhere"
        elif code in {"429", "503"}:
            doc, takes = f"HTTP {code}; Retry-After: seconds, or `date`, or `date:seconds` for an HTTP date", Takes.TEXT
            default = "1" if code == "429" else None
        words[f"{kind}-{code}"] = Word(kind, doc, takes, default, decides=True)
    return words


def _words(
    kind: Kind, docs: dict[str, str | tuple[str, Takes | tuple[str, ...], str | None]], *, decides: bool
) -> dict[str, Word]:
    words = {}
    for name, entry in docs.items():
        doc, takes, default = (entry, Takes.NOTHING, None) if isinstance(entry, str) else entry
        words[name] = Word(kind, doc, takes, default, decides)
    return words


VOCABULARY: dict[str, Word] = {
    # The paid POST
    **_statuses(Kind.CREATE, "302 400 401 402 403 404 405 408 409 422 429 500 502 503 504"),
    **_words(
        Kind.CREATE,
        {
            "lost-answer": "accepted, then the connection closes without an answer",
            "lost-request": "the connection closes without an answer, and nothing was accepted: looks the same",
            "cut-answer": "accepted, and the connection closes in the middle of the answer",
            "bad-json": "accepted; a complete answer with half of the JSON in it",
            "html-answer": "accepted; 200 with a page of HTML",
            "empty-answer": "accepted; 200 with no body",
            "no-id": "accepted; the answer has no id",
            "error-but-accepted": ("accepted, and answered with this error", Takes.NUMBER, "500"),
        },
        decides=True,
    ),
    **_words(
        Kind.CREATE,
        {
            "stall": ("accepted at once, answered after so many seconds", Takes.NUMBER, "90"),
            "create-200": "200 in place of 202",
        },
        decides=False,
    ),
    # What becomes of the job
    **_words(
        Kind.JOB,
        {
            "delay": ("completes so many seconds after the POST", Takes.NUMBER, "30"),
            "slow": ("completes only after so many seconds", Takes.NUMBER, "240"),
            "queued": ("stays queued for so many seconds, and can be cancelled", Takes.NUMBER, "60"),
            "never": "stays in processing for ever",
            "failed": ("fails, with this error code", Takes.TEXT, "generation_failed"),
            "fail": ("the same as failed", Takes.TEXT, "generation_failed"),
            "moderated": "fails in moderation, and is charged",
            "expired": "expires instead of completing",
            "cancelled": "is cancelled by the gateway",
            "canceled": "the same, spelt with one l",
            "clip-duration": ("the file itself lasts so many seconds", Takes.NUMBER, "3"),
            "silent": "the file has no sound",
        },
        decides=False,
    ),
    # How a snapshot looks
    **_words(
        Kind.SNAPSHOT,
        {
            "created-at": "created_at and updated_at in place of created, also in the answer to the POST",
        },
        decides=False,
    ),
    **_words(
        Kind.PENDING,
        {
            "status": ("this word in place of queued or processing", Takes.TEXT, "thinking"),
            "no-status": "no status",
        },
        decides=False,
    ),
    **_words(
        Kind.RESULT,
        {
            "shape": ("where the result's URL stands", ("url", "file_url", "result_url", "data"), "data"),
            "result-url": ("this in place of the result's URL", Takes.TEXT, "http://169.254.169.254/video.mp4"),
            "no-url": "completed without a URL",
            "duration": ("result.duration says so many seconds", Takes.TEXT, "99"),
            "no-duration": "no result.duration",
            "resolution": ("result.resolution says this", Takes.TEXT, "1920x1080"),
            "result-null": "completed, and result is null",
        },
        decides=False,
    ),
    "error": Word(Kind.FAILURE, "how a failed job's error is written", ("object", "text", "none"), "text"),
    # Reading a job
    **_statuses(Kind.READ, "302 400 401 403 404 408 410 422 429 500 502 503 504"),
    **_words(
        Kind.READ,
        {
            "read-html": "200 with a page of HTML",
            "read-empty": "200 with no body",
            "read-202": "202 with a pending snapshot",
            "read-202-empty": "202 with no body",
            "read-304": "304 with no body, however long ago the last read was",
            "read-cut": "the connection closes in the middle of the answer",
            "read-bad-json": "a complete answer with half of the JSON in it",
            "read-list": "JSON, but a list",
            "read-lost": "the connection closes without an answer",
        },
        decides=True,
    ),
    "read-stall": Word(Kind.READ, "answers after so many seconds", Takes.NUMBER, "30"),
    # Cancelling a job
    **_statuses(Kind.CANCEL, "400 401 403 404 405 409 422 429 500 502 503"),
    **_words(
        Kind.CANCEL,
        {
            "cancel-lost": "cancelled, then the connection closes without an answer",
            "cancel-lost-request": "the connection closes without an answer, and nothing was cancelled",
            "cancel-unconfirmed": "200 with no body, and nothing was cancelled",
            "cancel-ignored": "200 with an unchanged snapshot, and nothing was cancelled",
        },
        decides=True,
    ),
    **_words(
        Kind.CANCEL,
        {
            "cancel-stall": ("answers after so many seconds", Takes.NUMBER, "30"),
            "cancel-processing": "a job in processing is cancelled too",
        },
        decides=False,
    ),
    # The file
    **_statuses(Kind.MEDIA, "400 401 403 404 408 410 416 429 500 502 503 504"),
    **_words(
        Kind.MEDIA,
        {
            "media-unsigned": "401 for the URL of the snapshot; a signed URL works",
            "media-redirect": ("302 to this URL; `self` means the same again", Takes.TEXT, "self"),
            "media-cut": "the connection closes after half of the file",
            "media-truncated-mp4": "half of the file, as if that were all",
            "media-html": "a page of HTML as video/mp4",
            "media-svg": "an SVG with a script as video/mp4",
            "media-empty": "200 with Content-Length: 0",
            "media-drip": "one byte a second",
            "media-endless": "the head of an mp4, then zeros without end",
            "media-big": ("the head of an mp4, then zeros: so many MB in all", Takes.NUMBER, "600"),
            "media-gzip": ("so many MB of zeros, gzipped twice, as Content-Encoding says", Takes.NUMBER, "64"),
            "media-lost": "the connection closes without an answer",
        },
        decides=True,
    ),
    **_words(
        Kind.MEDIA,
        {
            "media-stall": ("answers after so many seconds", Takes.NUMBER, "30"),
            "media-type": ("this Content-Type", Takes.TEXT, "application/octet-stream"),
            "media-no-length": "no Content-Length; the end of the connection is the end of the file",
        },
        decides=False,
    ),
    # The rest of the API
    **_statuses(Kind.SIGN, "401 403 404 429 500 503"),
    **_statuses(Kind.ACCOUNT, "401 402 403 404 429 500 503 504"),
    "account-stall": Word(Kind.ACCOUNT, "the balance comes after so many seconds", Takes.NUMBER, "30"),
    "account-html": Word(Kind.ACCOUNT, "200 with a page of HTML", decides=True),
    "usage-list": Word(Kind.ACCOUNT, "usage by tag as a bare list"),
    "usage-label": Word(Kind.ACCOUNT, "usage by tag with `label` in place of `tag`"),
}


class UnknownWordError(ValueError):
    """A word that is not in the vocabulary, or a value that it does not take. The message lists what there is."""


@dataclass(slots=True)
class Fault:
    """A word at work: its value, how often it still strikes (None: always), and whom it concerns (empty: everyone)."""

    name: str
    value: str | None = None
    left: int | None = None
    match: str = ""
    """A part of the prompt, or a job's id."""

    @property
    def word(self) -> Word:
        """The entry of the vocabulary."""
        return VOCABULARY[self.name]

    @property
    def number(self) -> float:
        """The value as a number; the grammar has checked that it is one."""
        return float(self.value or 0)

    def __str__(self) -> str:
        """As it is written."""
        times = "" if self.left is None else f"*{self.left}"
        return self.name + ("" if self.value is None else f"={self.value}") + times


_WORD = re.compile(r"(?P<name>[a-z0-9_-]+)(?:=(?P<value>\S*?))?(?:\*(?P<times>\d+))?", re.ASCII)
_MARKER = re.compile(r"\[sandbox:((?:[^\[\]]|\[[^\[\]]*\])*)\]")  # one level of brackets inside: http://[::1]/


def parse(text: str) -> Fault:
    """One word as it is written. Raises :class:`UnknownWordError`."""
    found = _WORD.fullmatch(text.strip())
    if found is None or found["name"] not in VOCABULARY:
        raise UnknownWordError(f"The sandbox does not know {text!r}. It knows: {', '.join(sorted(VOCABULARY))}.")
    word, value = VOCABULARY[found["name"]], found["value"]
    if value is None:
        value = word.default
    elif word.takes is Takes.NOTHING:
        raise UnknownWordError(f"{found['name']!r} takes no value.")
    elif word.takes is Takes.NUMBER and not re.fullmatch(r"\d+(\.\d+)?", value):
        raise UnknownWordError(f"{found['name']!r} takes a number, not {value!r}.")
    elif isinstance(word.takes, tuple) and value not in word.takes:
        raise UnknownWordError(f"{found['name']!r} takes one of {', '.join(word.takes)}, not {value!r}.")
    return Fault(found["name"], value, int(found["times"]) if found["times"] else None)


def markers(prompt: str) -> list[Fault]:
    """The words in a prompt, in order. Raises :class:`UnknownWordError`."""
    return [parse(word) for marker in _MARKER.findall(prompt) for word in marker.split() or [""]]


def without_markers(prompt: str) -> str:
    """The prompt as a reader should see it."""
    return " ".join(_MARKER.sub(" ", prompt).split())
