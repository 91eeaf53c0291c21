"""Transactions that survive a deadlock, or a row deleted under them: they are tried again. And the database's clock."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from django.db import DatabaseError, IntegrityError, OperationalError, connection, transaction
from django.utils import timezone

if TYPE_CHECKING:
    from django.db.models import QuerySet

T = TypeVar("T")

TRIES: Final = 5
_POSTGRES: Final = frozenset({"40001", "40P01"})  # serialization failure, deadlock detected
_MYSQL: Final = frozenset({1020, 1205, 1213})  # record changed, lock wait time-out, deadlock
_NO_PARENT: Final = frozenset({"23503", 1452})
"""A foreign key to a row that somebody has deleted since it was read: the next try reads again."""
_CLOCK: Final = {"postgresql": "SELECT CLOCK_TIMESTAMP()", "mysql": "SELECT UTC_TIMESTAMP(6)"}


def is_transient(error: DatabaseError) -> bool:
    """Whether the transaction may end otherwise when it runs again."""
    cause = error.__cause__
    codes = {getattr(cause, "sqlstate", None), getattr(cause, "pgcode", None)}  # psycopg, psycopg2
    codes |= set(cause.args[:1]) if isinstance(cause, Exception) else set()  # mysqlclient
    if isinstance(error, IntegrityError):
        return not codes.isdisjoint(_NO_PARENT) or "FOREIGN KEY constraint failed" in str(error)
    if isinstance(error, OperationalError):
        locked = "database is locked" in str(error) or "database table is locked" in str(error)
        return locked or not codes.isdisjoint(_POSTGRES | _MYSQL)
    return False


def run(work: Callable[[], T]) -> T:
    """Run ``work`` in a transaction, the whole of it again after a deadlock, at most 5 times.

    So too when a row that it refers to was deleted since it was read.
    Inside a transaction of the caller it runs once, in a savepoint: only the outermost can be repeated.
    ``work`` must therefore have no effect outside the database. Its first statement should write: SQLite refuses a
    transaction that reads first and writes later when another one wrote in between.
    """
    if connection.in_atomic_block:
        with transaction.atomic():
            return work()
    committed: list[bool] = []

    def attempt() -> T:
        with transaction.atomic():
            transaction.on_commit(partial(committed.append, True))
            return work()

    # What is raised after the commit comes from somebody's on_commit: the work itself is done.
    return _again(attempt, unless=committed)


def update(rows: QuerySet[Any], **values: Any) -> int:
    """One UPDATE without a transaction of its own, again after a deadlock: one that matches many rows can have one."""
    if connection.in_atomic_block:
        return rows.update(**values)
    return _again(lambda: rows.update(**values))


def database_now() -> datetime:
    """What time it is by the one clock that all workers share: the database's. SQLite has none but ours. A query."""
    sql = _CLOCK.get(connection.vendor)
    if sql is None:
        return timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(sql)
        (moment,) = cursor.fetchone()
    assert isinstance(moment, datetime)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _again(attempt: Callable[[], T], *, unless: Sequence[object] = ()) -> T:
    tries = 0
    while True:
        tries += 1
        try:
            return attempt()
        except (OperationalError, IntegrityError) as error:
            if unless or tries == TRIES or not is_transient(error):
                raise
            time.sleep(random.uniform(0.005, 0.025) * 2**tries)  # noqa: S311 - spreads the victims
