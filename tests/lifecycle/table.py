"""What holds for every transition: where it may start, what it leaves behind, and that its fence holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from grokvideo_django.lifecycle.submitting import Lease
from grokvideo_django.models import CreditAccount, CreditEntry, VideoRequest

from ..making import Status, another_lease, last_event, lease_of, put, seconds_until, turn_into, unchanged
from ..timing import about


@dataclass(frozen=True, kw_only=True)
class Case:
    """One transition. ``due`` is None, or the seconds until the row is looked at again."""

    name: str
    act: Callable[[VideoRequest, Lease], object]
    allowed: tuple[str, ...]
    to: str | None
    kind: str
    due: float | None = None
    charged: int | None = None
    settled: str = ""
    fenced: bool = True
    before: Mapping[str, Any] = field(default_factory=dict)
    """Columns that the row must have for it."""
    error_code: str | None = None
    says: str = ""


def from_every_allowed_status(cases: list[Case]) -> Any:
    pairs = [(case, status) for case in cases for status in case.allowed]
    return pytest.mark.parametrize(("case", "status"), pairs, ids=[f"{case.name}-{status}" for case, status in pairs])


def each(cases: list[Case]) -> Any:
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


def fenced(cases: list[Case]) -> Any:
    return each([case for case in cases if case.fenced])


def check_moves(case: Case, status: str, owner: Any) -> VideoRequest:
    """It moves, says so, and leaves the row, its lease, its date and its money as they should be."""
    row = put(owner, status, **case.before)
    events = row.events.count()
    assert case.act(row, lease_of(row))
    row.refresh_from_db()
    assert row.status == (case.to or status)
    assert row.events.count() == events + 1
    event = last_event(row)
    assert (event.kind, event.from_status, event.to_status) == (case.kind, status, row.status)
    assert case.says in event.message
    assert row.lease_token is None
    if case.due is None:
        assert row.due_at is None
    else:
        assert seconds_until(row.due_at) == about(case.due)
    if case.error_code is not None:
        assert (row.error_code, bool(row.error_message)) == (case.error_code, bool(case.error_code))
    _check_money(case, row)
    return row


def _check_money(case: Case, row: VideoRequest) -> None:
    account = CreditAccount.objects.get(user=row.owner)
    hold = CreditEntry.objects.get(kind="hold")
    assert row.charged_credits == case.charged
    assert [entry.kind for entry in CreditEntry.objects.filter(resolves=hold)] == (
        [case.settled] if case.settled else []
    )
    assert account.held == (0 if case.settled else 5)
    assert (row.finished_at is not None) == bool(case.settled)


def check_stays(case: Case, owner: Any) -> None:
    """From every other status nothing is written."""
    row = put(owner, Status.SUBMITTED)
    for status in Status.values:
        if status not in case.allowed:
            turn_into(row, status, **case.before)
            with unchanged():
                assert not case.act(row, lease_of(row)), status


def check_fence(case: Case, owner: Any) -> None:
    """Another's lease, one that was taken over, and one that was ended: nothing is written."""
    row = put(owner, case.allowed[0], **case.before)
    with unchanged():
        assert not case.act(row, another_lease(row))
    mine = lease_of(row)
    VideoRequest.objects.filter(pk=row.pk).update(lease_token=another_lease(row).token)
    with unchanged():
        assert not case.act(row, mine)
    VideoRequest.objects.filter(pk=row.pk).update(lease_token=None)
    with unchanged():
        assert not case.act(row, mine)
