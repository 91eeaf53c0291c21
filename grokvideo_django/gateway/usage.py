"""The gateway's bill of a month, tag by tag. Its rows are documented nowhere: both shapes that were seen are read."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final

from .wire import MAX_WORD, clean_text

NAMES: Final = ("tag", "label")
DOLLARS: Final = ("cost_usd", "total_usd", "usd", "cost", "total_cost")
CENTS: Final = ("cost_cents", "total_cents", "cents")
COUNTS: Final = ("requests", "count")
MOST: Final = Decimal(10) ** 12
"""No bill is higher than that, in dollars."""
LONGEST_NUMBER: Final = 20
"""Digits before the point; a text like 1e1000000 is a number too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TagUsage:
    """What one tag cost in a month."""

    tag: str
    """Empty: what was sent without one."""
    usd: Decimal
    requests: int | None = None
    """None where the gateway does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """A month's bill, or what is wrong with the answer that should have been one."""

    rows: tuple[TagUsage, ...] = ()
    problem: str = ""


def parse_usage(payload: object, *, month: str) -> Usage:
    """Read the answer of ``/usage/by-tag``, a list or ``{data: []}``; never raises.

    Whatever cannot be read for certain is a ``problem`` in words: half a bill would prove nothing.
    """
    data = payload.get("data") if isinstance(payload, dict) else payload
    if not isinstance(data, list):
        return Usage(problem="it is no list of tags")
    named = payload.get("month") if isinstance(payload, dict) else None
    if named is not None and named != month:
        other = clean_text(named, 20) or "something else"
        return Usage(problem=f"it is about {other}, and {month} was asked for")
    rows = [_row(item) for item in data]
    unreadable = [number for number, row in enumerate(rows, start=1) if row is None]
    if unreadable:
        return Usage(problem=f"row {unreadable[0]} of {len(rows)} has no tag and cost that can be read")
    return Usage(rows=_merged([row for row in rows if row is not None]))


def _row(item: object) -> TagUsage | None:
    if not isinstance(item, dict) or not any(name in item for name in NAMES):
        return None
    tag = next((item[name] for name in NAMES if item.get(name) is not None), "")
    usd = _money(item)
    if not isinstance(tag, str) or usd is None:
        return None
    counts = (item.get(name) for name in COUNTS)
    requests = next((count for count in counts if type(count) is int and 0 <= count < MOST), None)
    return TagUsage(tag=clean_text(tag, MAX_WORD), usd=usd, requests=requests)


def _money(item: dict[str, object]) -> Decimal | None:
    for names, unit in ((DOLLARS, Decimal(1)), (CENTS, Decimal("0.01"))):
        for name in names:
            if name in item:
                amount = _exact(item[name])
                return None if amount is None else amount * unit
    return None


def _exact(value: object) -> Decimal | None:
    """A number as it is written, also as a text; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = Decimal(str(value).strip())
    except (InvalidOperation, ValueError):  # ValueError: Python writes out no number of 5000 digits
        return None
    return number if number.is_finite() and number.adjusted() < LONGEST_NUMBER and abs(number) < MOST else None


def _merged(rows: list[TagUsage]) -> tuple[TagUsage, ...]:
    """A tag that has several rows (by model, say) as one, in the tags' order."""
    by_tag: dict[str, TagUsage] = {}
    for row in rows:
        before = by_tag.get(row.tag, TagUsage(tag=row.tag, usd=Decimal(0), requests=0))
        known = before.requests is not None and row.requests is not None
        requests = (before.requests or 0) + (row.requests or 0) if known else None
        by_tag[row.tag] = TagUsage(tag=row.tag, usd=before.usd + row.usd, requests=requests)
    return tuple(by_tag[tag] for tag in sorted(by_tag))
