"""Triggers that make the database itself refuse to change the ledger's lines. Opt-in: ``grokvideo_protect_ledger``.

Against UPDATE only. Deleting cannot be refused by a trigger without breaking Django's ``flush``, and a line that is
deleted is found by ``grokvideo_reconcile``: the balance after each line is that of the one before it and its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from django.db import connection, models

from .exceptions import GrokVideoError
from .models import BudgetUse, CreditDraw, CreditEntry

PROTECTED: Final[tuple[type[models.Model], ...]] = (CreditEntry, CreditDraw, BudgetUse)
MESSAGE: Final = "grokvideo: entries of the ledger are never changed"
FUNCTION: Final = "grokvideo_refuse_update"

CREATE: Final = {
    "sqlite": "CREATE TRIGGER {trigger} BEFORE UPDATE ON {table} BEGIN SELECT RAISE(ABORT, '{message}'); END",
    "postgresql": (
        "CREATE TRIGGER {trigger} BEFORE UPDATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
    ),
    "mysql": (
        "CREATE TRIGGER {trigger} BEFORE UPDATE ON {table} FOR EACH ROW "
        "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{message}'"
    ),
}
DROP: Final = {
    "sqlite": "DROP TRIGGER IF EXISTS {trigger}",
    "postgresql": "DROP TRIGGER IF EXISTS {trigger} ON {table}",
    "mysql": "DROP TRIGGER IF EXISTS {trigger}",
}
FIND: Final = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": (
        "SELECT tgname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid WHERE NOT tgisinternal "
        "AND pg_table_is_visible(pg_class.oid)"
    ),
    "mysql": "SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = DATABASE()",
}
REFUSE: Final = (
    f"CREATE OR REPLACE FUNCTION {FUNCTION}() RETURNS trigger LANGUAGE plpgsql "
    f"AS $$ BEGIN RAISE EXCEPTION '{MESSAGE}'; END $$"
)


class CannotProtect(GrokVideoError):  # noqa: N818 - says what happened
    """The ledger cannot be protected on this database. Nothing was changed."""


def protected() -> list[str]:
    """The tables that refuse to be changed now."""
    with connection.cursor() as cursor:
        cursor.execute(FIND[_vendor()])
        found = {name for (name,) in cursor.fetchall()}
    return [model._meta.db_table for model in PROTECTED if _trigger(model) in found]


def protect() -> list[str]:
    """Install what is missing; returns the tables that were not protected before.

    Raises:
        CannotProtect: on databases other than SQLite, PostgreSQL, MariaDB and MySQL.
    """
    vendor, before = _vendor(), protected()
    missing = [model for model in PROTECTED if model._meta.db_table not in before]
    with connection.cursor() as cursor:
        if vendor == "postgresql" and missing:
            cursor.execute(REFUSE)
        for statement in _statements(CREATE[vendor], missing):
            cursor.execute(statement)
    return [model._meta.db_table for model in missing]


def unprotect() -> list[str]:
    """Take the triggers away; returns the tables that were protected before.

    Raises:
        CannotProtect: as ``protect``.
    """
    vendor, before = _vendor(), protected()
    with connection.cursor() as cursor:
        for statement in _statements(DROP[vendor], PROTECTED):
            cursor.execute(statement)
        if vendor == "postgresql":
            cursor.execute(f"DROP FUNCTION IF EXISTS {FUNCTION}()")
    return before


def _vendor() -> str:
    if connection.vendor not in CREATE:
        raise CannotProtect(
            f"The ledger can be protected on SQLite, PostgreSQL, MariaDB and MySQL, not on {connection.vendor}. "
            "Nothing was changed."
        )
    return connection.vendor


def _trigger(model: type[models.Model]) -> str:
    return f"{model._meta.db_table}_no_update"


def _statements(template: str, tables: Iterable[type[models.Model]]) -> Iterator[str]:
    quote = connection.ops.quote_name
    for model in tables:
        yield template.format(
            trigger=quote(_trigger(model)), table=quote(model._meta.db_table), message=MESSAGE, function=FUNCTION
        )
