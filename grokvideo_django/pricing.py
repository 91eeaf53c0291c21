"""What a video costs, in credits: one function for the screen, the gate and the charge."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Final

from django.utils.translation import gettext as _

from . import conf
from .exceptions import UnknownPrice

MAX_PRICE: Final = 10**9
"""Credits; what is listed above it is a slip of the pen."""


def _at(listed: object, *path: str) -> object:
    """What stands at a path of nested mappings; None where there is no mapping."""
    for name in path:
        listed = listed.get(name) if isinstance(listed, Mapping) else None
    return listed


def _number(value: object) -> Decimal | None:
    """A finite number; None for whatever is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        number = Decimal(str(value))  # str: 0.1 as it is written, not as it is stored
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _listed(model: str, name: str) -> Decimal:
    price = _number(_at(conf.current().PRICES, model, name))
    if price is None or not 0 <= price <= MAX_PRICE:
        raise UnknownPrice(
            _(
                'There is no price for %(name)s of the model "%(model)s", so it cannot be sent. Nothing was charged; '
                'a site manager can add it to GROKVIDEO["PRICES"].'
            )
            % {"name": name, "model": model}
        )
    return price


def price(*, model: str, resolution: str, seconds: int, has_image: bool) -> int:
    """Whole credits for a video of this many seconds; the sum is rounded up.

    Raises:
        UnknownPrice: the price list has no positive price for it. Never zero by accident.
    """
    total = _listed(model, resolution) * seconds
    if total <= 0:
        raise UnknownPrice(
            _(
                'The price of %(resolution)s for the model "%(model)s" is not above zero, so it cannot be sent. '
                'Nothing was charged; a site manager can correct GROKVIDEO["PRICES"].'
            )
            % {"resolution": resolution, "model": model}
        )
    if has_image:
        total += _listed(model, "image")
    return math.ceil(total)


def delivered_seconds(*, reported: float | None, measured: float | None, asked: int) -> int:
    """The seconds to charge for: what the gateway reports, else what the file holds; rounded, 1 to what was asked."""
    seconds = next((value for value in (reported, measured) if value is not None and math.isfinite(value)), asked)
    return max(1, min(asked, math.floor(seconds + 0.5)))


def charge(*, quoted: int, model: str, resolution: str, seconds: int, has_image: bool) -> int:
    """What a delivered video costs: never more than was quoted, also when the price list has changed or lost it."""
    try:
        return min(quoted, price(model=model, resolution=resolution, seconds=seconds, has_image=has_image))
    except UnknownPrice:
        return quoted


OUTCOMES: Final = ("failed", "moderated", "expired", "canceled", "undelivered")
"""What CHARGE can name: ends at the gateway that bring no video, and one that was made and cannot be had."""


def share(outcome: str) -> Decimal:
    """What part of the price the owner pays for an end without a video: 0 to 1; nothing unless the site says so."""
    value = _at(conf.current().CHARGE, outcome)
    if value == "full":
        return Decimal(1)
    part = _number(value)
    return Decimal(0) if part is None else min(max(part, Decimal(0)), Decimal(1))


def has_policy(outcome: str) -> bool:
    """Whether the site has said who pays for it, if only ``"none"``."""
    return _at(conf.current().CHARGE, outcome) is not None


def charge_without_video(*, quoted: int, outcome: str) -> int:
    """Whole credits that an end without a video costs its owner; a share is rounded up."""
    return math.ceil(quoted * share(outcome))


def counted(amount: int) -> str:
    """``1 credit``, ``25 credits``: in English, for what is stored."""
    return f"{amount} credit" if amount == 1 else f"{amount} credits"


def in_dollars(credits_: int) -> str:
    """``25`` → ``$0.25``, by CREDIT_USD."""
    return f"${Decimal(credits_) * Decimal(conf.current().CREDIT_USD):,.2f}"
