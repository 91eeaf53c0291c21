"""``manage.py grokvideo_reconcile``: whether the books are right."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import IntegrityError

from grokvideo_django import reconcile

LINE = "{:<13} {:<44} {:<32} {}"


class Command(BaseCommand):
    """Reads only, unless it is told to repair."""

    help = "Prove the books: balances against entries, grants against draws, holds against requests. Exits 1 if not."

    def add_arguments(self, parser: CommandParser) -> None:
        """One option."""
        parser.add_argument(
            "--repair",
            action="store_true",
            help="First write balances, remainders and counters anew from the entries, which are never changed.",
        )

    def handle(self, *, repair: bool = False, **_options: Any) -> None:
        """A line for everything that is wrong, or one that says that nothing is."""
        if repair:
            self._repair()
        wrong = 0
        for finding in reconcile.findings():
            if not wrong:
                self.stdout.write(LINE.format("KIND", "WHAT", "EXPECTED", "FOUND"))
            self.stdout.write(LINE.format(finding.kind, finding.what, finding.expected, finding.found))
            wrong += 1
        if wrong:
            raise CommandError(
                f"The books are wrong in {wrong} places. Nothing was changed; keep a copy of the database first."
            )
        proved = ", ".join(f"{number} {name}" for name, number in reconcile.counts().items())
        self.stdout.write(f"The books are right: {proved}.")

    def _repair(self) -> None:
        try:
            written = list(reconcile.repair())
        except IntegrityError as error:
            raise CommandError(f"The entries make no sense, so nothing was repaired: {error}") from error
        for figure in written:
            self.stdout.write(f"Repaired: {figure.what}: {figure.kind} is {figure.expected}, was {figure.found}.")
        if not written:
            self.stdout.write("There was nothing to repair.")
