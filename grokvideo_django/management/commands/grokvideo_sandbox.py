"""``manage.py grokvideo_sandbox``: the local gateway, in a process of its own."""

from __future__ import annotations

import signal
import threading
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from grokvideo_django.sandbox import Sandbox

NAMES = (
    "host",
    "port",
    "key",
    "latency",
    "requests_per_minute",
    "read_interval",
    "link_seconds",
    "wallet_cents",
    "idempotent",
    "fast_clips",
    "state",
)


def latency(text: str) -> tuple[float, float]:
    """``MEDIAN[,SIGMA]``: seconds, and the sigma of the log-normal distribution around them."""
    median, _, sigma = text.partition(",")
    try:
        found = float(median), float(sigma or 0)
    except ValueError:
        raise ArgumentTypeError("write MEDIAN or MEDIAN,SIGMA, as in 6,0.4") from None
    if min(found) < 0:
        raise ArgumentTypeError("neither may be negative")
    return found


class Command(BaseCommand):
    """Serves until SIGINT or SIGTERM."""

    help = "Run a local gateway that behaves like the real one and renders real clips. No key, no cost."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The options, with defaults that suit a demonstration."""
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8787, help="0: any free port")
        parser.add_argument("--key", help="the only key that is valid; default: any that begins with sk-aig-")
        parser.add_argument(
            "--latency",
            type=latency,
            default=(6.0, 0.4),
            metavar="MEDIAN[,SIGMA]",
            help="seconds to completion; default 6,0.4",
        )
        parser.add_argument("--requests-per-minute", type=int, default=600, help="per key; 0: no limit; default 600")
        parser.add_argument(
            "--read-interval", type=float, default=3.0, help="seconds within which the same job answers 304; default 3"
        )
        parser.add_argument(
            "--link-seconds", type=float, default=86400, help="how long a result URL works; default 86400"
        )
        parser.add_argument("--wallet-cents", type=float, help="what is in the wallet; default: endless")
        parser.add_argument("--idempotent", action="store_true", help="honour Idempotency-Key; default: only record it")
        parser.add_argument("--fast-clips", action="store_true", help="render plain clips, quickly")
        parser.add_argument(
            "--state", metavar="DIR", help="keep jobs and clips there; default: nothing outlives the process"
        )

    def handle(self, **options: Any) -> None:
        """Start, say where, and wait."""
        stopped = threading.Event()
        try:
            sandbox = Sandbox(**{name: options[name] for name in NAMES})
            sandbox.start()
        except (ImportError, OSError) as error:
            raise CommandError(str(error)) from error
        before = {number: signal.signal(number, lambda *_: stopped.set()) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            self.stdout.write(f"The sandbox answers at {sandbox.base_url} (control: {sandbox.control_url}/state)")
            self.stdout.write("Paste into GROKVIDEO:")
            for name, value in sandbox.settings.items():
                self.stdout.write(f"    {name!r}: {value!r},")
            self.stdout.flush()
            stopped.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            sandbox.stop()
        self.stdout.write("The sandbox has stopped.")
