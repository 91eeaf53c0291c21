"""What every verb does to the ledger's rows, in SQL written by hand.

These few statements are most of what a start costs, and the ORM takes longer to write them than the database to run
them. All of it is plain SQL that the supported databases share, with ``{names}`` for tables.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db import connection, models

from ..models import BudgetCounter, CreditAccount, CreditEntry, CreditGrant


def move_account(account_id: int, *, posted: int = 0, held: int = 0, free: int = 0, held_before: int = 0) -> bool:
    """The conditional UPDATE that every verb begins with; it takes the account's lock. False: no row matched.

    ``free`` is what must not be held, ``held_before`` what must be held, before the change. No account has less than 0
    of either.
    """
    moved = _run(
        "UPDATE {account} SET posted = posted + %s, held = held + %s "
        "WHERE id = %s AND posted - held >= %s AND held >= %s",
        posted, held, account_id, free, held_before,
    )  # fmt: skip
    return bool(moved)


def account_id(user_key: str) -> int | None:
    """The account of the user with this key, if it is linked to the user."""
    found = _read("SELECT id, user_key FROM {account} WHERE user_key = %s AND user_id IS NOT NULL", user_key)
    return next((pk for pk, key in found if key == user_key), None)  # some collations think that "A" is "a"


def balance(account_id: int) -> tuple[int, int]:
    """What is posted and what is held on an account."""
    ((posted, held),) = _read("SELECT posted, held FROM {account} WHERE id = %s", account_id)
    return posted, held


def spendable(account_id: int, now: datetime) -> tuple[list[tuple[int, int]], tuple[int, int]]:
    """Grants with what is left of them, in the order in which they are spent; and what ``balance`` says."""
    found = _read(
        "SELECT a.posted, a.held, g.id, g.remaining FROM {account} a LEFT JOIN {grant} g "
        "ON g.account_id = a.id AND g.remaining > 0 AND (g.expires_at IS NULL OR g.expires_at > %s) WHERE a.id = %s "
        # What never expires is spent last.
        "ORDER BY g.priority, CASE WHEN g.expires_at IS NULL THEN 1 ELSE 0 END, g.expires_at, g.id",
        connection.ops.adapt_datetimefield_value(now), account_id,
    )  # fmt: skip
    return [row[2:] for row in found if row[2] is not None], found[0][:2]


def move_grants(deltas: Mapping[int, int]) -> None:
    """Change what is left of grants whose account is locked, in one statement."""
    deltas = {grant_id: delta for grant_id, delta in sorted(deltas.items()) if delta}
    if not deltas:
        return
    cases = " ".join(["WHEN %s THEN %s"] * len(deltas))
    each = [value for pair in deltas.items() for value in pair]
    _run(
        f"UPDATE {{grant}} SET remaining = remaining + CASE id {cases} END "  # noqa: S608 - places
        f"WHERE id IN ({_places(len(deltas))})",
        *each, *deltas,
    )  # fmt: skip


def use_counter(counter_id: int, amount: int, *, limit: int | None) -> bool:
    """Count under a budget, unless that would pass its limit. False: it would, or the counter is gone."""
    if limit is None:
        return bool(_run("UPDATE {counter} SET used = used + %s WHERE id = %s", amount, counter_id))
    return bool(
        _run(
            "UPDATE {counter} SET used = used + %s WHERE id = %s AND used <= %s",
            amount, counter_id, limit - amount,
        )
    )  # fmt: skip


def counters(starts: Mapping[int, datetime]) -> dict[int, tuple[int, bool]]:
    """Of budgets with the start of a period: the key of its counter, and whether its warning was given."""
    which = " OR ".join(["budget_id = %s AND period_start = %s"] * len(starts))
    adapt = connection.ops.adapt_datetimefield_value
    values = [value for budget_id, start in starts.items() for value in (budget_id, adapt(start))]
    sql = f"SELECT budget_id, id, warned_at FROM {{counter}} WHERE {which}"  # noqa: S608 - places
    return {budget_id: (pk, warned_at is not None) for budget_id, pk, warned_at in _read(sql, *values)}


def used(counter_ids: Collection[int]) -> list[tuple[int, int]]:
    """The keys of these counters, with what is used."""
    places = _places(len(counter_ids))
    return _read(f"SELECT id, used FROM {{counter}} WHERE id IN ({places})", *counter_ids)  # noqa: S608


def is_resolved(hold_id: int, key: str, account_id: int, amount: int) -> bool | None:
    """Whether a hold was captured or released. None: there is no such hold of so much on this account."""
    found = _read(
        "SELECT h.key, r.id FROM {entry} h LEFT JOIN {entry} r ON r.resolves_id = h.id "
        "WHERE h.id = %s AND h.account_id = %s AND h.held_delta = %s",
        hold_id, account_id, amount,
    )  # fmt: skip
    return found[0][1] is not None if found and found[0][0] == key else None


def insert_one(row: models.Model) -> None:
    """What ``save`` of a new row does, without its signals. The row learns its key."""
    returning = connection.features.can_return_columns_from_insert
    with connection.cursor() as cursor:
        cursor.execute(_insert(type(row), connection.vendor, 1, returning), _values(row))
        row.pk = cursor.fetchone()[0] if returning else cursor.lastrowid
    row._state.adding = False
    row._state.db = connection.alias


def insert(rows: Sequence[models.Model]) -> None:
    """What ``bulk_create`` does, without a savepoint. The rows do not learn their keys."""
    if rows:
        values = [value for row in rows for value in _values(row)]
        _run(_insert(type(rows[0]), connection.vendor, len(rows), False), *values)


@lru_cache(maxsize=64)
def _insert(model: type[models.Model], vendor: str, count: int, returning: bool) -> str:  # noqa: ARG001 - of the cache
    quoted = connection.ops.quote_name
    columns = ", ".join(quoted(str(field.column)) for field in _columns(model))
    places = ", ".join([f"({_places(len(_columns(model)))})"] * count)
    text = f"INSERT INTO {quoted(model._meta.db_table)} ({columns}) VALUES {places}"  # noqa: S608 - names and places
    return f"{text} RETURNING {quoted(str(model._meta.pk.column))}" if returning else text


def _values(row: models.Model) -> list[Any]:
    return [field.get_db_prep_save(getattr(row, field.attname), connection=connection) for field in _columns(type(row))]


@lru_cache(maxsize=8)
def _columns(model: type[models.Model]) -> list[models.Field[Any, Any]]:
    return [field for field in model._meta.local_concrete_fields if not field.primary_key]


def _places(count: int) -> str:
    return ", ".join(["%s"] * count)


@lru_cache(maxsize=4)
def _tables(vendor: str) -> dict[str, str]:  # noqa: ARG001 - of the cache
    """What stands for them in the statements."""
    tables = {"account": CreditAccount, "grant": CreditGrant, "entry": CreditEntry, "counter": BudgetCounter}
    return {name: connection.ops.quote_name(model._meta.db_table) for name, model in tables.items()}


def _run(sql: str, *values: Any) -> int:
    """Rows that matched."""
    with connection.cursor() as cursor:
        cursor.execute(sql.format_map(_tables(connection.vendor)), values)
        return int(cursor.rowcount)


def _read(sql: str, *values: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql.format_map(_tables(connection.vendor)), values)
        return list(cursor.fetchall())
