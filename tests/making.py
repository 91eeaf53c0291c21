"""Rows in any state, with their hold, and proof that nothing about them has changed."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from grokvideo_django import credits, jobs, services
from grokvideo_django.lifecycle import starting
from grokvideo_django.lifecycle.submitting import Lease
from grokvideo_django.models import CreditAccount, CreditEntry, PlannedFile, VideoRequest, VideoRequestEvent

from .conftest import make_draft

Status = VideoRequest.Status
MODEL = "xai/grok-imagine-video"
IDLE = {Status.DRAFT, Status.AWAITING_APPROVAL, Status.FAILED, Status.CANCELED}
"""Nothing ever happens to these, so they may have no ``due_at``."""
CONTENT = ("target", "target_field", "duration_seconds", "prompt", "image", "image_url", "mode", "target_object_id")
UNSENT = {Status.DRAFT, Status.AWAITING_APPROVAL, Status.QUEUED, Status.SUBMITTING}


def put(owner: User, status: str, **values: Any) -> VideoRequest:
    """A request of five credits a second in this state, with its hold; leased and due in a minute where that can be."""
    row = make_draft(owner, **{name: values.pop(name) for name in CONTENT if name in values})
    quoted = 5 * row.duration_seconds
    credits.grant(owner, quoted)
    now = timezone.now()
    assert starting.start(row, starting.Terms(owner=owner, quoted=quoted, model=MODEL, actor=None), now=now)
    columns: dict[str, Any] = {"status": status, "lease_token": uuid.uuid4(), "due_at": now + timedelta(minutes=1)}
    if status in IDLE:
        columns |= {"lease_token": None, "due_at": None}
    if status not in UNSENT:
        columns |= {"gateway_job_id": f"job_{row.pk}", "submitted_at": now}
    VideoRequest.objects.filter(pk=row.pk).update(**{**columns, **values})
    row.refresh_from_db()
    return row


def many(owner: User, count: int, status: str = Status.SUBMITTED, **values: Any) -> list[VideoRequest]:
    """Rows that hold nothing, made at once."""
    now = timezone.now()
    names = [uuid.uuid4().hex for _ in range(count)]
    columns = {"submitted_at": now, "due_at": now + timedelta(minutes=1), "quoted_credits": 5, "model": MODEL, **values}
    VideoRequest.objects.bulk_create(
        VideoRequest(
            owner=owner,
            prompt="A fox",
            status=status,
            duration_seconds=1,
            gateway_job_id=None if status in UNSENT else f"job_{name}",
            **columns,
        )
        for name in names
    )
    return list(VideoRequest.objects.order_by("-pk")[:count][::-1])


def turn_into(row: VideoRequest, status: str, **values: Any) -> VideoRequest:
    """The same row in another state; what it holds stays as it is."""
    columns: dict[str, Any] = {"status": status, **values}
    if status in IDLE:
        columns |= {"lease_token": None, "due_at": None}
    else:
        columns |= {"lease_token": uuid.uuid4(), "due_at": timezone.now() + timedelta(minutes=1), **values}
    VideoRequest.objects.filter(pk=row.pk).update(**columns)
    row.refresh_from_db()
    return row


def lease_of(row: VideoRequest) -> Lease:
    """The lease that the row is under; any other for a row under none."""
    return Lease(pk=row.pk, token=row.lease_token or uuid.uuid4())


def another_lease(row: VideoRequest) -> Lease:
    return Lease(pk=row.pk, token=uuid.uuid4())


def everything() -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables that a transition may write."""
    tables = (VideoRequest, VideoRequestEvent, CreditEntry, CreditAccount, PlannedFile)
    return {table.__name__: list(table.objects.order_by("pk").values()) for table in tables}


@contextmanager
def unchanged() -> Iterator[None]:
    """Nothing in the block writes anything."""
    before = everything()
    yield
    assert everything() == before


def shift(row: VideoRequest, **columns: timedelta) -> None:
    """Move times of a row into the past by so much."""
    row.refresh_from_db()
    moved = {name: getattr(row, name) - delta for name, delta in columns.items()}
    VideoRequest.objects.filter(pk=row.pk).update(**moved)
    row.refresh_from_db()


def overdue(*rows: VideoRequest) -> None:
    """These are due, and their leases have run out."""
    pks = [row.pk for row in rows]
    VideoRequest.objects.filter(pk__in=pks).update(due_at=timezone.now() - timedelta(seconds=1))


def seconds_until(moment: datetime | None) -> float:
    assert moment is not None
    return (moment - timezone.now()).total_seconds()


def last_event(row: VideoRequest) -> VideoRequestEvent:
    event = row.events.last()
    assert event is not None
    return event


def finished(owner: User, words: str = "", **content: Any) -> VideoRequest:
    """A request whose video is finished at the sandbox, with these words for it, and waits to be fetched."""
    row = make_draft(owner, **{"prompt": f"A fox [sandbox:{words}]" if words else "A fox", **content})
    services.start(row)
    jobs.submit(row.pk)
    overdue(row)
    jobs.tick(0)
    row.refresh_from_db()
    assert row.status == Status.RENDERED
    return row
