"""``manage.py grokvideo_reconcile``: whether the books are right."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from grokvideo_django import reconcile

LINE = "{:<13} {:<44} {:<32} {}"


class Command(BaseCommand):
    """Reads only."""

    help = "Prove the books: balances against entries, grants against draws, holds against requests. Exits 1 if not."

    def handle(self, **_options: Any) -> None:
        """A line for everything that is wrong, or one that says that nothing is."""
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
