"""What a site listens to: sent once it is committed, harmed by nobody, and free while nobody listens."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.dispatch import Signal
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from grokvideo_django import credits, services, signals
from grokvideo_django.exceptions import InsufficientCredits
from grokvideo_django.lifecycle import reading, site
from grokvideo_django.models import Budget, CreditEntry, GatewayState, VideoRequest
from grokvideo_django.sandbox import Sandbox

from .conftest import Crank, make_draft
from .making import Status, lease_of, many, put

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def heard(signal: Signal, receive: Callable[..., object] | None = None) -> Iterator[list[dict[str, Any]]]:
    """What is sent in the block."""
    calls: list[dict[str, Any]] = []

    def receiver(sender: type, signal: Signal, **values: Any) -> None:
        calls.append({"sender": sender, **values})
        if receive is not None:
            receive()

    signal.connect(receiver)
    try:
        yield calls
    finally:
        signal.disconnect(receiver)


def test_a_video_from_start_to_end(sandbox: Sandbox, crank: Crank, draft: VideoRequest) -> None:
    with (
        heard(signals.request_status_changed) as changes,
        heard(signals.video_ready) as ready,
        heard(signals.credits_posted) as posted,
    ):
        services.start(draft)
        crank(draft)
    assert [(call["from_status"], call["to_status"], call["kind"]) for call in changes] == [
        ("draft", "queued", "queued"),
        ("queued", "submitting", "submitting"),
        ("submitting", "submitted", "submitted"),
        ("submitted", "rendered", "rendered"),
        ("rendered", "succeeded", "succeeded"),
    ]
    assert {(call["sender"], call["pk"]) for call in changes} == {(VideoRequest, draft.pk)}
    [call] = ready
    request = call["request"]
    assert (request.pk, request.status, request.charged_credits, bool(request.video)) == (
        draft.pk,
        "succeeded",
        5,
        True,
    )
    assert [call["entry"].kind for call in posted] == ["hold", "capture"]
    assert all(call["entry"].request_key == draft.key for call in posted)


def test_what_keeps_the_status_changes_none(editor: User) -> None:
    row = put(editor, Status.SUBMITTED)
    with heard(signals.request_status_changed) as changes:
        services.cancel(row)
    assert row.cancel_requested_at is not None
    assert changes == []


def test_many_rendered_at_once_send_each_without_a_query_each(editor: User) -> None:
    def render(count: int) -> tuple[set[int], int]:
        rows = many(editor, count)
        token = reading.claim([row.pk for row in rows], now=rows[0].due_at, until=timezone.now())  # type: ignore[arg-type]
        found = [reading.Rendered(pk=row.pk, url="https://media.aigateway.sh/v.mp4") for row in rows]
        with CaptureQueriesContext(connection) as queries:
            reading.rendered(token, found)
        return {row.pk for row in rows}, len(queries)

    with heard(signals.request_status_changed) as changes:
        few = render(2)
        many_ = render(20)
    assert {call["pk"] for call in changes} == few[0] | many_[0]
    assert {(call["from_status"], call["to_status"]) for call in changes} == {("submitted", "rendered")}
    assert few[1] == many_[1]


def test_nothing_is_sent_before_the_commit_nor_after_a_rollback(editor: User, draft: VideoRequest) -> None:
    with heard(signals.request_status_changed) as changes, heard(signals.credits_posted) as posted:
        with transaction.atomic():
            services.start(make_draft(editor))
            transaction.set_rollback(True)
        assert changes == posted == []
        with transaction.atomic():
            services.start(draft)
            assert changes == posted == []
        assert len(changes) == len(posted) == 1


def test_a_refusal_sends_nothing(draft: VideoRequest) -> None:
    VideoRequest.objects.filter(pk=draft.pk).update(duration_seconds=15, resolution="720p")
    with heard(signals.request_status_changed) as changes, pytest.raises(InsufficientCredits):
        services.start(draft)
    assert changes == []


def test_a_receiver_that_raises_harms_nothing_and_is_logged(
    draft: VideoRequest, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ValueError("A bug of the site.")

    with (
        heard(signals.credits_posted, fail),
        heard(signals.request_status_changed, fail) as first,
        heard(signals.request_status_changed) as second,
        caplog.at_level(logging.ERROR, "django.dispatch"),
    ):
        services.start(draft)
    assert draft.status == Status.QUEUED
    assert len(first) == len(second) == 1
    assert "A bug of the site." in caplog.text


def test_a_budget_past_its_warning_level(editor: User, draft: VideoRequest) -> None:
    budget = Budget.objects.create(name="Little", scope="site", period="month", limit_credits=6, warn_percent=50)
    with heard(signals.budget_warned) as warned:
        services.start(draft)
    [call] = warned
    assert (call["sender"], call["budget"], call["used"]) == (Budget, budget, 5)
    assert call["resets_at"] > timezone.now()


def test_the_gateways_pause_begins_and_ends_once(db: None) -> None:
    now = timezone.now()
    with heard(signals.gateway_paused) as paused, heard(signals.gateway_resumed) as resumed:
        for _twice in range(2):
            site.pause(now, status=402, message="")
        for _twice in range(2):
            site.resume(now)
    assert paused == [{"sender": GatewayState, "status": 402, "reason": site.REASONS[402]}]
    assert resumed == [{"sender": GatewayState, "since": now}]


def test_a_pause_by_hand_is_heard_as_one(db: None) -> None:
    now = timezone.now()
    with heard(signals.gateway_paused) as paused, heard(signals.gateway_resumed) as resumed:
        for _twice in range(2):
            site.pause_by_hand(now, actor="boss", reason="The month is over")
        for _twice in range(2):
            site.resume_by_hand(now, actor="boss", reason="")
    assert paused == [{"sender": GatewayState, "status": None, "reason": "The month is over"}]
    assert resumed == [{"sender": GatewayState, "since": now}]


def test_the_rest_of_the_ledger_is_heard_too(editor: User) -> None:
    row = put(editor, Status.SUBMITTED)
    with heard(signals.credits_posted) as posted:
        reading.canceled(lease_of(row), asked=True)
        credits.grant(editor, 5)
    assert [(call["sender"], call["entry"].kind) for call in posted] == [
        (CreditEntry, "release"),
        (CreditEntry, "grant"),
    ]


def test_an_entry_leads_to_its_user(editor: User) -> None:
    row = put(editor, Status.SUBMITTED)
    with heard(signals.credits_posted) as posted:
        reading.canceled(lease_of(row), asked=True)
    assert [call["entry"].account.user for call in posted] == [editor]


def test_while_nobody_listens_nothing_is_prepared(db: None) -> None:
    def values() -> Iterator[dict[str, Any]]:
        raise AssertionError("looked at")
        yield {}

    with transaction.atomic():
        signals.send_all_after_commit(signals.video_ready, VideoRequest, values())
        assert not connection.run_on_commit


def test_a_listener_to_another_sender_is_no_listener(db: None) -> None:
    def receiver(**_values: Any) -> None:
        raise AssertionError("called")

    signals.video_ready.connect(receiver, sender=Budget)
    try:
        with transaction.atomic():
            signals.send_after_commit(signals.video_ready, VideoRequest, request=None)
            assert not connection.run_on_commit
    finally:
        signals.video_ready.disconnect(receiver, sender=Budget)
