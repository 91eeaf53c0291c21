"""What is true of an account after every entry, and whatever was interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection
from django.db.models import Sum

from grokvideo_django.models import CreditAccount, CreditDraw, CreditEntry, CreditGrant

Kind = CreditEntry.Kind


class Interrupted(Exception):  # noqa: N818 - what happened
    """The process died here, as far as the transaction knows."""


@contextmanager
def interrupted_at(statement: int | None) -> Iterator[None]:
    """Raise before the n-th statement from here; None lets all of them pass."""
    seen = 0

    def guard(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal seen
        seen += 1
        if seen == statement:
            raise Interrupted(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(guard):
        yield


def balance(account: CreditAccount) -> tuple[int, int, int]:
    """Posted, held, available."""
    account.refresh_from_db()
    return account.posted, account.held, account.available


def remains(account: CreditAccount) -> list[int]:
    """What is left of each grant, in the order in which they were given."""
    return list(CreditGrant.objects.filter(account=account).order_by("pk").values_list("remaining", flat=True))


def statement(account: CreditAccount) -> list[tuple[str, int, int, int, int]]:
    """Kind, both deltas, both balances after, oldest first."""
    lines = account.entries.order_by("pk")
    return list(lines.values_list("kind", "posted_delta", "held_delta", "posted_after", "held_after"))


def drawn(entry: CreditEntry) -> list[tuple[int, int]]:
    """Grant and delta of an entry's draws, in their order."""
    return list(entry.draws.order_by("pk").values_list("grant_id", "delta"))


def grant_of(entry: CreditEntry) -> CreditGrant:
    """The grant that an entry of kind ``grant`` opened."""
    return CreditGrant.objects.get(draws__entry=entry)


def snapshot(account: CreditAccount) -> tuple[list[Any], ...]:
    """Everything that the ledger knows of an account."""
    rows = CreditAccount.objects.filter(pk=account.pk)
    grants = CreditGrant.objects.filter(account=account)
    draws = CreditDraw.objects.filter(entry__account=account)
    entries = CreditEntry.objects.filter(account=account)
    return tuple(list(queryset.order_by("pk").values_list()) for queryset in (rows, grants, draws, entries))


def prove(account: CreditAccount) -> None:
    """Entries against balances, grants against draws, every line against the one before."""
    account.refresh_from_db()
    entries = list(account.entries.order_by("pk"))
    grants = list(account.grants.all())
    posted = held = 0
    for entry in entries:
        posted += entry.posted_delta
        held += entry.held_delta
        assert (entry.posted_after, entry.held_after) == (posted, held), entry.key
        assert posted >= held >= 0, entry.key
    assert (account.posted, account.held) == (posted, held)
    resolved = {entry.resolves_id for entry in entries if entry.resolves_id}
    assert held == sum(entry.held_delta for entry in entries if entry.kind == Kind.HOLD and entry.pk not in resolved)
    assert sum(grant.remaining for grant in grants) == posted - held
    draws = dict(CreditDraw.objects.filter(grant__account=account).values_list("grant").annotate(Sum("delta")))
    assert {grant.pk: grant.remaining for grant in grants} == draws
    assert all(0 <= grant.remaining <= grant.amount for grant in grants)
    _prove_entries(entries)


def _prove_entries(entries: list[CreditEntry]) -> None:
    """What an entry moves on the account is what it moves on its grants."""
    refunded: dict[int, int] = {}
    sums = {
        row["entry"]: row["sum"]
        for row in CreditDraw.objects.filter(entry__in=entries).values("entry").annotate(sum=Sum("delta"))
    }
    captured = {entry.pk: -entry.posted_delta for entry in entries if entry.kind == Kind.CAPTURE}
    for entry in entries:
        assert sums.get(entry.pk, 0) == entry.posted_delta - entry.held_delta, entry.key
        if entry.refunds_id:
            refunded[entry.refunds_id] = refunded.get(entry.refunds_id, 0) + entry.posted_delta
    assert all(amount <= captured[pk] for pk, amount in refunded.items())
