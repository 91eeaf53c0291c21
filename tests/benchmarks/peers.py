"""How others would wait for their videos: each asks the gateway for all of them at once, and says when it saw each end.

``sdk`` is the vendor's own client with its own wait loop: the asynchronous one, whose loop is that of the synchronous
one, so that thousands of videos need no thread each. ``patched`` is the same loop over a transport that waits for
Retry-After at a 429 and takes a 304 for "still pending". ``interval`` reads every 5 s, the longest waiting first, with
this app's client through its request budget.
"""

from __future__ import annotations

import asyncio
import heapq
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
from redis import Redis

from grokvideo_django.gateway import GatewayClient, GatewayError, VideoOrder
from grokvideo_django.polling.rate import RateGate

from .. import settings as test_settings
from . import videos
from .stage import Gateway

MODEL = "xai/grok-imagine-video"
INTERVAL_SECONDS = 5.0
THREADS = 64
CONNECTIONS = 16
"""Of the vendor's client. The gateway is near and answers at once; with more, answers would lie unread while this
process is busy, and as the loop pauses from when it has read one, a slow machine would spare it the gateway's 304.
"""
BEAT_SECONDS = 0.05

Told = Callable[[int], None]
"""Called with the number of videos seen so far."""
Seen = dict[str, float]
"""By job id, when its end was seen, in epoch seconds."""


class Shared(httpx.AsyncBaseTransport):
    """Some connections for all videos. A request waits for a free one in a line, as long as it takes.

    A pool of httpx wakes all that wait whenever one of them goes on. With 2,000 that takes several times the processor
    time, and with its usual 100 connections so much of it that none was connected before the client's time-out.
    """

    def __init__(self) -> None:
        verify, limits = httpx.create_ssl_context(), httpx.Limits(max_connections=1)
        self._all = [httpx.AsyncHTTPTransport(verify=verify, limits=limits) for _ in range(CONNECTIONS)]
        self._free: asyncio.LifoQueue[httpx.AsyncHTTPTransport] = asyncio.LifoQueue()
        for connection in self._all:
            self._free.put_nowait(connection)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        connection = await self._free.get()
        try:
            response = await connection.handle_async_request(request)
            await response.aread()
        finally:
            self._free.put_nowait(connection)
        return response

    async def aclose(self) -> None:
        for connection in self._all:
            await connection.aclose()


class Patient(Shared):
    """Waits for Retry-After at a 429 and sends again; a 304 is a job that is still pending."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        while (response := await super().handle_async_request(request)).status_code == 429:
            await asyncio.sleep(float(response.headers["retry-after"]))
        if response.status_code != 304:
            return response
        job_id = request.url.path.rpartition("/")[2]
        return httpx.Response(200, json={"id": job_id, "status": "processing"})


def sdk(gateway: Gateway, prompts: Sequence[str], told: Told, *, transport: type[Shared] = Shared) -> Seen:
    """The vendor's loop, with one client for all videos. One that it gives up on is missing from what is returned.

    Raises httpx.TransportError: what the loop loses to this machine is nobody's figure.
    """
    try:
        from aigateway import AsyncAIgateway  # noqa: PLC0415 - an extra
    except ImportError:
        sys.exit('The vendor\'s client is missing: pip install -e ".[vendor]"')
    root = f"http://{gateway.host}"
    seen: Seen = {}

    async def one(client: AsyncAIgateway, prompt: str) -> None:
        try:
            job = await client.jobs.create_video(**order(prompt))
            ended = await client.jobs.wait(job.id)
        except httpx.TransportError:
            raise
        except Exception:
            return  # nobody looks after this video any more
        if ended.status == "completed":
            seen[job.id] = time.time()
            told(len(seen))

    async def every() -> None:
        async with AsyncAIgateway("sk-aig-sandbox", root, root, transport=transport()) as client:
            ends = await asyncio.gather(*(one(client, prompt) for prompt in prompts), return_exceptions=True)
        for error in filter(None, ends):
            raise error

    asyncio.run(every())
    return seen


def patched(gateway: Gateway, prompts: Sequence[str], told: Told) -> Seen:
    """The vendor's loop over a patient transport."""
    return sdk(gateway, prompts, told, transport=Patient)


def interval(gateway: Gateway, prompts: Sequence[str], told: Told) -> Seen:
    """A fixed interval through our own gate."""
    with Redis.from_url(test_settings.REDIS_URL) as redis, ThreadPoolExecutor(THREADS) as pool:
        limit = videos.REQUESTS_PER_MINUTE
        gate = RateGate(redis, api_key=gateway.settings["API_KEY"], per_minute=limit)
        return Interval(gateway, gate, pool, told).run(prompts)


def order(prompt: str) -> dict[str, Any]:
    """The JSON of a POST."""
    return {"model": MODEL, "prompt": prompt, "duration": videos.DURATION_SECONDS}


class Interval:
    """One thread hands out what is due as far as the gate allows; others do the talking."""

    def __init__(self, gateway: Gateway, gate: RateGate, pool: ThreadPoolExecutor, told: Told) -> None:
        self._settings = gateway.settings
        self._gate = gate
        self._pool = pool
        self._told = told
        self._local = threading.local()
        self._lock = threading.Lock()
        self._to_post: list[str] = []
        self._to_read: list[tuple[float, str]] = []
        """When, by the monotonic clock, and which job."""
        self._seen: Seen = {}
        self._clients: list[GatewayClient] = []
        self._broken: list[BaseException] = []

    def run(self, prompts: Sequence[str]) -> Seen:
        try:
            return self._run(prompts)
        finally:
            for client in self._clients:
                client.close()

    def _run(self, prompts: Sequence[str]) -> Seen:
        self._to_post = list(reversed(prompts))
        while len(self._seen) < len(prompts) and not self._broken:
            self._hand_out("submit", len(self._to_post), self._next_post)
            now = time.monotonic()
            with self._lock:
                due = sum(at <= now for at, _job_id in self._to_read)
            self._hand_out("read", due, self._next_read)
            time.sleep(BEAT_SECONDS)
        if self._broken:
            raise self._broken[0]
        return self._seen

    def _hand_out(self, kind: Any, wanted: int, following: Callable[[], Callable[[], None]]) -> None:
        for _permit in range(self._gate.take(wanted, kind).granted):
            self._pool.submit(following()).add_done_callback(self._ended)

    def _ended(self, work: Future[None]) -> None:
        if (error := work.exception()) is not None:
            self._broken.append(error)

    def _next_post(self) -> Callable[[], None]:
        with self._lock:
            prompt = self._to_post.pop()
        return lambda: self._post(prompt)

    def _next_read(self) -> Callable[[], None]:
        with self._lock:
            _at, job_id = heapq.heappop(self._to_read)
        return lambda: self._read(job_id)

    def _post(self, prompt: str) -> None:
        try:
            job_id = self._client().create(video_order(prompt)).id
        except GatewayError as error:
            self._wait_if_limited(error)
            with self._lock:
                self._to_post.append(prompt)
        else:
            self._again(job_id)

    def _read(self, job_id: str) -> None:
        try:
            job = self._client().read(job_id)
        except GatewayError as error:
            self._wait_if_limited(error)
            self._again(job_id)
            return
        if job.state.is_pending:
            self._again(job_id)
        else:
            self._seen[job_id] = time.time()
            self._told(len(self._seen))

    def _again(self, job_id: str) -> None:
        with self._lock:
            heapq.heappush(self._to_read, (time.monotonic() + INTERVAL_SECONDS, job_id))

    def _wait_if_limited(self, error: GatewayError) -> None:
        if error.status != 429:
            raise error
        self._gate.block(error.retry_after or 1.0)

    def _client(self) -> GatewayClient:
        if not hasattr(self._local, "client"):
            base_url, api_key = self._settings["BASE_URL"], self._settings["API_KEY"]
            self._local.client = GatewayClient(base_url=base_url, api_key=api_key)
            self._clients.append(self._local.client)
        client: GatewayClient = self._local.client
        return client


def video_order(prompt: str) -> VideoOrder:
    return VideoOrder(
        model=MODEL,
        prompt=prompt,
        duration_seconds=videos.DURATION_SECONDS,
        aspect_ratio="16:9",
        resolution="480p",
        idempotency_key=prompt,
    )
