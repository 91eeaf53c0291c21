"""The order in which things start, and what each is told."""

from __future__ import annotations

import os
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from . import ports
from .processes import Child, Crew
from .redis_server import Redis

MANAGE = Path(__file__).resolve().parent.parent / "manage.py"
SANDBOX_PORT = 8787
READY_SECONDS = 60
SANDBOX_KEY = "sk-aig-demo"

# Never through a proxy: it is this machine.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Stage:
    """One demo: its folder, its ports, and the environment of its processes."""

    folder: Path
    site_port: int
    sandbox_port: int | None
    redis: Redis

    @classmethod
    def plan(cls, folder: Path, *, port: int, real: bool) -> Stage:
        """Choose free ports.

        Raises:
            NoRedis: there is no Redis to start.
        """
        redis = Redis.plan(folder / "redis")
        return cls(folder, ports.from_(port), None if real else ports.from_(SANDBOX_PORT), redis)

    @property
    def url(self) -> str:
        """The site's address."""
        return f"http://{ports.HOST}:{self.site_port}/"

    @property
    def environment(self) -> Mapping[str, str]:
        """What ``example/settings.py`` reads."""
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "example.settings",
            "GROKVIDEO_DEMO_DIR": str(self.folder),
            "REDIS_URL": self.redis.url,
            "PYTHONUNBUFFERED": "1",
            "DJANGO_RUNSERVER_HIDE_WARNING": "true",
            "OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES",  # macOS ends forked RQ jobs otherwise
        }
        environment.pop("GROKVIDEO_SANDBOX", None)
        if self.sandbox_port is not None:
            environment["AIGATEWAY_API_KEY"] = SANDBOX_KEY
            environment["GROKVIDEO_SANDBOX"] = f"{ports.HOST}:{self.sandbox_port}"
        return environment

    def raise_curtain(self, crew: Crew) -> None:
        """Start everything, and return when the site answers."""
        crew.start("redis", self.redis.command, self.environment, words=self.redis.configuration)
        if self.sandbox_port is not None:
            where = (f"--port={self.sandbox_port}", f"--state={self.folder / 'sandbox'}")
            self._manage(crew, "sandbox", "grokvideo_sandbox", *where)
        crew.finish(self._manage(crew, "content", "demo_content"))
        crew.until(
            lambda: all(ports.is_open(port) for port in (self.redis.port, self.sandbox_port) if port), seconds=60
        )
        self._manage(crew, "worker", "grokvideo_worker", "--grace=1")
        self._manage(crew, "site", "runserver", "--noreload", f"{ports.HOST}:{self.site_port}")
        crew.until(lambda: answers(f"{self.url}admin/login/"), seconds=READY_SECONDS)

    def _manage(self, crew: Crew, name: str, *arguments: str) -> Child:
        return crew.start(name, [sys.executable, str(MANAGE), *arguments], self.environment)


def answers(url: str) -> bool:
    """Whether a page is there."""
    try:
        with _opener.open(url, timeout=10) as response:
            return bool(response.status == 200)
    except OSError:  # refused, or an error page
        return False


def base_folder(*, real: bool) -> Path:
    """Where the database and the files are kept; what was paid for apart from what was not."""
    base = Path(os.environ.get("GROKVIDEO_DEMO_DIR") or MANAGE.parent / "var" / "demo").resolve()
    return base.with_name(f"{base.name}-real") if real else base
