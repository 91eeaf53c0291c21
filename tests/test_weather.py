"""The switch of the site, starting anew what is in doubt, and the words about the gateway's state."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser, Permission
from django.db import transaction
from django.utils import timezone, translation

from grokvideo_django import jobs, services, submission, weather
from grokvideo_django.admin import explaining
from grokvideo_django.exceptions import (
    BudgetExceeded,
    InsufficientCredits,
    InvalidRequest,
    InvalidTransition,
    NotAllowed,
    QuoteChanged,
)
from grokvideo_django.lifecycle import site, submitting
from grokvideo_django.models import Budget, CreditAccount, GatewayState, VideoRequest
from grokvideo_django.polling import rate

from .making import Status, last_event, put, seconds_until, unchanged

pytestmark = pytest.mark.django_db


def state():
    return GatewayState.objects.current()


@pytest.fixture
def switcher(db):
    user = get_user_model().objects.create_user("switcher")
    user.user_permissions.add(Permission.objects.get(codename="change_gatewaystate"))
    return user


# -- the switch


def test_paused_by_hand_nothing_is_sent_and_resumed_it_goes(switcher, editor, draft, sandbox, crank):
    services.pause(switcher, "Enough for today")
    services.start(draft)
    GatewayState.objects.update(probe_at=None)
    assert crank(draft, rounds=2).status == "queued"
    assert (draft.submit_attempts, sandbox.accepted, CreditAccount.objects.get().held) == (0, [], 5)
    services.resume(switcher)
    assert crank(draft).status == "succeeded"


def test_what_was_sent_before_is_finished(switcher, draft, sandbox, crank):
    services.start(draft)
    jobs.submit(draft.pk)
    services.pause(switcher, "Enough")
    assert crank(draft, rounds=2).status == "succeeded"
    assert state().is_paused_by_hand


def test_a_pause_that_begins_while_a_worker_waits_for_its_turn_keeps_it_from_sending(
    draft, sandbox, redis_server, monkeypatch
):
    services.start(draft)
    real = submission._await_turn

    def wait(pk):
        services.pause("cron", "Enough")
        return real(pk)

    monkeypatch.setattr(submission, "_await_turn", wait)
    submission.submit(draft.pk)
    draft.refresh_from_db()
    assert (draft.status, sandbox.accepted) == ("queued", [])


def test_one_submission_let_through_is_one_and_ends_the_pause(editor, sandbox, redis_server):
    rows = [put(editor, Status.QUEUED, lease_token=None) for _ in range(2)]
    site.pause(timezone.now(), status=403, message="")
    for row in rows:
        submission.submit(row.pk)
    assert sandbox.accepted == []
    site.let_one_through(timezone.now())
    rate.gate()
    submission.submit(rows[1].pk)
    assert len(sandbox.accepted) == 1
    assert not state().is_paused


@pytest.mark.parametrize("actor", [None, "cron"])
def test_code_of_the_site_may_switch_and_is_named(actor, redis_server):
    services.pause(actor, " Why not ")
    assert (state().paused_by, state().pause_reason) == (actor or "the site's code", "Why not")
    services.resume(actor, "Because")
    assert not state().is_paused


def test_a_user_needs_the_permission(editor, switcher):
    for act in (
        lambda: services.pause(editor, "x"),
        lambda: services.resume(editor),
        lambda: services.probe_now(editor),
        lambda: services.probe_now(AnonymousUser()),
    ):
        with pytest.raises(NotAllowed, match="ask a site manager"):
            act()
    services.pause(switcher, "x")
    with pytest.raises(NotAllowed):
        services.resume(editor)
    assert state().is_paused_by_hand


def test_what_cannot_be_switched(switcher):
    with pytest.raises(InvalidRequest, match="Say why"):
        services.pause(switcher, "  ")
    for act in (services.resume, services.probe_now):
        with pytest.raises(InvalidTransition):
            act(switcher)
    assert not state().is_paused
    site.pause(timezone.now(), status=402, message="")
    with pytest.raises(InvalidTransition, match="not paused by hand"):
        services.resume(switcher)
    services.pause(switcher, "x")
    with pytest.raises(InvalidTransition, match="by hand already"):
        services.pause(switcher, "y")
    with pytest.raises(InvalidTransition, match="nothing to try"):
        services.probe_now(switcher)


# -- starting anew


@pytest.fixture
def doubtful(editor, redis_server):
    """It holds five credits, and a hundred are left."""
    return put(editor, "in_doubt", gateway_job_id="job_1", due_at=None, error_code="lost")


def books():
    account = CreditAccount.objects.get()
    return account.posted, account.held


def test_starting_anew_releases_and_starts_in_one(doubtful, switcher):
    again = services.start_anew(doubtful, actor=switcher, reason="No trace of it.", expected_credits=5)
    assert (doubtful.status, doubtful.charged_credits) == ("failed", 0)
    assert (again.status, again.retry_of, again.prompt, again.owner) == (
        "queued", doubtful, doubtful.prompt, doubtful.owner,
    )  # fmt: skip
    assert books() == (105, 5)
    event = last_event(doubtful)
    assert (event.kind, event.actor) == ("resolved", "switcher")
    assert "Reason: “No trace of it.” It was made again as a new request." in event.message
    with pytest.raises(InvalidTransition), unchanged():
        services.start_anew(doubtful, actor=None, reason="x")


def test_the_credits_that_are_released_pay_for_the_second(doubtful):
    CreditAccount.objects.update(posted=5)
    services.start_anew(doubtful, actor=None, reason="x")
    assert books() == (5, 5)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda settings: CreditAccount.objects.update(posted=9), InsufficientCredits),
        (lambda settings: Budget.objects.create(scope="site", period="day", limit_credits=9), BudgetExceeded),
    ],
)
def test_what_is_refused_changes_nothing(change, error, doubtful, settings):
    settings.GROKVIDEO = {
        **settings.GROKVIDEO, "PRICES": {"xai/grok-imagine-video": {"480p": "10", "720p": "10", "image": "0"}},
    }  # fmt: skip
    change(settings)
    with pytest.raises(error), unchanged():
        services.start_anew(doubtful, actor=None, reason="x")
    doubtful.refresh_from_db()
    assert doubtful.status == "in_doubt"


def test_another_price_and_no_reason_are_refused(doubtful):
    with pytest.raises(QuoteChanged), unchanged():
        services.start_anew(doubtful, actor=None, reason="x", expected_credits=4)
    with pytest.raises(InvalidRequest, match="Say why"), unchanged():
        services.start_anew(doubtful, actor=None, reason=" ")


def test_the_first_that_arrives_after_all_is_reported_and_changes_nothing(doubtful, caplog):
    VideoRequest.objects.update(gateway_job_id=None)
    again = services.start_anew(doubtful, actor=None, reason="x")
    now = timezone.now()
    submitting.accepted(doubtful.pk, "job_late", now=now, first_read_at=now)
    doubtful.refresh_from_db()
    assert (doubtful.status, again.status, books()) == ("failed", "queued", (105, 5))
    assert "job_late" in caplog.text


def test_it_belongs_to_the_callers_transaction(doubtful):
    with pytest.raises(RuntimeError), unchanged():  # noqa: PT012, SIM117
        with transaction.atomic():
            services.start_anew(doubtful, actor=None, reason="x")
            raise RuntimeError


# -- the words


def test_the_reason_is_in_the_users_language_and_the_gateways_words_are_not():
    with translation.override("de"):
        known = GatewayState(pause_status=402, pause_reason="The site's wallet at the gateway is empty. It says: leer")
        assert weather.reason(known).endswith("ist leer. Es sagt: leer")
        assert weather.cause(known).endswith("ist leer.")
    assert weather.reason(GatewayState(pause_status=402, pause_reason="x")) == site.REASONS[402]
    assert weather.reason(GatewayState(pause_status=None, pause_reason="By hand. It says: x")) == "By hand. It says: x"


@pytest.mark.parametrize(
    ("hours", "words"),
    [
        (None, []),
        (49, []),
        (47, ["The gateway deletes the video in 1\xa0day, and it is not stored here yet."]),
        (-1, ["The gateway has deleted the video by now."]),
    ],
)
def test_the_time_that_is_left_of_a_file(hours, words):
    now = timezone.now()
    request = VideoRequest(file_expires_at=hours and now + timedelta(hours=hours))
    assert list(explaining.file_left(request, now)) == words


@pytest.mark.parametrize("status", [Status.SUBMITTED, Status.RENDERED, Status.IN_DOUBT])
def test_the_page_of_a_request_says_it(status):
    now = timezone.now()
    request = VideoRequest(status=status, file_expires_at=now + timedelta(hours=5, minutes=1))
    assert "in 5\xa0hours" in " ".join(explaining.situation(request, GatewayState(), now))


def test_reads_that_failed_are_no_reason_to_say_that_it_is_not_ready():
    now = timezone.now()
    request = VideoRequest(status=Status.SUBMITTED, submitted_at=now, due_at=now + timedelta(minutes=1), failed_reads=1)
    text = " ".join(explaining.situation(request, GatewayState(), now))
    assert "did not say how it is when it was last asked" in text
    assert "hardly be ready" not in text


def test_a_row_that_waits_because_of_a_person_says_so():
    now = timezone.now()
    paused = GatewayState(paused_since=now - timedelta(minutes=5), paused_by="chief", pause_reason="secret")
    text = " ".join(explaining.situation(VideoRequest(status=Status.QUEUED), paused, now))
    assert "A site manager paused all submissions 5\xa0minutes ago." in text
    assert "secret" not in text


def test_the_next_look_is_soon_when_it_is_due_or_one_may_try():
    now = timezone.now()
    paused = GatewayState(paused_since=now, probe_at=now + timedelta(seconds=4))
    assert weather.is_soon(paused, now)
    paused.probe_at = now + timedelta(seconds=60)
    assert not weather.is_soon(paused, now)
    paused.let_one_through = True
    assert weather.is_soon(paused, now)


def test_probing_now_rings_for_a_tick(switcher, redis_server, django_capture_on_commit_callbacks):
    site.pause(timezone.now(), status=402, message="")
    with django_capture_on_commit_callbacks() as rings:
        services.probe_now(switcher)
    assert len(rings) == 1
    assert seconds_until(state().probe_at) <= 0
