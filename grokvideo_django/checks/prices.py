"""The price list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.core.checks import CheckMessage

from ..models import VideoRequest
from .messages import did_you_mean, effective, error, shown, warning
from .values import decimal

IMAGE: Final = "image"
KNOWN: Final = (*VideoRequest.Resolution.values, IMAGE)
HINT: Final = (
    'Credits a second by resolution, and for an input image, exact: GROKVIDEO["PRICES"] = '
    '{"xai/grok-imagine-video": {"480p": "5", "720p": "7", "image": "0.2"}}.'
)


def check_prices(**_: object) -> list[CheckMessage]:
    """E008, E009, W010."""
    prices = effective("PRICES")
    if not isinstance(prices, Mapping):
        return [error(8, f'GROKVIDEO["PRICES"] is {shown(prices)}, but must be a dict of dicts.', HINT)]
    found = [message for model, listed in prices.items() for message in _of_model(model, listed)]
    model = effective("MODEL")
    return [*found, *(_missing(model, prices) if isinstance(model, str) else [])]


def _of_model(model: object, listed: Any) -> list[CheckMessage]:
    where = f'GROKVIDEO["PRICES"][{shown(model)}]'
    if not isinstance(model, str) or not isinstance(listed, Mapping):
        return [error(8, f"{where} is {shown(listed)}, but must be a dict under the name of a model.", HINT)]
    return [message for name, price in listed.items() for message in _of_name(where, name, price)]


def _of_name(where: str, name: object, price: object) -> list[CheckMessage]:
    if name not in KNOWN:
        known = f"It can be {', '.join(KNOWN)}."
        return [error(8, f"{where} has a price for {shown(name)}.", did_you_mean(name, KNOWN) + known)]
    number = decimal(price)
    if number is None or number < 0 or (number == 0 and name != IMAGE):
        return [error(8, f"{where}[{shown(name)}] is {shown(price)}, but must be an exact number above 0.", HINT)]
    return []


def _missing(model: str, prices: Mapping[Any, Any]) -> list[CheckMessage]:
    if model not in prices:
        message = f'GROKVIDEO["PRICES"] has no entry for {shown(model)}, which is MODEL: every request is refused.'
        return [error(9, message, f"{did_you_mean(model, [name for name in prices if isinstance(name, str)])}{HINT}")]
    listed = prices[model]
    if not isinstance(listed, Mapping):
        return []  # said above
    return [
        warning(10, f'GROKVIDEO["PRICES"] has no price for {name} of {shown(model)}: such requests are refused.', HINT)
        for name in KNOWN
        if name not in listed
    ]
