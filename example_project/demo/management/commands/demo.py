"""``manage.py demo``: everything, with nothing installed beforehand."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from demo import money, state
from demo.people import ADMIN, EDITOR, PASSWORD
from demo.processes import ChildEnded, Crew, Stopped
from demo.redis_server import NoRedis
from demo.stage import Stage, base_folder


class Command(BaseCommand):
    """Starts Redis, the sandbox, a worker and the site; stops them on Ctrl-C."""

    help = "Start the whole demo: Redis, a local gateway, a worker and the site, with users and articles."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """All optional."""
        parser.add_argument("--port", type=int, default=8000, help="of the site, or the next free one; default 8000")
        parser.add_argument("--sandbox", action="store_true", help="ignore AIGATEWAY_API_KEY and spend nothing")
        parser.add_argument(
            "--yes-spend-real-money", action="store_true", help="with AIGATEWAY_API_KEY set: do not ask"
        )
        parser.add_argument("--no-input", "--noinput", action="store_true", help="ask nothing")

    def handle(self, **options: Any) -> None:
        """Run until Ctrl-C, SIGTERM, or the end of any process."""
        real = bool(os.environ.get("AIGATEWAY_API_KEY")) and not options["sandbox"]
        try:
            if real:
                money.ask(
                    interactive=sys.stdin.isatty() and not options["no_input"],
                    agreed=options["yes_spend_real_money"],
                    say=self.stdout.write,
                    read=input,
                )
            with state.folder(base_folder(real=real)) as folder, Crew() as crew:
                turn = state.Turn()
                crew.until(turn.take)
                stage = Stage.plan(folder, port=options["port"], real=real)
                stage.raise_curtain(crew)
                turn.give_up()
                self._announce(stage)
                crew.until(lambda: False)
        except Stopped:
            self.stdout.write("Everything has stopped.")
        except (money.Refused, NoRedis, ChildEnded, TimeoutError) as error:
            raise CommandError(str(error)) from error

    def _announce(self, stage: Stage) -> None:
        users = f"user {ADMIN} · password {PASSWORD} · or user {EDITOR}, same password"
        line = f"Ready: {stage.url}admin/ · {users} · Ctrl-C stops everything"
        self.stdout.write(f"\n{self.style.SUCCESS(line)}\n")
        self.stdout.flush()
