"""How the checks speak."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable
from typing import Any, Final

from django.conf import settings
from django.core.checks import Error, Warning  # noqa: A004 - Django's name

from .. import conf

MISSING: Final = object()

_DEFAULTS: Final = conf.Settings()
_short = reprlib.Repr()
_short.maxstring = _short.maxother = 60


def error(number: int, message: str, hint: str) -> Error:
    """``grokvideo.E001`` and so on."""
    return Error(message, hint=hint, id=f"grokvideo.E{number:03}")


def warning(number: int, message: str, hint: str) -> Warning:
    """``grokvideo.W001`` and so on."""
    return Warning(message, hint=hint, id=f"grokvideo.W{number:03}")


def set_by_site(name: str) -> Any:
    """What the site sets, or MISSING."""
    return conf.raw().get(name, MISSING)


def effective(name: str) -> Any:
    """What the site sets, else the default; of any type."""
    value = set_by_site(name)
    return getattr(_DEFAULTS, name) if value is MISSING else value


def default(name: str) -> Any:
    """What the setting is when the site says nothing."""
    return getattr(_DEFAULTS, name)


def site_setting(name: str) -> Any:
    """One of Django's settings; None if there is none."""
    return getattr(settings, name, None)


def shown(value: object) -> str:
    """A value as in Python, cut to what a line can bear."""
    return _short.repr(value)


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """``Did you mean "MAX_BYTES"? `` for a misspelt name, or nothing."""
    by_upper = {text.upper(): text for text in known}
    close = difflib.get_close_matches(str(name)[:100].upper(), by_upper, n=1)
    return f'Did you mean "{by_upper[close[0]]}"? ' if close else ""
