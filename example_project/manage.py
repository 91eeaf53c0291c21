#!/usr/bin/env python
"""The example site's commands: ``manage.py demo`` starts everything."""

import os
import sys


def main() -> None:
    """Run one of them."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example.settings")
    try:
        from django.core.management import execute_from_command_line  # noqa: PLC0415 - to say what is missing
    except ImportError as error:
        sys.exit(f"Django is not installed for {sys.executable}: {error}. Use the command in README.md.")
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
