"""The JSON that the gateway answers with.

Source: the vendor's OpenAPI document of 2026-06-23, its SDKs, and what other clients have met. Where no source gives a
shape (balance, usage, models) it is a plausible one, and ``docs/sandbox.md`` says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grokvideo_django.sandbox.jobs import Job
from grokvideo_django.sandbox.orders import ASPECT_RATIOS, MODEL, RESOLUTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from grokvideo_django.sandbox.faults import Fault

_TYPES = {
    401: "authentication_error",
    402: "insufficient_credits",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


def error(status: int, message: str, param: str | None = None) -> dict[str, Any]:
    """An HTTP error's body; ``code`` is the status, as the OpenAPI document has it."""
    kind = _TYPES.get(status) or ("invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "code": status, "param": param}}


def snapshot(job: Job, status: str, faults: Iterable[Fault] = ()) -> dict[str, Any]:
    """What both the POST and a read answer with; the result or the error of an ended job come on top."""
    words = {fault.name: fault.value for fault in faults}
    created = int(job.accepted.at)
    status = words.get("status") or status
    body: dict[str, Any] = {"id": job.id, "status": status, "model": job.order.model, "modality": "video"}
    if "no-status" in words:
        del body["status"]
    if "created-at" in words:
        return {**body, "created_at": created, "updated_at": int(max(job.starts_at, created))}
    return {**body, "created": created}


def result(job: Job, url: str, faults: Iterable[Fault] = ()) -> dict[str, Any]:
    """What a completed job's snapshot gains: the documented shape, or one of the others that *faults* ask for."""
    words = {fault.name: fault.value for fault in faults}
    if "result-null" in words:
        return {"result": None}
    url = words.get("result-url") or url
    width, height = job.order.size
    inner: dict[str, Any] = {
        "url": url,
        "duration": number(words.get("duration") or job.order.duration),
        "resolution": words.get("resolution") or f"{width}x{height}",
    }
    if "no-duration" in words:
        del inner["duration"]
    shape = words.get("shape", "url")
    if shape == "url" and "no-url" not in words:
        return {"result": inner}
    del inner["url"]
    if "no-url" in words:
        return {"result": inner}
    if shape == "file_url":
        return {"result": {"file_url": url, **inner}}
    if shape == "result_url":
        return {"result_url": url, "result": inner}
    return {"data": {"result_url": url}, "result": inner}


def number(value: str | float) -> float | str:
    """A number where *value* is one (whole, if it is), else the text itself: a lie may be anything."""
    try:
        exact = float(value)
    except ValueError:
        return value
    return int(exact) if exact.is_integer() else exact


def failure(job: Job, faults: Iterable[Fault] = ()) -> dict[str, Any]:
    """What a failed job's snapshot gains."""
    words = {fault.name: fault.value for fault in faults}
    message = f"The video could not be generated ({job.error_code})."
    if job.error_code == "content_moderation":
        message = "The video was rejected by content moderation."
    how = words.get("error", "object")
    if how == "none":
        return {}
    return {"error": message if how == "text" else {"code": job.error_code, "message": message}}


def model() -> dict[str, Any]:
    """The one model, with its price in USD a second."""
    return {
        "id": MODEL,
        "object": "model",
        "owned_by": "xai",
        "modality": "video",
        "pricing": {"per_second": {"480p": 0.05, "720p": 0.07}, "per_input_image": 0.002, "currency": "usd"},
        "schema": {
            "endpoint": "/v1/videos/generations",
            "duration": {"minimum": 1, "maximum": 15},
            "aspect_ratio": list(ASPECT_RATIOS),
            "resolution": list(RESOLUTIONS),
        },
    }


def balance(left_mills: int | None, spent_mills: int) -> dict[str, Any]:
    """The wallet; an endless one says so with null."""
    return {
        "object": "balance",
        "currency": "usd",
        "balance": None if left_mills is None else left_mills / 1000,
        "balance_cents": None if left_mills is None else left_mills / 10,
        "spent_cents": spent_mills / 10,
    }


def usage(month: str, rows: dict[str, tuple[int, int]], faults: Iterable[Fault] = ()) -> Any:
    """Cost by tag in *month* (``YYYY-MM``); *rows* are requests and mills by tag."""
    words = {fault.name for fault in faults}
    name = "label" if "usage-label" in words else "tag"
    data = [
        {name: tag, "requests": requests, "cost_cents": mills / 10, "cost_usd": mills / 1000}
        for tag, (requests, mills) in sorted(rows.items())
    ]
    return data if "usage-list" in words else {"object": "list", "month": month, "data": data}
