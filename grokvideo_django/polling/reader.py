"""Asking about many jobs at once: threads that only speak HTTP and never touch the database.

Threads with one connection each outrun one async client with 100 connections by far, because its pool
rescans itself at every request.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from .. import crash
from ..gateway import GatewayClient, Job, RateLimit
from ..models import VideoRequest

MAX_THREADS: Final = 64
BEAT_SECONDS: Final = 1.0
CANCEL_SENT: Final = "cancel sent"
"""In ``gateway_status``: a DELETE went out and was not confirmed, so the job is read before another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the gateway said about one row: a job, or an error."""

    row: VideoRequest
    was_cancel: bool
    job: Job | None = None
    error: Exception | None = None
    limit: RateLimit | None = None
    """As its headers say, or the newest answer's to the same thread."""


def wants_cancel(row: VideoRequest) -> bool:
    """Whether a DELETE is to be sent instead of a read."""
    return (
        row.cancel_requested_at is not None
        and row.cancel_refused_at is None
        and row.status == VideoRequest.Status.SUBMITTED
        and row.gateway_status != CANCEL_SENT
    )


class Reader:
    """Clients that are kept for the length of a tick."""

    def __init__(self, new_client: Callable[[], GatewayClient]) -> None:
        """``new_client`` makes a client for one thread."""
        self._new_client = new_client
        self._local = threading.local()
        self._clients: list[GatewayClient] = []
        self._pool = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="grokvideo-read")

    def __enter__(self) -> Self:
        """Usable as it is."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self._pool.shutdown()
        for client in self._clients:
            client.close()

    def ask(self, rows: Sequence[VideoRequest], *, beat: Callable[[], object]) -> list[Answer]:
        """One answer a row, in their order. ``beat`` is called about once a second while they are waited for."""
        answers = [self._pool.submit(self._ask_one, row) for row in rows]
        waiting: set[Future[Answer]] = set(answers)
        while waiting:
            _done, waiting = wait(waiting, timeout=BEAT_SECONDS)
            if waiting:
                beat()
        return [answer.result() for answer in answers]

    def balance(self, *, beat: Callable[[], object]) -> object:
        """What the gateway says of the wallet, while ``beat`` is called about once a second.

        Raises:
            GatewayError: it cannot be read.
        """
        answer = self._pool.submit(lambda: self._client().balance())
        while not wait([answer], timeout=BEAT_SECONDS).done:
            beat()
        return answer.result()

    def _client(self) -> GatewayClient:
        client: GatewayClient | None = getattr(self._local, "client", None)
        if client is None:
            client = self._local.client = self._new_client()
            self._clients.append(client)
        return client

    def _ask_one(self, row: VideoRequest) -> Answer:
        cancel = wants_cancel(row)
        job_id = row.gateway_job_id or ""
        try:
            client = self._client()
            job = _cancel(client, job_id) if cancel else client.read(job_id)
        except Exception as error:  # noqa: BLE001 - one row that raises must not stop the others
            return Answer(row=row, was_cancel=cancel, error=error)
        return Answer(row=row, was_cancel=cancel, job=job, limit=client.last_rate_limit)


def _cancel(client: GatewayClient, job_id: str) -> Job:
    crash.point("tick.before_cancel")
    try:
        return client.cancel(job_id)
    finally:
        crash.point("tick.after_cancel")
