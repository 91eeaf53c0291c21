"""``manage.py demo_content``: the database that the demo needs."""

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand

from demo import content


class Command(BaseCommand):
    """Migrates, then makes users, credits and articles; does nothing where they are."""

    help = "Create the demo's database, users and articles. Can be repeated."
    requires_system_checks = ()

    def handle(self, *_arguments: Any, **_options: Any) -> None:
        """Both."""
        call_command("migrate", interactive=False, verbosity=0)
        content.make()
        self.stdout.write("The database is ready.")
