"""The answers that a decided fault gives in place of the right one, for every endpoint of the API."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import TYPE_CHECKING

from grokvideo_django.sandbox.shapes import error
from grokvideo_django.sandbox.wire import Answer, Hangup, json_answer

if TYPE_CHECKING:
    from grokvideo_django.sandbox.faults import Fault

HTML = b"<!doctype html><html><head><title>Bad gateway</title></head><body><h1>Bad gateway</h1></body></html>"

_MESSAGES = {
    400: "The request was refused.",
    401: "Invalid API key.",
    402: "Insufficient credits.",
    403: "This key may not do that.",
    404: "Not found.",
    422: "The prompt was rejected by content moderation.",
    429: "Rate limit exceeded.",
    503: "The service is overloaded.",
}


def decision(faults: list[Fault]) -> Fault | None:
    """The one of *faults* that decides the answer, if any does."""
    return next((fault for fault in faults if fault.word.decides), None)


def status_of(fault: Fault) -> int | None:
    """The HTTP status of a word such as ``read-503``; None for the others."""
    code = fault.name.rpartition("-")[2]
    return int(code) if len(code) == 3 and code.isdecimal() and fault.name != "read-202" else None


def status_answer(status: int, value: str | None = None) -> Answer:
    """An error of the API; *value* is a Location for 302 and a Retry-After for 429 and 503."""
    headers = {}
    if status == 302:
        headers["Location"] = value or "/"
    elif value is not None:
        headers["Retry-After"] = retry_after(value)
    return json_answer(
        error(status, _MESSAGES.get(status, f"The sandbox was told to answer {status}.")), status, headers
    )


def retry_after(value: str) -> str:
    """Seconds as they are; ``date`` or ``date:30`` as the HTTP date that is so many seconds away."""
    word, _, seconds = value.partition(":")
    return formatdate(time.time() + float(seconds or 5), usegmt=True) if word == "date" else value


def html_answer(status: int = 200, content_type: str = "text/html; charset=utf-8") -> Answer:
    """A page of HTML where none belongs."""
    return Answer(status, HTML, content_type)


def distort(how: str, answer: Answer) -> Answer:
    """The right *answer* gone wrong on its way: ``lost``, ``cut``, ``bad-json``, ``html``, ``empty``, ``list``."""
    body = answer.body
    assert isinstance(body, bytes)
    if how == "cut":
        return Answer(answer.status, body[: len(body) // 2], headers=answer.headers, length=len(body), close=True)
    if how == "bad-json":
        return Answer(answer.status, body[: len(body) // 2], headers=answer.headers)
    if how == "list":
        return Answer(answer.status, b"[" + body + b"]", headers=answer.headers)
    if how == "html":
        return html_answer()
    if how == "empty":
        return Answer(200)
    raise Hangup
