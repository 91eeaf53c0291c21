"""Every way in which the gateway can fail us, told apart by what may be done next.

    GatewayError
    ├── NotAccepted         certainly not accepted: no connection, or 429 or 503. May be repeated
    ├── AccountRefused      401, 402, 403, or no key that can be sent. Nothing works until an admin acts
    ├── ServerFault         500. A read may be repeated; a paid order only within bounds
    ├── RequestRefused      400, 404, 422 and any other 4xx but 408. Repeating does not help
    │   └── JobNotFound     404 about a job
    └── AnswerLost          it was perhaps sent, and no readable answer came. A paid order is never repeated

The HTTP status decides, because the ``type`` of the gateway's own errors drifts between versions.
Reads and cancellations raise the same classes; no error of a read says anything about the video.
"""

# ruff: noqa: N818 -- the names say what happened

from __future__ import annotations

from typing import TYPE_CHECKING

from .wire import MAX_MESSAGE, clean_code, clean_text

if TYPE_CHECKING:
    from .wire import RateLimit


class GatewayError(Exception):
    """The gateway did not do what was asked."""

    def __init__(
        self,
        message: str = "",
        *,
        status: int | None = None,
        code: str = "",
        retry_after: float | None = None,
        rate_limit: RateLimit | None = None,
    ) -> None:
        self.message = message or (self.__doc__ or "")
        """The gateway's words, or ours where it had none; never HTML, never the API key."""
        self.status = status
        """The HTTP status, or None if no answer came."""
        self.code = code
        """The gateway's code, or empty. It drifts: show it, do not branch on it."""
        self.retry_after = retry_after
        """Seconds that the gateway asks us to wait, or None."""
        self.rate_limit = rate_limit
        """What the answer's headers said about the limit, or None."""
        super().__init__(self.message)


class NotAccepted(GatewayError):
    """The gateway did not accept this now. Nothing was started; it can be sent again."""


class AccountRefused(GatewayError):
    """The gateway refuses this site's API key or its wallet is empty. Nothing was started."""


class ServerFault(GatewayError):
    """The gateway failed inside."""


class RequestRefused(GatewayError):
    """The gateway refuses this request. Sending it again does not help."""


class JobNotFound(RequestRefused):
    """The gateway does not know this job."""


class AnswerLost(GatewayError):
    """No readable answer came. The gateway may or may not have accepted this."""


def error_class(status: int) -> type[GatewayError]:
    """The error that an HTTP status other than 2xx means."""
    if status in {429, 503}:
        return NotAccepted
    if status in {401, 402, 403}:
        return AccountRefused
    if status == 500:
        return ServerFault
    if 400 <= status < 500 and status != 408:
        return RequestRefused
    return AnswerLost


def error_words(payload: object, text: str) -> tuple[str, str]:
    """The ``(code, message)`` in an error's body, each empty if there is none.

    ``payload`` is the decoded JSON, or None; ``text`` is the body, of which only a plain sentence is taken. Seen:
    ``{"error": {message, type, code, param}}``, ``{"error": "text"}``, ``{"message": …}``, ``{"detail": …}``.
    """
    if not isinstance(payload, dict):
        return "", _plain(payload if isinstance(payload, str) else text)
    error = payload.get("error")
    source = error if isinstance(error, dict) else payload
    code = clean_code(source.get("code")) or clean_code(source.get("type"))
    candidates = (error, source.get("message"), source.get("detail"), _first_message(source.get("detail")))
    return code, next((words for value in candidates if (words := clean_text(value, MAX_MESSAGE))), "")


def _first_message(detail: object) -> object:
    """The words of a validation error: ``[{"loc": …, "msg": "…"}]``."""
    first = detail[0] if isinstance(detail, list) and detail else None
    return first.get("msg") if isinstance(first, dict) else None


def _plain(text: str) -> str:
    """A sentence stays; a page, or the remains of JSON, is not for people."""
    words = clean_text(text, MAX_MESSAGE)
    return "" if len(words) > 300 or "<" in words or words.startswith(("{", "[")) else words
