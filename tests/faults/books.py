"""Whether everything agrees at the end: the ledger with itself and with the requests, the files with the rows."""

from __future__ import annotations

from pathlib import Path

from django.db.models import Sum

from grokvideo_django.models import (
    CreditAccount,
    CreditDraw,
    CreditEntry,
    CreditGrant,
    GatewayState,
    PlannedFile,
    VideoRequest,
)
from tests.site.models import Article

from .. import settings as test_settings

Status = VideoRequest.Status
HOLDING = (Status.QUEUED, Status.SUBMITTING, Status.SUBMITTED, Status.RENDERED, Status.IN_DOUBT)


def assert_books_agree() -> None:
    """Entries against balances, grants against accounts, holds against requests."""
    for account in CreditAccount.objects.all():
        entries = account.entries.aggregate(posted=Sum("posted_delta"), held=Sum("held_delta"))
        assert (account.posted, account.held) == (entries["posted"] or 0, entries["held"] or 0)
        open_holds = account.entries.filter(kind=CreditEntry.Kind.HOLD, resolution__isnull=True)
        assert account.held == sum(open_holds.values_list("held_delta", flat=True))
        remaining = account.grants.aggregate(left=Sum("remaining"))["left"] or 0
        assert account.posted - account.held == remaining
    for grant in CreditGrant.objects.all():
        drawn = CreditDraw.objects.filter(grant=grant).aggregate(delta=Sum("delta"))["delta"]
        assert grant.remaining == drawn
    for request in VideoRequest.objects.all():
        assert_paid_once(request)


def assert_paid_once(request: VideoRequest) -> None:
    """One hold, and one resolution of it as soon as the request has ended."""
    entries = CreditEntry.objects.filter(request_key=request.key)
    kinds = sorted(entry.kind for entry in entries if entry.kind != CreditEntry.Kind.EXPIRE)
    spent = -sum(entry.posted_delta for entry in entries if entry.kind == CreditEntry.Kind.CAPTURE)
    match request.status:
        case Status.DRAFT:
            expected: list[list[str]] = [[]]
        case Status.SUCCEEDED:
            expected = [["capture", "hold"]]
            assert request.charged_credits == spent > 0
        case Status.FAILED if request.charged_credits:  # by decision
            expected = [["capture", "hold"]]
            assert request.charged_credits == spent
        case Status.FAILED | Status.CANCELED:
            expected = [["hold", "release"]]
            assert request.charged_credits == spent == 0
        case _:
            expected = [["hold"]]
    assert kinds in expected, f"request {request.pk} is {request.status}: {kinds}"


def stray_files() -> list[str]:
    """Files that no row refers to, in all three places."""
    known = set()
    for video, poster in VideoRequest.objects.values_list("video", "poster"):
        known |= {test_settings.MEDIA_ROOT / name for name in (video, poster) if name}
    for hero in Article.objects.exclude(hero="").values_list("hero", flat=True):
        known.add(test_settings.SCRATCH / "target-media" / hero)
    found = {path for folder in folders() for path in folder.rglob("*") if path.is_file()}
    return sorted(str(path) for path in found - known)


def missing_files() -> list[str]:
    """Files that a row refers to and that are not there."""
    rows = VideoRequest.objects.filter(status=Status.SUCCEEDED)
    posters = rows.exclude(poster="").values_list("poster", flat=True)  # a video that kills its workers has none
    wanted = [test_settings.MEDIA_ROOT / name for name in (*rows.values_list("video", flat=True), *posters)]
    heroes = Article.objects.exclude(hero="").values_list("hero", flat=True)
    wanted += [test_settings.SCRATCH / "target-media" / hero for hero in heroes]
    return [str(path) for path in wanted if not path.is_file()]


def folders() -> list[Path]:
    """Where videos, copies and temporary files are."""
    return [test_settings.MEDIA_ROOT, test_settings.SCRATCH / "target-media", test_settings.SCRATCH / "tmp"]


def leases() -> list[str]:
    """Leases of ended rows, and what waits although it has ended."""
    ended = VideoRequest.objects.filter(status__in=VideoRequest.ENDED)
    left = [f"request {row.pk}" for row in ended.exclude(lease_token=None, due_at=None)]
    left += [f"the tick until {until}" for until in _tick_leases()]
    return left


def _tick_leases() -> list[object]:
    held = GatewayState.objects.exclude(tick_lease_until=None)
    return list(held.values_list("tick_lease_until", flat=True))


def assert_nothing_left() -> None:
    """No plan, no stray file, and no file missing. (Leases are waited for: a cron ticks all the time.)"""
    assert not PlannedFile.objects.exists(), list(PlannedFile.objects.values_list("place", "name"))
    assert not (stray := stray_files()), stray
    assert not (missing := missing_files()), missing
