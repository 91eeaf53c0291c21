"""``manage.py grokvideo_worker``: RQ's workers and its cron in one command, kept alive."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from grokvideo_django import queue, worker


def positive(text: str) -> int:
    """A number of workers."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a whole number above zero")
    return int(text)


class Command(BaseCommand):
    """Runs until SIGINT or SIGTERM."""

    help = (
        "Run RQ's workers on the site's queue and rqcron beside them, and start each again when it dies. The first "
        "SIGINT or SIGTERM lets running jobs end; a second one, or the end of the grace, ends them. "
        "For sites with no supervisor of their own."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """How many, and how patient."""
        parser.add_argument("--workers", type=positive, default=1, metavar="N", help="how many workers; default 1")
        parser.add_argument(
            "--grace",
            type=float,
            default=worker.GRACE_SECONDS,
            metavar="SECONDS",
            help=f"how long running jobs may take to end when it is stopped; default {worker.GRACE_SECONDS:g}",
        )

    def handle(self, *, workers: int, grace: float, verbosity: int, pythonpath: str | None, **_options: Any) -> None:
        """Supervise."""
        manage = worker.manage_command(sys.argv, "grokvideo_worker")
        programs = worker.programs(workers=workers, manage=manage, verbosity=verbosity)
        environment = self._environment(pythonpath)
        worker.Supervisor(
            children=[worker.Child(program, environment=environment) for program in programs],
            say=self._say,
            trouble=queue.trouble,
            grace_seconds=grace,
        ).run()

    def _environment(self, pythonpath: str | None) -> dict[str, str]:
        """Ours, with what the command line said of settings and paths."""
        module = getattr(settings, "SETTINGS_MODULE", None)
        if not module:
            raise CommandError("The workers need DJANGO_SETTINGS_MODULE: they cannot see settings.configure().")
        paths = [path for path in (pythonpath, os.environ.get("PYTHONPATH")) if path]
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": module,
            **({"PYTHONPATH": os.pathsep.join(paths)} if paths else {}),
        }

    def _say(self, words: str) -> None:
        self.stdout.write(words)
        self.stdout.flush()
