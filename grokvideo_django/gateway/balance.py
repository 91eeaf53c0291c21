"""The wallet's balance, of whose shape the vendor documents nothing but that it is there."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_TEXT = 40
LARGEST_USD = Decimal(10**9)

# In cents, then in dollars. What was spent, granted or topped up is none of it.
_CENTS = ("balance_cents", "available_cents", "remaining_cents", "cents")
_DOLLARS = ("balance_usd", "balance", "available_usd", "credit_balance", "available", "remaining", "usd", "amount")
_WRAPPERS = ("data", "wallet", "balance")


def parse_balance(payload: object) -> Decimal | None:
    """What is left, in US dollars to the hundredth of a cent; None if the decoded JSON does not say so.

    Never raises. A balance of ``null``, an endless wallet's, says nothing either.
    """
    for place in _places(payload):
        for names, divisor in ((_CENTS, 100), (_DOLLARS, 1)):
            for name in names:
                number = _number(place.get(name))
                if number is not None and abs(number / divisor) <= LARGEST_USD:
                    return (number / divisor).quantize(Decimal("0.0001"))
    return None


def _places(payload: object) -> Iterator[dict[str, object]]:
    if not isinstance(payload, dict):
        return
    yield payload
    for name in _WRAPPERS:
        inner = payload.get(name)
        if isinstance(inner, dict):
            yield inner


def _number(value: object) -> Decimal | None:
    """A finite number, also written as a text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, int) and abs(value) > 100 * LARGEST_USD:
        return None  # Python refuses to write out one of more than 4300 digits
    try:
        number = Decimal(str(value).strip()[:LONGEST_TEXT])
    except InvalidOperation:
        return None
    return number if number.is_finite() and number.adjusted() <= LARGEST_USD.adjusted() + 2 else None
