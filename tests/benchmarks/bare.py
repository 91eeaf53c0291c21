"""What a hold does, replayed: the same statements with fresh parameters, in the same transaction, by psycopg alone."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from django.contrib.auth.models import User
from django.db import connection

from grokvideo_django import credits
from grokvideo_django.models import Budget, BudgetCounter, CreditAccount, CreditEntry, CreditGrant

APART = 10_000_000
"""Between the keys of one table and those of the next, so that a parameter tells what it is."""
AMOUNT = 7


@dataclass(frozen=True)
class Statement:
    """As Django sent it; ``inside`` the transaction of the hold or before or after it."""

    sql: str
    params: tuple[Any, ...]
    inside: bool


def keep_keys_apart() -> None:
    """Let each table count from a number of its own."""
    with connection.cursor() as cursor:
        for number, model in enumerate((User, CreditAccount, CreditGrant, CreditEntry, Budget, BudgetCounter), 1):
            sequence = f"{model._meta.db_table}_id_seq"
            cursor.execute(f"ALTER SEQUENCE {sequence} RESTART WITH {number * APART}")


def statements(hold: Callable[[], object]) -> list[Statement]:
    """What one hold sends to the database."""
    seen: list[Statement] = []

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        seen.append(Statement(sql, tuple(params or ()), connection.in_atomic_block))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch):
        hold()
    return seen


def keys(user: User, account: CreditAccount) -> dict[Any, Any]:
    """What the parameters say of a user."""
    return {
        "user": user.pk,
        "user_key": str(user.pk),
        "account": account.pk,
        "grant": account.grants.get().pk,
    }


class Replay:
    """The statements of one user's hold, for any other user."""

    def __init__(self, recorded: Sequence[Statement], entry: CreditEntry, of: dict[str, Any]) -> None:
        self.names = {value: name for name, value in of.items()} | {entry.key: "key", entry.pk: "entry"}
        self.before = [each for each in recorded if not each.inside and self._at(recorded, each) == 0]
        self.inside = [each for each in recorded if each.inside]
        self.after = [each for each in recorded if not each.inside and self._at(recorded, each) > 0]

    @staticmethod
    def _at(recorded: Sequence[Statement], statement: Statement) -> int:
        """How many of the transaction were there before it."""
        return sum(each.inside for each in recorded[: recorded.index(statement)])

    def hold(self, link: psycopg.Connection[Any], of: dict[str, Any]) -> None:
        """The hold of another user."""
        values = {**of, "key": f"hold:{uuid.uuid4()}"}
        for each in self.before:
            self._execute(link, each, values)
        with link.transaction():
            for each in self.inside:
                found = self._execute(link, each, values)
                if each.sql.startswith('INSERT INTO "grokvideo_creditentry"'):
                    values["entry"] = found[0][0]
        for each in self.after:
            self._execute(link, each, values)

    def _execute(self, link: psycopg.Connection[Any], each: Statement, values: dict[str, Any]) -> list[Any]:
        cursor = link.execute(each.sql, [self._fresh(value, values) for value in each.params])
        return cursor.fetchall() if cursor.description else []

    def _fresh(self, value: Any, values: dict[str, Any]) -> Any:
        if isinstance(value, list):
            return [self._fresh(each, values) for each in value]
        name = self.names.get(value) if isinstance(value, int | str) else None
        return value if name is None else values[name]


def link() -> psycopg.Connection[Any]:
    """A connection as psycopg makes it."""
    settings = connection.settings_dict
    return psycopg.connect(
        dbname=settings["NAME"],
        user=settings["USER"],
        host=settings["HOST"],
        port=settings["PORT"],
        autocommit=True,
    )


def record(user: User, account: CreditAccount) -> tuple[list[Statement], Replay]:
    """One hold of a user: its statements, and the way to replay them."""
    entries: list[CreditEntry] = []
    recorded = statements(lambda: entries.append(credits.hold(user, AMOUNT)))
    return recorded, Replay(recorded, entries[0], keys(user, account))
