"""A sandbox of its own for each test, and a client that speaks to it over real HTTP."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from grokvideo_django.sandbox import Sandbox
from grokvideo_django.sandbox.clips import Clip, Factory
from grokvideo_django.sandbox.film import sketch

KEY = "sk-aig-tests"


class Api:
    """The documented calls, as short as a test wants them."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        headers = {"Authorization": f"Bearer {KEY}"}
        self.http = httpx.Client(base_url=sandbox.base_url, headers=headers, timeout=20, trust_env=False)
        self.anonymous = httpx.Client(timeout=20, trust_env=False)

    def close(self) -> None:
        self.http.close()
        self.anonymous.close()

    def post(self, prompt: str = "a fox", *, headers: dict[str, str] | None = None, **payload: Any) -> httpx.Response:
        body = {"model": "xai/grok-imagine-video", "prompt": prompt, "duration": 1, **payload}
        return self.http.post("/videos/generations", json=body, headers=headers)

    def job(self, prompt: str = "a fox", **payload: Any) -> str:
        answer = self.post(prompt, **payload)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def read(self, job_id: str) -> httpx.Response:
        return self.http.get(f"/jobs/{job_id}")

    def snapshot(self, job_id: str) -> dict[str, Any]:
        answer = self.read(job_id)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def cancel(self, job_id: str) -> httpx.Response:
        return self.http.delete(f"/jobs/{job_id}")

    def url(self, job_id: str) -> str:
        return str(self.snapshot(job_id)["result"]["url"])

    def media(self, job_id: str, **headers: str) -> httpx.Response:
        return self.anonymous.get(self.url(job_id), headers=headers)

    def control(self, command: str, **arguments: Any) -> httpx.Response:
        return self.anonymous.post(f"{self.sandbox.control_url}/{command}", json=arguments)

    def state(self) -> dict[str, Any]:
        return dict(self.anonymous.get(f"{self.sandbox.control_url}/state").json())


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Factory:
    """Real clips, each length and size rendered once in the whole run."""
    folder = tmp_path_factory.mktemp("clips")
    lock = threading.Lock()

    def copy(clip: Clip, path: Path) -> None:
        kept = folder / clip.digest(prompt=False)
        with lock:
            if not kept.exists():
                sketch(clip, kept)
        shutil.copy(kept, path)

    return copy


@pytest.fixture
def sandbox(clips: Factory) -> Iterator[Sandbox]:
    with Sandbox(clips=clips, read_interval=0) as running:
        yield running


@pytest.fixture
def api(sandbox: Sandbox) -> Iterator[Api]:
    client = Api(sandbox)
    yield client
    client.close()
