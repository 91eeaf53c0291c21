"""What goes over the wire to the gateway and comes back, as typed values.

Reading is tolerant: the vendors contradict themselves and each other, so whatever the JSON looks like, these functions
return a value and never raise. Texts are bounded, and hold nothing that a database refuses.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_ID = 200
MAX_WORD = 64
MAX_MESSAGE = 2000
MAX_URL = 4096
MAX_SECONDS = 86_400.0
"""A day: no longer pause is believed, and no longer video."""


class JobState(StrEnum):
    """Where a job stands at the gateway."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"
    PENDING = "pending"
    """Nothing can be concluded: an unknown word, no word, 202, 304, or an answer that cannot be read."""

    @property
    def is_pending(self) -> bool:
        """Not ended, as far as is known."""
        return self in {JobState.QUEUED, JobState.RUNNING, JobState.PENDING}


# Both vendors' words. An unknown one is pending, never a failure.
_STATES = {
    "queued": JobState.QUEUED,
    "processing": JobState.RUNNING,
    "running": JobState.RUNNING,
    "in_progress": JobState.RUNNING,
    "completed": JobState.COMPLETED,
    "succeeded": JobState.COMPLETED,
    "done": JobState.COMPLETED,
    "failed": JobState.FAILED,
    "cancelled": JobState.CANCELED,
    "canceled": JobState.CANCELED,
    "expired": JobState.EXPIRED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoOrder:
    """One video as it is asked for."""

    model: str
    prompt: str
    duration_seconds: int
    aspect_ratio: str
    resolution: str
    idempotency_key: str
    """The attempt's UUID: the same for every repetition of the same order."""
    mode: str = ""
    image_url: str = field(default="", repr=False)
    """https, or a ``data:`` URL of megabytes."""
    tag: str = ""
    """Groups cost in the gateway's usage report; 64 characters are sent."""

    def payload(self) -> dict[str, object]:
        """The JSON of the POST. The model is always there: without it the gateway would choose another one."""
        always: dict[str, object] = {
            "model": self.model,
            "prompt": self.prompt,
            "duration": self.duration_seconds,
            "aspect_ratio": self.aspect_ratio,
            "resolution": self.resolution,
        }
        chosen = {"mode": self.mode, "image_url": self.image_url}
        return always | {name: value for name, value in chosen.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobError:
    """Why a job failed, in the gateway's words. Either may be empty, never both."""

    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A snapshot of a job at the gateway."""

    id: str
    state: JobState
    status: str = ""
    """The gateway's own word, at most 64 characters."""
    result_url: str = ""
    """Hostile input. May be empty although the state is COMPLETED."""
    duration_seconds: float | None = None
    """Of the finished video, finite and above zero."""
    resolution: str = ""
    """As reported (``1920x1080``); not to be trusted."""
    error: JobError | None = None
    created_at: datetime | None = None
    """Aware, UTC."""
    progress: int | None = None
    """0 to 100."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """The ``x-ratelimit-*-requests`` headers of an answer: requests a window, of the whole key."""

    limit: int | None = None
    remaining: int | None = None
    reset_seconds: float | None = None
    """From the answer on; at most a day."""


def parse_job(payload: object, *, job_id: str = "") -> Job:
    """Read a job from decoded JSON of AIgateway's or xAI's shape; never raises.

    ``job_id`` is used where the payload has no readable id of its own. Without both, ``Job.id`` is empty.
    """
    layers = _layers(payload)
    status = next((word for layer in layers if (word := clean_text(layer.get("status"), MAX_WORD))), "")
    results = list(_results(layers))
    return Job(
        id=next(_ids(layers), job_id),
        state=_STATES.get(re.sub(r"[\s-]+", "_", status.lower()), JobState.PENDING),
        status=status,
        result_url=next(_urls(layers), ""),
        duration_seconds=next((value for result in results if (value := _duration(result.get("duration")))), None),
        resolution=next((text for result in results if (text := clean_text(result.get("resolution"), MAX_WORD))), ""),
        error=next((error for layer in layers if (error := _job_error(layer.get("error")))), None),
        created_at=next((moment for layer in layers if (moment := _created_at(layer))), None),
        progress=next((value for layer in layers if (value := _progress(layer.get("progress"))) is not None), None),
    )


def other_job(payload: object, *, job_id: str) -> str:
    """The id of another job that an answer about ``job_id`` is about; empty if it is about that one, or names none.

    What counts is the ``id`` on top: further in, things of other kinds have ids too.
    """
    layers = _layers(payload)
    named = next(_ids([{"id": layer.get("id")} for layer in layers[:1]]), job_id)
    return "" if job_id in {named, *_ids(layers)} else named


def parse_retry_after(value: str | None, *, now: datetime) -> float | None:
    """Seconds to wait, from 0 to a day, of a ``Retry-After`` header (seconds or an HTTP date); junk is None.

    ``now`` is aware: dates are counted from it, so it is best what the same answer calls now.
    """
    if value is None:
        return None
    value = value.strip(" \t")  # no other white space: strip() takes more of it than float() bears
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", value):
        return _bounded(float(value))
    moment = parse_date(value)
    return None if moment is None else _bounded((moment - now).total_seconds())


def parse_date(value: str | None) -> datetime | None:
    """The moment of an HTTP date, aware; junk is None."""
    try:
        moment = parsedate_to_datetime(value or "")
    except (ValueError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment  # "-0000": UTC, says RFC 5322


def parse_rate_limit(headers: Mapping[str, str], *, now: datetime) -> RateLimit | None:
    """The rate limit that an answer's headers report, or None if they say nothing readable.

    A reset is seconds from now, or a moment in epoch seconds. ``headers`` is looked up with names in lower case.
    """
    numbers = [_number(headers.get(f"x-ratelimit-{name}-requests")) for name in ("limit", "remaining", "reset")]
    limit, remaining, reset = (number if number is not None and number >= 0 else None for number in numbers)
    if limit is remaining is reset is None:
        return None
    if reset is not None and reset > 1e9:
        reset -= now.timestamp()
    return RateLimit(
        limit=None if limit is None else int(limit),
        remaining=None if remaining is None else int(remaining),
        reset_seconds=None if reset is None else _bounded(reset),
    )


def clean_text(value: object, limit: int) -> str:
    """``value`` if it is a text, without what databases refuse (NUL, lone surrogates), at most ``limit`` characters."""
    if not isinstance(value, str):
        return ""
    return value.replace("\0", "").encode(errors="replace").decode().strip()[:limit]


def clean_code(value: object) -> str:
    """An error's code, which may be a word or a number; at most 64 characters."""
    return clean_text(str(value) if isinstance(value, float) or _is_small_int(value) else value, MAX_WORD)


def clean_url(value: object) -> str:
    """A URL of at most 4096 printable characters, or nothing: half of one would be useless."""
    url = value.strip() if isinstance(value, str) else ""
    return url if len(url) <= MAX_URL and url.isprintable() else ""


def _layers(payload: object) -> list[dict[str, object]]:
    """The places where a job's fields have been seen: the top, and an envelope named ``data``."""
    if not isinstance(payload, dict):
        return []
    data = payload.get("data")
    return [payload, data] if isinstance(data, dict) else [payload]


def _results(layers: list[dict[str, object]]) -> Iterator[dict[str, object]]:
    """The objects that describe the finished video: AIgateway's ``result``, xAI's ``video``, and ``data`` itself."""
    for layer in layers:
        for name in ("result", "video"):
            if isinstance(inner := layer.get(name), dict):
                yield inner
    yield from layers[1:]


def _urls(layers: list[dict[str, object]]) -> Iterator[str]:
    for layer in layers:
        places = [(layer.get("result"), "url"), (layer.get("result"), "file_url"), (layer, "result_url")]
        for place, name in [*places, (layer.get("video"), "url")]:
            if isinstance(place, dict) and (url := clean_url(place.get(name))):
                yield url


def _ids(layers: list[dict[str, object]]) -> Iterator[str]:
    for layer in layers:
        for name in ("id", "request_id"):
            value = layer.get(name)
            text = str(value) if _is_small_int(value) else value
            if isinstance(text, str) and (text := text.strip()) and len(text) <= MAX_ID and text.isprintable():
                yield text


def _is_small_int(value: object) -> bool:
    """A whole number that can be written out: Python refuses to write one of more than 4300 digits."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**MAX_WORD


def _number(value: object) -> float | None:
    """A finite number, also written as a text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _duration(value: object) -> float | None:
    seconds = _number(value)
    return seconds if seconds is not None and 0 < seconds <= MAX_SECONDS else None


def _progress(value: object) -> int | None:
    percent = _number(value)
    return int(percent) if percent is not None and 0 <= percent <= 100 else None


def _created_at(layer: dict[str, object]) -> datetime | None:
    """``created`` or ``created_at`` in epoch seconds."""
    for name in ("created", "created_at"):
        seconds = _number(layer.get(name))
        if seconds is not None and 0 < seconds < 253_402_300_799:  # the end of the year 9999
            return datetime.fromtimestamp(seconds, UTC)
    return None


def _job_error(value: object) -> JobError | None:
    """A job's error is a text or ``{code, message}``."""
    fields = value if isinstance(value, dict) else {"message": value}
    code, message = clean_code(fields.get("code")), clean_text(fields.get("message"), MAX_MESSAGE)
    return JobError(code=code, message=message) if code or message else None


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), MAX_SECONDS)
