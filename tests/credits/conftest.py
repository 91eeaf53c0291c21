"""An empty account, a clock that can be moved, and a time zone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.utils import timezone

from grokvideo_django.models import CreditAccount

real_now = timezone.now


class Clock:
    """What the ledger takes for the time: the real one, moved."""

    def __init__(self) -> None:
        self.moved = timedelta()

    def __call__(self) -> datetime:
        return real_now() + self.moved

    def move(self, **amount: float) -> None:
        self.moved += timedelta(**amount)

    def later(self, **amount: float) -> datetime:
        return self() + timedelta(**amount)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    moved = Clock()
    monkeypatch.setattr(timezone, "now", moved)
    return moved


@pytest.fixture
def user(db: None) -> User:
    return get_user_model().objects.create_user("ada")


@pytest.fixture
def account(user: User) -> CreditAccount:
    """Empty."""
    return CreditAccount.objects.for_user(user)


@pytest.fixture
def berlin(settings: Any) -> Iterator[None]:
    """The site's time zone, with a change of the clocks."""
    settings.TIME_ZONE = "Europe/Berlin"
    timezone.get_default_timezone.cache_clear()
    yield
    settings.TIME_ZONE = "UTC"
    timezone.get_default_timezone.cache_clear()
