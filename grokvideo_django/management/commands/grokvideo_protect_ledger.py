"""``manage.py grokvideo_protect_ledger``: let the database itself refuse to change the ledger's lines."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from grokvideo_django import protection


class Command(BaseCommand):
    """Can be repeated: what is there stays."""

    help = "Install triggers against UPDATE on the ledger's lines (SQLite, PostgreSQL, MariaDB, MySQL)."

    def add_arguments(self, parser: CommandParser) -> None:
        """One option."""
        parser.add_argument("--remove", action="store_true", help="Take the triggers away.")

    def handle(self, *, remove: bool = False, **_options: Any) -> None:
        """Say what was done, and what was so before."""
        try:
            changed = protection.unprotect() if remove else protection.protect()
        except protection.CannotProtect as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            raise CommandError(f"The database does not allow that: {error}") from error
        now = "can be changed again" if remove else "can no longer be changed"
        for table in changed:
            self.stdout.write(f"Rows of {table} {now}.")
        if not changed:
            self.stdout.write("Nothing was protected." if remove else "Everything was protected already.")
