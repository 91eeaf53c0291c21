"""The sandbox as Python sees it: a context manager that serves on a thread of this process."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from grokvideo_django.sandbox.api import answer
from grokvideo_django.sandbox.clips import Factory, Studio
from grokvideo_django.sandbox.clock import Clock
from grokvideo_django.sandbox.control import state
from grokvideo_django.sandbox.jobs import Accepted, Job, JobStore
from grokvideo_django.sandbox.server import Server
from grokvideo_django.sandbox.world import Options, World

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

    from grokvideo_django.sandbox.faults import Fault
    from grokvideo_django.sandbox.wire import Request

__all__ = ["Accepted", "Sandbox"]


class Sandbox:
    """A local gateway. ``with Sandbox() as sandbox:`` serves until the end of the block.

    The keyword arguments are those of :class:`~grokvideo_django.sandbox.world.Options`; besides, *state* is a folder
    in which jobs and clips outlive a restart, *fast_clips* renders plain clips in a third of the time, *clips* renders
    them in any other way, and *seed* makes the latencies repeatable.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        key: str | None = None,
        latency: tuple[float, float] = (0.0, 0.0),
        requests_per_minute: int = 0,
        read_interval: float = 3.0,
        link_seconds: float = 24 * 3600,
        file_seconds: float = 7 * 24 * 3600,
        idempotent: bool = False,
        wallet_cents: float | None = None,
        state: Path | str | None = None,
        fast_clips: bool = False,
        clips: Factory | None = None,
        seed: int | None = None,
    ) -> None:
        """Opens no socket; raises ``MissingExtraError`` where PyAV is needed and missing."""
        folder = None if state is None else Path(state)
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        options = Options(
            key=key,
            latency=latency,
            requests_per_minute=requests_per_minute,
            read_interval=read_interval,
            link_seconds=link_seconds,
            file_seconds=file_seconds,
            idempotent=idempotent,
            wallet_cents=wallet_cents,
        )
        jobs = JobStore(folder / "jobs.jsonl" if folder else None)
        studio = Studio(folder / "clips" if folder else None, clips, fast=fast_clips)
        self.world = World(options, jobs, studio, Clock(), seed=seed)
        self._server = Server(host, port, self._answer)

    # -- life

    def start(self) -> Self:
        """Listen and serve. Once: a stopped sandbox stays stopped."""
        self._server.open()
        return self

    def stop(self) -> None:
        """Cut every connection, end every thread, remove temporary files."""
        self.world.stopping.set()
        self.world.studio.cancel()
        self._server.close()
        self.world.studio.close()

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    @contextmanager
    def offline(self) -> Iterator[None]:
        """Within the block every connection is refused; afterwards the same port answers again."""
        self._server.close()
        try:
            yield
        finally:
            self._server.open()

    def _answer(self, request: Request) -> Any:
        return answer(self.world, request)

    # -- where it is

    @property
    def media_host(self) -> str:
        """For ``MEDIA_HOSTS``: ``127.0.0.1:8787``."""
        host = self._server.host
        return f"{f'[{host}]' if ':' in host else host}:{self._server.port}"

    @property
    def base_url(self) -> str:
        """For ``BASE_URL``: ``http://127.0.0.1:8787/v1``."""
        return f"http://{self.media_host}/v1"

    @property
    def control_url(self) -> str:
        """For other processes: ``http://127.0.0.1:8787/sandbox``."""
        return f"http://{self.media_host}/sandbox"

    @property
    def key(self) -> str:
        """A key that works here."""
        return self.world.options.key or "sk-aig-sandbox"

    @property
    def settings(self) -> dict[str, Any]:
        """What to put into ``GROKVIDEO``."""
        return {
            "API_KEY": self.key,
            "BASE_URL": self.base_url,
            "MEDIA_HOSTS": [self.media_host],
            "ALLOW_PRIVATE_NETWORK": True,
        }

    # -- what happened

    @property
    def options(self) -> Options:
        """Can be changed while it runs."""
        return self.world.options

    @property
    def jobs(self) -> dict[str, Job]:
        """Every job by its id, oldest first."""
        return {job.id: job for job in self.world.jobs.all()}

    @property
    def accepted(self) -> list[Accepted]:
        """Every accepted POST, oldest first."""
        return [job.accepted for job in self.world.jobs.all()]

    @property
    def answers(self) -> Mapping[str, int]:
        """How often what was answered: ``answers["create 202"]``, ``["read 304"]``, ``["media hangup"]``."""
        return self.world.answers

    @property
    def leaked_keys(self) -> int:
        """How many media requests carried a key. It has to be 0."""
        return self.world.leaked_keys

    @property
    def rate_limited(self) -> int:
        """How many requests the rate limit refused."""
        return sum(self.world.limit.refused.values())

    @property
    def peak_requests_per_minute(self) -> int:
        """The most requests that one key made in any 60 s."""
        return max(self.world.limit.peak.values(), default=0)

    def state(self) -> dict[str, Any]:
        """What ``GET /sandbox/state`` answers."""
        return state(self.world)

    def status(self, job_id: str) -> str:
        """A job's status now; KeyError for an unknown one."""
        return self.jobs[job_id].status(self.world.clock.now())

    # -- what shall happen

    def behave(self, word: str, *, times: int | None = None, match: str = "") -> Fault:
        """Let *word* strike the next *times* requests of its kind (None: all of them, unless the word ends in ``*N``).

        *match* restricts it to jobs whose prompt or id contains this. Raises ``UnknownWordError``, listing all words.
        """
        return self.world.script.behave(word, times=times, match=match)

    def well_behaved(self) -> None:
        """Drop every queued behaviour; what a prompt's own markers say stays."""
        self.world.script.clear()

    def advance(self, seconds: float) -> None:
        """Let time pass for jobs, links, files and limits."""
        self.world.clock.advance(seconds)

    def finish(self, job_id: str | None = None) -> None:
        """End a job now, as it would have ended; without an id, all of them. KeyError for an unknown one."""
        jobs = self.world.jobs.all() if job_id is None else [self.jobs[job_id]]
        self.world.jobs.finish(jobs, self.world.clock.now())

    def reset(self) -> None:
        """Back to the beginning: no jobs, behaviours or counts, the first options, and the system's time."""
        self.world.reset()
