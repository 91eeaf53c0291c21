"""Proves the books: balances against entries, grants against draws, budgets against uses, holds against requests.

All of it is counted by the database in a fixed number of queries, at one moment: writers go on, and what they write in
the meantime is not seen (on SQLite they wait instead). Only what is wrong comes back.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import (
    BigIntegerField,
    CharField,
    Count,
    Exists,
    F,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    Value,
    Window,
)
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast, Coalesce, Concat, Lag, Substr

from .lifecycle.money import HOLD_PREFIX
from .models import BudgetCounter, BudgetUse, CreditAccount, CreditDraw, CreditEntry, CreditGrant, VideoRequest

Kind = CreditEntry.Kind
Status = VideoRequest.Status

HOLDING: Final = (*VideoRequest.RUNNING, Status.IN_DOUBT)
"""What has one open hold of its quoted price; nothing else has any."""
UUID_GROUPS: Final = (8, 4, 4, 4, 12)
"""The digits of a UUID between its dashes."""

ACCOUNT: Final = ("pk", "user_name", "user_key")
ENTRY: Final = ("pk", "kind", "account_id", "posted_delta", "held_delta")
REQUEST: Final = ("pk", "status", "quoted_credits", "held", "is_open", "captured", "charged")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong."""

    kind: str
    what: str
    expected: str
    found: str


def findings() -> Iterator[Finding]:
    """Everything that is wrong, as it is found. A read: nothing is mended."""
    with _one_moment():
        for proof in PROOFS:
            yield from proof()


def counts() -> dict[str, int]:
    """How much there is to prove."""
    models = (CreditAccount, CreditGrant, CreditEntry, BudgetCounter, VideoRequest)
    return {str(model._meta.verbose_name_plural): model._base_manager.count() for model in models}


@contextlib.contextmanager
def _one_moment() -> Iterator[None]:
    """A transaction that sees the database as it is now. Inside another transaction: as that one sees it."""
    if connection.in_atomic_block:
        yield
        return
    with connection.cursor() as cursor:
        if connection.vendor == "mysql":
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")  # of the next transaction only
        with transaction.atomic():
            if connection.vendor == "postgresql":
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield


def repair() -> Iterator[Finding]:
    """Write the derived figures anew: balances from entries, remainders from draws, counters from uses.

    Entries, draws and uses are never touched. Yields what was written. One transaction, which locks each table's rows
    in the order in which holds do; where the entries themselves make no sense, the database refuses, and nothing is
    written.
    """
    with transaction.atomic():
        for rows, proof, columns in _derived():
            rows.order_by().update(**{column: F(column) for column in columns})  # writing first takes the locks
            yield from list(_mend(rows, proof, columns))


def _derived() -> Iterator[tuple[QuerySet[Any], str, dict[str, Combinable]]]:
    entries = CreditEntry.objects.filter(account=OuterRef("pk"))
    posted, held = _sum(entries, "account", "posted_delta"), _sum(entries, "account", "held_delta")
    yield CreditAccount.objects.all(), "account", {"posted": posted, "held": held}
    remaining = _sum(CreditDraw.objects.filter(grant=OuterRef("pk")), "grant", "delta")
    yield CreditGrant.objects.all(), "grant", {"remaining": remaining}
    used = _sum(BudgetUse.objects.filter(counter=OuterRef("pk")), "counter", "delta")
    yield BudgetCounter.objects.all(), "counter", {"used": used}


def _mend(rows: QuerySet[Any], name: str, columns: Mapping[str, Combinable]) -> Iterator[Finding]:
    right = {column: f"{column}_sum" for column in columns}
    sums = rows.annotate(**{right[column]: value for column, value in columns.items()})
    wrong = sums.exclude(**{column: F(right[column]) for column in columns})
    for row in list(_rows(wrong.values("pk", *columns, *right.values()))):
        rows.filter(pk=row["pk"]).update(**{column: row[right[column]] for column in columns})
        for column in columns:
            yield from _differs(column, f"{name} {row['pk']}", row[right[column]], row[column])


# Accounts and grants: balances against what they are made of


def _balances() -> Iterator[Finding]:
    """An account's balances are the sums of its entries."""
    entries = CreditEntry.objects.filter(account=OuterRef("pk"))
    sums = CreditAccount.objects.annotate(
        posted_sum=_sum(entries, "account", "posted_delta"), held_sum=_sum(entries, "account", "held_delta")
    )
    wrong = sums.exclude(posted=F("posted_sum"), held=F("held_sum"))
    for row in _rows(wrong.values(*ACCOUNT, "posted", "posted_sum", "held", "held_sum")):
        yield from _differs("posted", _account(row), row["posted_sum"], row["posted"])
        yield from _differs("held", _account(row), row["held_sum"], row["held"])


def _open_holds() -> Iterator[Finding]:
    """What is held is the sum of the holds that nothing resolves."""
    holds = CreditEntry.objects.filter(account=OuterRef("pk"), kind=Kind.HOLD, resolution__isnull=True)
    sums = CreditAccount.objects.annotate(open_sum=_sum(holds, "account", "held_delta"))
    for row in _rows(sums.exclude(held=F("open_sum")).values(*ACCOUNT, "held", "open_sum")):
        yield from _differs("open holds", _account(row), row["held"], row["open_sum"])


def _remainders() -> Iterator[Finding]:
    """What is free is what is left on the grants."""
    grants = CreditGrant.objects.filter(account=OuterRef("pk"))
    sums = CreditAccount.objects.annotate(free=F("posted") - F("held"), left=_sum(grants, "account", "remaining"))
    for row in _rows(sums.exclude(free=F("left")).values(*ACCOUNT, "free", "left")):
        yield from _differs("grants", _account(row), row["free"], row["left"])


def _grants() -> Iterator[Finding]:
    """What is left of a grant is the sum of its draws."""
    draws = CreditDraw.objects.filter(grant=OuterRef("pk"))
    sums = CreditGrant.objects.annotate(drawn=_sum(draws, "grant", "delta"))
    for row in _rows(sums.exclude(remaining=F("drawn")).values("pk", "account_id", "remaining", "drawn")):
        where = f"grant {row['pk']} of account {row['account_id']}"
        yield from _differs("remaining", where, row["drawn"], row["remaining"])


def _strange_draws() -> Iterator[Finding]:
    """An entry draws on grants of its own account."""
    rows = CreditDraw.objects.exclude(grant__account=F("entry__account"))
    for row in _rows(rows.values("pk", "entry__account", "grant__account")):
        accounts = [f"account {row[name]}" for name in ("entry__account", "grant__account")]
        yield from _differs("draw", f"draw {row['pk']}", *accounts)


# Entries: each by itself, after the one before it, and against the one that it points to


def _shapes() -> Iterator[Finding]:
    """Each kind moves credits in its own direction and points to what it must."""
    plain = Q(resolves__isnull=True, refunds__isnull=True)
    given, taken = Q(posted_delta__gt=0, held_delta=0), Q(posted_delta__lt=0, held_delta=0)
    resolving = Q(held_delta__lt=0, resolves__isnull=False, refunds__isnull=True)
    right = (
        Q(plain, given, kind=Kind.GRANT)
        | Q(plain, kind=Kind.HOLD, posted_delta=0, held_delta__gt=0)
        | Q(resolving, kind=Kind.CAPTURE, posted_delta__lt=0)
        | Q(resolving, kind=Kind.RELEASE, posted_delta=0)
        | Q(given, kind=Kind.REFUND, resolves__isnull=True, refunds__isnull=False)
        | Q(plain, taken, kind__in=[Kind.EXPIRE, Kind.VOID])
    )
    for row in _rows(CreditEntry.objects.exclude(right).values(*ENTRY)):
        yield from _differs("entry", _entry(row), f"what a {row['kind']} does", _deltas(row))


def _chains() -> Iterator[Finding]:
    """The balance after an entry is the balance after the one before it, and its own deltas."""
    rows = CreditEntry.objects.annotate(
        posted_now=_before("posted_after") + F("posted_delta"), held_now=_before("held_after") + F("held_delta")
    )
    broken = rows.filter(~Q(posted_after=F("posted_now")) | ~Q(held_after=F("held_now")))
    for row in _rows(broken.values(*ENTRY, "posted_now", "posted_after", "held_now", "held_after")):
        yield from _differs("posted after", _entry(row), row["posted_now"], row["posted_after"])
        yield from _differs("held after", _entry(row), row["held_now"], row["held_after"])


def _draws() -> Iterator[Finding]:
    """What an entry does to grants is what it does to the credits that are free."""
    draws = CreditDraw.objects.filter(entry=OuterRef("pk"))
    sums = CreditEntry.objects.annotate(free=F("posted_delta") - F("held_delta"), drawn=_sum(draws, "entry", "delta"))
    for row in _rows(sums.exclude(free=F("drawn")).values(*ENTRY, "free", "drawn")):
        yield from _differs("draws", _entry(row), row["free"], row["drawn"])


def _resolutions() -> Iterator[Finding]:
    """A resolution ends the whole of one hold of its account and request, and spends no more than it."""
    right = Q(
        resolves__kind=Kind.HOLD,
        resolves__account=F("account"),
        resolves__request_key=F("request_key"),
        resolves__held_delta=-F("held_delta"),
        posted_delta__gte=F("held_delta"),
    )
    rows = CreditEntry.objects.filter(resolves__isnull=False).exclude(right)
    for row in _rows(rows.values(*ENTRY, "resolves_id", "resolves__kind", "resolves__held_delta")):
        hold = f"the whole of entry {row['resolves_id']}, a {row['resolves__kind']} of {row['resolves__held_delta']}"
        yield from _differs("resolution", _entry(row), hold, _deltas(row))


def _refunded_entries() -> Iterator[Finding]:
    """A refund points to a capture of its account."""
    right = Q(refunds__kind=Kind.CAPTURE, refunds__account=F("account"))
    rows = CreditEntry.objects.filter(refunds__isnull=False).exclude(right)
    for row in _rows(rows.values(*ENTRY, "refunds_id", "refunds__kind", "refunds__account")):
        found = f"entry {row['refunds_id']} ({row['refunds__kind']}, account {row['refunds__account']})"
        yield from _differs("refund", _entry(row), f"a capture of account {row['account_id']}", found)


def _refunds() -> Iterator[Finding]:
    """All refunds of a capture give back no more than it took."""
    refunds = CreditEntry.objects.filter(refunds=OuterRef("pk"))
    sums = CreditEntry.objects.annotate(taken=-F("posted_delta"), refunded=_sum(refunds, "refunds", "posted_delta"))
    wrong = sums.filter(Q(refunded__gt=0), refunded__gt=F("taken"))
    for row in _rows(wrong.values(*ENTRY, "taken", "refunded")):
        yield from _differs("refunds", _entry(row), f"at most {row['taken']}", row["refunded"])


# Budgets: what was counted under them


def _counters() -> Iterator[Finding]:
    """What a counter says is the sum of its uses."""
    uses = BudgetUse.objects.filter(counter=OuterRef("pk"))
    sums = BudgetCounter.objects.annotate(used_sum=_sum(uses, "counter", "delta"))
    for row in _rows(sums.exclude(used=F("used_sum")).values("pk", "budget_id", "used", "used_sum")):
        where = f"counter {row['pk']} of budget {row['budget_id']}"
        yield from _differs("counter", where, row["used_sum"], row["used"])


def _uses() -> Iterator[Finding]:
    """An entry uses of a budget what it holds or spends, and gives back what comes back."""
    used = BudgetUse.objects.annotate(spent=F("entry__held_delta") - F("entry__posted_delta"))
    for row in _rows(used.exclude(delta=F("spent")).values("pk", "entry_id", "delta", "spent")):
        yield from _differs("budget use", f"use {row['pk']} by entry {row['entry_id']}", row["spent"], row["delta"])


def _strange_uses() -> Iterator[Finding]:
    """What comes back goes to the counters that the hold used: to each of them, once, and to no other."""
    for way in ("resolves", "refunds__resolves"):
        held = BudgetUse.objects.filter(entry=OuterRef(f"entry__{way}"), counter=OuterRef("counter"))
        back = BudgetUse.objects.filter(**{f"entry__{way}__isnull": False})
        for row in _rows(back.filter(~Exists(held)).values("pk", "entry_id", "counter_id")):
            where = f"use {row['pk']} of entry {row['entry_id']}"
            yield from _differs("budget use", where, "a counter of its hold", f"counter {row['counter_id']}")
        of_hold = BudgetUse.objects.filter(entry=OuterRef(way))
        own = BudgetUse.objects.filter(entry=OuterRef("pk"))
        counted = CreditEntry.objects.filter(**{f"{way}__isnull": False}).annotate(
            free=F("held_delta") - F("posted_delta"), wanted=_count(of_hold, "entry"), there=_count(own, "entry")
        )
        for row in _rows(counted.exclude(free=0).exclude(wanted=F("there")).values(*ENTRY, "wanted", "there")):
            yield from _differs("budget uses", _entry(row), row["wanted"], row["there"])


# Requests: what each holds and has paid


def _requests() -> Iterator[Finding]:
    """Under way, a request has one open hold of its quoted price; and it is charged what was captured."""
    rows = _requests_with_holds().exclude(_right_hold(), charged=F("captured"))
    for row in _rows(rows.values(*REQUEST)):
        where = f"request {row['pk']} ({row['status']})"
        if row["status"] in HOLDING and row["quoted_credits"] is not None:
            yield from _differs("hold", where, f"an open hold of {row['quoted_credits']}", _hold(row))
        yield from _differs("charged", where, row["captured"], row["charged"])


def _requests_with_holds() -> QuerySet[Any]:
    """Each request with its hold, which has a unique key: one look into an index."""
    hold = CreditEntry.objects.filter(key=OuterRef("hold_key"), kind=Kind.HOLD)
    capture = CreditEntry.objects.filter(resolves__key=OuterRef("hold_key"), kind=Kind.CAPTURE)
    return VideoRequest.objects.annotate(
        hold_key=_hold_key(),
        held=_or_zero(Subquery(hold.values("held_delta")[:1])),
        is_open=Exists(hold.filter(resolution__isnull=True)),
        captured=_or_zero(Subquery(capture.annotate(spent=-F("posted_delta")).values("spent")[:1])),
        charged=_or_zero(F("charged_credits")),
    )


def _right_hold() -> Q:
    return ~Q(status__in=HOLDING) | Q(quoted_credits__isnull=True) | Q(is_open=True, held=F("quoted_credits"))


def _forlorn_holds() -> Iterator[Finding]:
    """A request's open hold belongs to one that is under way. A hold with another key is the site's own business."""
    under_way = VideoRequest.objects.filter(status__in=HOLDING).order_by().values_list("uuid", flat=True)
    keys = {f"{HOLD_PREFIX}{uuid}" for uuid in under_way.iterator()}
    rows = CreditEntry.objects.filter(kind=Kind.HOLD, resolution__isnull=True).exclude(request_key="")
    for row in _rows(rows.filter(key=Concat(Value(HOLD_PREFIX), "request_key")).values(*ENTRY, "key", "request_key")):
        if row["key"] not in keys:
            where = f"{_entry(row)} of request {row['request_key']}"
            yield from _differs("hold", where, "a request that is under way", "none")


def _hold_key() -> Combinable:
    """The ledger's key of a request's hold, made of its UUID as the database writes it."""
    text = Cast("uuid", CharField())
    if connection.features.has_native_uuid_field:
        return Concat(Value(HOLD_PREFIX), text)
    starts = [1 + sum(UUID_GROUPS[:number]) for number in range(len(UUID_GROUPS))]
    groups = [Substr(text, start, length) for start, length in zip(starts, UUID_GROUPS, strict=True)]
    dashed = [part for group in groups for part in (Value("-"), group)][1:]
    return Concat(Value(HOLD_PREFIX), *dashed)


# Shorthand


def _rows(queryset: QuerySet[Any, Any]) -> Iterator[Mapping[str, Any]]:
    return iter(queryset.order_by("pk").iterator())


def _sum(rows: QuerySet[Any], by: str, column: str) -> Combinable:
    """Of the rows that belong to an outer one through ``by``."""
    return _or_zero(Subquery(rows.order_by().values(by).annotate(sum=Sum(column)).values("sum")))


def _count(rows: QuerySet[Any], by: str) -> Combinable:
    """How many rows belong to an outer one through ``by``."""
    return _or_zero(Subquery(rows.order_by().values(by).annotate(count=Count("pk")).values("count")))


def _or_zero(value: Combinable) -> Combinable:
    return Coalesce(value, Value(0), output_field=BigIntegerField())


def _before(field: str) -> Combinable:
    return _or_zero(Window(Lag(field), partition_by="account", order_by="pk"))


def _differs(kind: str, what: str, expected: object, found: object) -> Iterator[Finding]:
    if expected != found:
        yield Finding(kind=kind, what=what, expected=str(expected), found=str(found))


def _account(row: Mapping[str, Any]) -> str:
    return f"account {row['pk']} ({row['user_name'] or row['user_key']})"


def _entry(row: Mapping[str, Any]) -> str:
    return f"entry {row['pk']} ({row['kind']}, account {row['account_id']})"


def _deltas(row: Mapping[str, Any]) -> str:
    return f"{row['posted_delta']:+} posted, {row['held_delta']:+} held"


def _hold(row: Mapping[str, Any]) -> str:
    return f"{'an open' if row['is_open'] else 'a resolved'} hold of {row['held']}" if row["held"] else "none"


PROOFS: Final[tuple[Callable[[], Iterator[Finding]], ...]] = (
    _balances,
    _open_holds,
    _remainders,
    _grants,
    _strange_draws,
    _shapes,
    _chains,
    _draws,
    _resolutions,
    _refunded_entries,
    _refunds,
    _counters,
    _uses,
    _strange_uses,
    _requests,
    _forlorn_holds,
)
