"""An empty account, and a clock that can be moved."""

from __future__ import annotations

from datetime import datetime, timedelta

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
