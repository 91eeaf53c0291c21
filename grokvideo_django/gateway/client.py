"""The HTTP client of the gateway: every call is one request, and nothing is ever repeated here."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

import httpcore
import httpx

from .errors import AccountRefused, AnswerLost, GatewayError, JobNotFound, NotAccepted, error_class, error_words
from .transport import NEVER_SENT, TRANSPORT_ERRORS, Connection
from .usage import TagUsage, parse_usage
from .wire import JobState, clean_url, other_job, parse_date, parse_job, parse_rate_limit, parse_retry_after

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from .wire import Job, RateLimit, VideoOrder

CONNECT_SECONDS = 10.0
MAX_ANSWER_BYTES = 1024 * 1024
MAX_TAG = 64
SIGNED_SECONDS = (60, 604_800)
# Shorter is no secret, and replacing it would garble whole answers.
_MIN_SECRET = 8
_NONE: Mapping[str, str] = MappingProxyType({})

_USUAL_HEADERS = (
    (b"Accept", b"application/json"),
    (b"Accept-Encoding", b"identity"),
    (b"User-Agent", b"grokvideo-django"),
)


class GatewayClient:
    """One site's access to the gateway, for one thread. Close it, or use it as a context manager.

    ``base_url`` ends in the API's version (``https://api.aigateway.sh/v1``), with or without a slash. ``read_timeout``
    and ``post_timeout`` are seconds of wall clock for a whole exchange. Every method raises a ``GatewayError`` when it
    fails. ``last_rate_limit`` is the newest limit that any answer reported. The API key goes to ``base_url`` only: no
    redirect is followed, and no proxy or netrc of the environment is used.
    """

    def __init__(self, *, base_url: str, api_key: str, read_timeout: float = 20, post_timeout: float = 60) -> None:
        self.last_rate_limit: RateLimit | None = None
        self._base_url = base_url.strip().rstrip("/")
        self._api_key = api_key.strip()
        self._has_key = bool(self._api_key) and _header_text(self._api_key) == self._api_key
        self._post_timeout = post_timeout
        self._kept = Connection(read_timeout, connect_seconds=CONNECT_SECONDS)

    def create(self, order: VideoOrder) -> Job:
        """Order a video, which costs money; the job returned has an id.

        Goes over a fresh connection, so that a stale one never looks like a lost answer. What may be done after each
        error is said in ``errors``. Repeated with the same order, the same ``Idempotency-Key`` goes along.
        """
        headers = {
            "Content-Type": "application/json",
            "Connection": "close",
            "Idempotency-Key": order.idempotency_key,
            "x-aig-tag": sent_tag(order.tag),
        }
        fresh = Connection(self._post_timeout, connect_seconds=CONNECT_SECONDS)
        try:
            answer = self._exchange(fresh, "POST", "/videos/generations", order=order, headers=headers)
        finally:
            fresh.close()
        self._check(answer)
        job = parse_job(answer.payload)
        if not job.id:
            raise self._error(AnswerLost, answer, "The gateway's answer has no readable id.")
        return job

    def read(self, job_id: str) -> Job:
        """Where a job stands. 202, 304 and anything that cannot be read are a pending job, with what could be read."""
        answer = self._exchange(self._kept, "GET", f"/jobs/{_segment(job_id)}")
        if answer.status != 304:
            self._check(answer, missing=JobNotFound)
        self._check_job(answer, job_id)
        job = parse_job(answer.payload, job_id=job_id)
        if answer.status == 202 and not job.state.is_pending:
            return replace(job, state=JobState.PENDING)
        return job

    def cancel(self, job_id: str) -> Job:
        """Ask for a queued job to be canceled. Confirmed only if the job returned is CANCELED."""
        answer = self._exchange(self._kept, "DELETE", f"/jobs/{_segment(job_id)}")
        self._check(answer, missing=JobNotFound)
        self._check_job(answer, job_id)
        return parse_job(answer.payload, job_id=job_id)

    def signed_url(self, job_id: str, filename: str, *, expires_in: int = 3600) -> str:
        """A URL of a job's file that works without the key for ``expires_in`` seconds (60 to 604 800)."""
        shortest, longest = SIGNED_SECONDS
        seconds = min(max(expires_in, shortest), longest)
        path = f"/files/jobs/{_segment(job_id)}/{_segment(filename)}/signed?expires_in={seconds}"
        answer = self._exchange(self._kept, "GET", path)
        self._check(answer, missing=JobNotFound)
        url = clean_url(answer.payload.get("url")) if isinstance(answer.payload, dict) else ""
        if not url:
            raise self._error(AnswerLost, answer, "The gateway gave no signed URL.")
        return url

    def balance(self) -> object:
        """The decoded JSON of the wallet's balance; its shape is not documented."""
        answer = self._exchange(self._kept, "GET", "/balance")
        self._check(answer)
        if answer.payload is None:
            raise self._error(AnswerLost, answer, "The gateway's balance cannot be read.")
        return answer.payload

    def usage(self, month: str) -> tuple[TagUsage, ...]:
        """What each tag cost in a month (``YYYY-MM``, UTC). What cannot be read whole is an ``AnswerLost``."""
        answer = self._exchange(self._kept, "GET", f"/usage/by-tag?month={quote(month, safe='')}")
        self._check(answer)
        found = parse_usage(answer.payload, month=month)
        if found.problem:
            raise self._error(AnswerLost, answer, f"The gateway's usage cannot be read: {found.problem}.")
        return found.rows

    def close(self) -> None:
        """Close the kept connection."""
        self._kept.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _exchange(
        self,
        connection: Connection,
        method: str,
        path: str,
        *,
        order: VideoOrder | None = None,
        headers: Mapping[str, str] = _NONE,
    ) -> _Answer:
        """Send one request and read what comes, whatever its status. ``path`` is quoted."""
        if not self._has_key:
            raise AccountRefused("The API key is empty, or has characters that cannot be sent.")
        try:
            content = json.dumps(order.payload()).encode() if order else None
            sent = self._headers(headers, content)
            url = self._url(path)
        except (httpx.InvalidURL, ValueError) as error:
            raise NotAccepted(f"This cannot be sent to the gateway: {self._redacted(str(error))}") from None
        try:
            with connection.exchange(method, url, sent, content) as response:
                return self._received(response)
        except NEVER_SENT as error:
            raise NotAccepted(f"The gateway cannot be reached: {self._reason(error)}") from error
        except TRANSPORT_ERRORS as error:
            raise AnswerLost(f"The gateway's answer was lost: {self._reason(error)}") from error

    @cached_property
    def _base(self) -> httpx.URL:
        return httpx.URL(self._base_url)

    def _url(self, path: str) -> httpcore.URL:
        base = self._base
        target = base.raw_path.rstrip(b"/") + path.encode("ascii")
        return httpcore.URL(scheme=base.raw_scheme, host=base.raw_host, port=base.port, target=target)

    def _headers(self, own: Mapping[str, str], content: bytes | None) -> list[tuple[bytes, bytes]]:
        sent = [
            (b"Host", self._base.netloc),
            *_USUAL_HEADERS,
            (b"Authorization", f"Bearer {self._api_key}".encode("ascii")),
            *((name.encode("ascii"), text.encode("ascii")) for name, text in own.items() if text),
        ]
        if content is not None:
            sent.append((b"Content-Length", b"%d" % len(content)))
        return sent

    def _received(self, response: httpcore.Response) -> _Answer:
        headers = _headers_of(response)
        now = parse_date(headers.get("date")) or datetime.now(UTC)  # our clock may be wrong, and a pause is everybody's
        rate_limit = parse_rate_limit(headers, now=now)
        self.last_rate_limit = rate_limit or self.last_rate_limit
        answer = _Answer(
            status=response.status,
            retry_after=parse_retry_after(headers.get("retry-after"), now=now),
            rate_limit=rate_limit,
        )
        try:
            body = _body(response, headers.get("content-encoding", "identity"))
        except (*TRANSPORT_ERRORS, _UnreadableBodyError) as error:
            if not answer.is_success:  # the status alone says what happened
                return answer
            raise self._error(AnswerLost, answer, f"The gateway's answer was lost: {self._reason(error)}") from error
        return replace(answer, text=self._redacted(body), payload=self._decoded(body))

    def _check(self, answer: _Answer, *, missing: type[GatewayError] | None = None) -> None:
        """Raise what a status other than 2xx means; ``missing`` is what a 404 means here."""
        if answer.is_success:
            return
        kind = missing if missing and answer.status == 404 else error_class(answer.status)
        raise self._error(kind, answer, f"The gateway answered {answer.status} without saying why.")

    def _check_job(self, answer: _Answer, job_id: str) -> None:
        """Raise for an answer to somebody else's question: its video, or its end, is not ours."""
        if other := other_job(answer.payload, job_id=job_id):
            raise self._error(AnswerLost, answer, f"The gateway answered about another job, {other}.")

    def _error(self, kind: type[GatewayError], answer: _Answer, otherwise: str) -> GatewayError:
        """An error in the gateway's own words; in ours where it has none, or did not mean to report an error."""
        code, words = error_words(answer.payload, answer.text)
        if answer.status < 400 and words:
            words = f"{otherwise} It said: {words}"
        return kind(
            words or otherwise,
            status=answer.status,
            code=code,
            retry_after=answer.retry_after,
            rate_limit=answer.rate_limit,
        )

    def _decoded(self, body: str) -> object:
        """The JSON of an answer without our key, however it is escaped there; None if it is no JSON."""
        try:
            payload: object = json.loads(body)
            if self._api_key not in body and "\\" not in body:  # nor can it be there in other words
                return payload
            written = json.dumps(payload)
            key = json.dumps(self._api_key)[1:-1]
            return json.loads(self._redacted(written, key)) if key in written else payload
        except (ValueError, RecursionError):
            return None

    def _redacted(self, text: str, key: str = "") -> str:
        key = key or self._api_key
        return text.replace(key, "[key]") if len(key) >= _MIN_SECRET else text

    def _reason(self, error: Exception) -> str:
        return self._redacted(str(error) or type(error).__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    status: int
    retry_after: float | None
    rate_limit: RateLimit | None
    text: str = ""
    payload: object = None
    """Decoded JSON; None if there is none."""

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300


class _UnreadableBodyError(Exception):
    """Too long, or encoded although nobody asked for it."""


def _headers_of(response: httpcore.Response) -> dict[str, str]:
    """By name in lower case; what comes twice is put together."""
    found: dict[str, str] = {}
    for name, value in response.headers:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def _body(response: httpcore.Response, encoding: str) -> str:
    """The whole body as text, at most a megabyte of it."""
    if encoding.lower() != "identity":
        raise _UnreadableBodyError("it is encoded")
    body = bytearray()
    for piece in response.iter_stream():
        body += piece
        if len(body) > MAX_ANSWER_BYTES:
            raise _UnreadableBodyError("it is too long")
    return body.decode("utf-8-sig", errors="replace")


def _segment(text: str) -> str:
    """One segment of a path, whatever is in it: ids come from outside, and ``..`` would lead to another resource."""
    if not text.strip():
        raise JobNotFound
    quoted = quote(text, safe="", errors="replace")
    return quoted.replace(".", "%2E") if set(quoted) == {"."} else quoted


def sent_tag(text: str) -> str:
    """A tag as it is really sent: printable ASCII, at most 64 characters."""
    return _header_text(text)[:MAX_TAG].strip()


def _header_text(text: str) -> str:
    """What a header can carry of it."""
    return "".join(char for char in text if char.isascii() and char.isprintable())
