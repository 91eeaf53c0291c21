"""The HTTP client of the gateway: every call is one request, and nothing is ever repeated here."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

import httpx

from .errors import AccountRefused, AnswerLost, GatewayError, JobNotFound, NotAccepted, error_class, error_words
from .transport import DeadlineTransport
from .wire import JobState, clean_url, parse_job, parse_rate_limit, parse_retry_after

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

# With these not a byte of the request has left: raised while connecting, or while writing the headers down.
_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
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
        self._post_timeout = post_timeout
        self._kept = _http(read_timeout)

    def create(self, order: VideoOrder) -> Job:
        """Order a video, which costs money; the job returned has an id.

        Goes over a fresh connection, so that a stale one never looks like a lost answer. What may be done after each
        error is said in ``errors``. Repeated with the same order, the same ``Idempotency-Key`` goes along.
        """
        headers = {
            "Content-Type": "application/json",
            "Connection": "close",
            "Idempotency-Key": order.idempotency_key,
            "x-aig-tag": _header_text(order.tag)[:MAX_TAG].strip(),
        }
        with _http(self._post_timeout) as http:
            answer = self._exchange(http, "POST", "/videos/generations", order=order, headers=headers)
        self._check(answer)
        job = parse_job(answer.payload)
        if not job.id:
            raise self._error(AnswerLost, answer, "The gateway accepted the video, but its answer has no readable id.")
        return job

    def read(self, job_id: str) -> Job:
        """Where a job stands. 202, 304 and anything that cannot be read are a pending job, with what could be read."""
        answer = self._exchange(self._kept, "GET", f"/jobs/{_segment(job_id)}")
        if answer.status != 304:
            self._check(answer, missing=JobNotFound)
        job = parse_job(answer.payload, job_id=job_id)
        if answer.status == 202 and not job.state.is_pending:
            return replace(job, state=JobState.PENDING)
        return job

    def cancel(self, job_id: str) -> Job:
        """Ask for a queued job to be canceled. Confirmed only if the job returned is CANCELED."""
        answer = self._exchange(self._kept, "DELETE", f"/jobs/{_segment(job_id)}")
        self._check(answer, missing=JobNotFound)
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
        http: httpx.Client,
        method: str,
        path: str,
        *,
        order: VideoOrder | None = None,
        headers: Mapping[str, str] = _NONE,
    ) -> _Answer:
        """Send one request and read what comes, whatever its status."""
        if _header_text(self._api_key) != self._api_key or not self._api_key:
            raise AccountRefused("The API key is empty, or has characters that cannot be sent.")
        sent = {"Authorization": f"Bearer {self._api_key}"} | {name: text for name, text in headers.items() if text}
        try:
            content = json.dumps(order.payload()) if order else None
            request = http.build_request(method, self._base_url + path, content=content, headers=sent)
        except (httpx.InvalidURL, ValueError) as error:
            raise NotAccepted(f"This cannot be sent to the gateway: {self._redacted(str(error))}") from None
        try:
            response = http.send(request, stream=True)
        except _NEVER_SENT as error:
            raise NotAccepted(f"The gateway cannot be reached: {self._reason(error)}") from error
        except httpx.TransportError as error:
            raise AnswerLost(f"The gateway's answer was lost: {self._reason(error)}") from error
        with closing(response):
            return self._received(response)

    def _received(self, response: httpx.Response) -> _Answer:
        now = datetime.now(UTC)
        rate_limit = parse_rate_limit(response.headers, now=now)
        self.last_rate_limit = rate_limit or self.last_rate_limit
        answer = _Answer(
            status=response.status_code,
            retry_after=parse_retry_after(response.headers.get("retry-after"), now=now),
            rate_limit=rate_limit,
        )
        try:
            body = _body(response)
        except (httpx.TransportError, _UnreadableBodyError) as error:
            if not response.is_success:  # the status alone says what happened
                return answer
            raise self._error(AnswerLost, answer, f"The gateway's answer was lost: {self._reason(error)}") from error
        return replace(answer, text=self._redacted(body), payload=self._decoded(body))

    def _check(self, answer: _Answer, *, missing: type[GatewayError] | None = None) -> None:
        """Raise what a status other than 2xx means; ``missing`` is what a 404 means here."""
        if 200 <= answer.status < 300:
            return
        kind = missing if missing and answer.status == 404 else error_class(answer.status)
        raise self._error(kind, answer, f"The gateway answered {answer.status} without saying why.")

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


class _UnreadableBodyError(Exception):
    """Too long, or encoded although nobody asked for it."""


def _http(seconds: float) -> httpx.Client:
    return httpx.Client(
        transport=DeadlineTransport(),
        timeout=httpx.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS)),
        headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "grokvideo-django"},
        follow_redirects=False,
        trust_env=False,
    )


def _body(response: httpx.Response) -> str:
    """The whole body as text, at most a megabyte of it."""
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise _UnreadableBodyError("it is encoded")
    body = bytearray()
    for piece in response.iter_raw():
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


def _header_text(text: str) -> str:
    """What a header can carry of it."""
    return "".join(char for char in text if char.isascii() and char.isprintable())
