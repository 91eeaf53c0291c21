"""The names in GROKVIDEO, and the type and range of each value: one rule a setting."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from django.core.checks import CheckMessage

from .. import conf, pricing
from .messages import MISSING, default, did_you_mean, error, set_by_site, shown, site_setting

YEAR_SECONDS: Final = 365 * 24 * 3600
HIGHEST_PRICE: Final = 1_000_000
_WORDS: Final = ("none", "full")
_GIB: Final = 1024**3


@dataclass(frozen=True, slots=True)
class Rule:
    """What a value must be, as a question and in words."""

    accepts: Callable[[Any], bool]
    wanted: str


def whole(lowest: int, highest: int) -> Rule:
    """An int; True and False are none."""
    return Rule(
        lambda value: type(value) is int and lowest <= value <= highest,
        f"a whole number from {lowest} to {highest}",
    )


def seconds(highest: int) -> Rule:
    """A positive, finite number."""
    return Rule(
        lambda value: type(value) in {int, float} and 0 < value <= highest,
        f"a number of seconds above 0, at most {highest}",
    )


def text(lowest: int, highest: int) -> Rule:
    """A str of some length, without line breaks and other control characters."""
    return Rule(
        lambda value: isinstance(value, str) and lowest <= len(value) <= highest and value.isprintable(),
        f"a text of {lowest} to {highest} characters",
    )


def decimal(value: object) -> Decimal | None:
    """An exact, finite number, or None. A float is none: 0.07 is a little more than 7/100, and rounds up to more."""
    if type(value) not in {int, str, Decimal}:
        return None
    try:
        number = Decimal(value)  # type: ignore[arg-type]
    except (InvalidOperation, ValueError):
        return None
    return number if number.is_finite() and abs(number) <= HIGHEST_PRICE else None


def _is_positive_decimal(value: object) -> bool:
    return (decimal(value) or 0) > 0


def _is_policy(value: object) -> bool:
    """Outcomes that exist, each with ``none``, ``full`` or a share of the price from 0 to 1."""
    if not isinstance(value, Mapping):
        return False
    shares = [decimal(str(part) if isinstance(part, float) else part) for part in value.values() if part not in _WORDS]
    return set(value) <= set(pricing.OUTCOMES) and all(part is not None and 0 <= part <= 1 for part in shares)


def _is_folder(value: object) -> bool:
    return (
        isinstance(value, str)
        and len(value) <= 100
        and value.isprintable()
        and "\\" not in value
        and not value.startswith("/")
        and ".." not in value.split("/")
    )


FLAG: Final = Rule(lambda value: isinstance(value, bool), "True or False")

RULES: Final[Mapping[str, Rule]] = {
    "MODEL": text(1, 100),
    "ALLOW_PRIVATE_NETWORK": FLAG,
    "REQUESTS_PER_MINUTE": whole(1, 1_000_000),
    "TAG": text(0, 64),
    "READ_TIMEOUT": seconds(60),
    "POST_TIMEOUT": seconds(600),
    "RETRIES_AFTER_500": whole(0, 10),
    "QUEUE": text(1, 100),
    "MAX_QUEUE_AGE": seconds(YEAR_SECONDS),
    "DEADLINE": seconds(YEAR_SECONDS),
    "CREDIT_USD": Rule(_is_positive_decimal, 'an exact number above 0, written as a text such as "0.01"'),
    "CHARGE": Rule(_is_policy, 'a dict such as {"moderated": "full", "canceled": 0.5}'),
    "APPROVAL_ABOVE": Rule(lambda value: value is None or (type(value) is int and value >= 0), "None or whole credits"),
    "APPROVE_OWN": FLAG,
    "MAX_PROMPT_LENGTH": whole(1, 1_000_000),
    "MAX_IMAGE_BYTES": whole(1, _GIB),
    "STORAGE": text(1, 100),
    "UPLOAD_TO": Rule(_is_folder, 'a folder inside the storage, such as "videos/", of at most 100 characters'),
    "MAX_BYTES": whole(1, 1024 * _GIB),
    "FETCH_SECONDS": seconds(24 * 3600),
}
"""API_KEY, BASE_URL, MEDIA_HOSTS, SITE_URL and PRICES have checks of their own."""


def check_values(**_: object) -> list[CheckMessage]:
    """E001, E002, E003."""
    value = site_setting("GROKVIDEO")
    if value is not None and not isinstance(value, Mapping):
        return [
            error(
                1,
                f"GROKVIDEO is {shown(value)}, but must be a dict. Every setting is at its default now.",
                'Write GROKVIDEO = {"API_KEY": "...", ...}.',
            )
        ]
    unknown = [name for name in conf.raw() if name not in conf.NAMES]
    return [*map(_unknown, unknown), *(message for name in RULES for message in _wrong(name))]


def _unknown(name: object) -> CheckMessage:
    return error(
        2,
        f"GROKVIDEO has no setting {shown(name)}; it is ignored.",
        f"{did_you_mean(name, conf.NAMES)}The settings are: {', '.join(sorted(conf.NAMES))}.",
    )


def _wrong(name: str) -> list[CheckMessage]:
    value, rule = set_by_site(name), RULES[name]
    if value is MISSING or rule.accepts(value):
        return []
    return [
        error(
            3,
            f'GROKVIDEO["{name}"] is {shown(value)}, but must be {rule.wanted}.',
            f"Correct it, or remove it: the default is {default(name)!r}.",
        )
    ]


def is_valid(name: str) -> bool:
    """Whether a setting of the table can be used as it is."""
    value = set_by_site(name)
    return value is MISSING or RULES[name].accepts(value)


def is_finite_number(value: object) -> bool:
    """For settings of other apps, which can be anything."""
    return type(value) in {int, float} and math.isfinite(value)  # type: ignore[arg-type]
