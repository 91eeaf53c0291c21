"""A gateway that answers every request with the same pending job, for as little processor time as Python can.

``python -m tests.benchmarks.canned`` prints its port and serves until its standard input is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from pathlib import Path
from typing import Any

BODY = b'{"id":"job_canned","status":"processing","model":"xai/grok-imagine-video","created":1764300000}'
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    b"x-ratelimit-limit-requests: 600000\r\nx-ratelimit-remaining-requests: 599999\r\n"
    b"x-ratelimit-reset-requests: 60\r\n"
    b"\r\n%s" % (len(BODY), BODY)
)


class Canned:
    """The server, in a process of its own."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        process = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", "tests.benchmarks.canned"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=Path(__file__).parents[2],
            )
        )
        stack.callback(process.terminate)
        assert process.stdout is not None
        self.host = f"127.0.0.1:{int(process.stdout.readline())}"
        self._accepted = 0

    @property
    def settings(self) -> dict[str, Any]:
        return {"API_KEY": "sk-aig-canned", "BASE_URL": f"http://{self.host}/v1"}

    def accept(self, prompt: str = "A fox") -> str:
        """The id of a job: any will do."""
        self._accepted += 1
        return f"canned-{self._accepted}"


class _Peer(asyncio.Protocol):
    def __init__(self) -> None:
        self._left = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *requests, self._left = (self._left + data).split(b"\r\n\r\n")
        self._transport.write(ANSWER * len(requests))


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Peer, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve())
