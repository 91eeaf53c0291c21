"""Canceling, whatever the gateway says to a DELETE: nothing is released before it is confirmed."""

from __future__ import annotations

import pytest
from django.utils import timezone

from grokvideo_django import jobs, services, submission
from grokvideo_django.exceptions import InvalidTransition
from grokvideo_django.models import CreditAccount, CreditEntry, GatewayState, VideoRequest

from .conftest import let_time_pass, make_draft
from .making import last_event, put

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def generating(sandbox, editor, redis_server):
    """A request that the gateway has, with these words for the sandbox in its prompt."""

    def make(words):
        request = make_draft(editor, prompt=f"A fox [sandbox:{words}]")
        services.start(request)
        jobs.submit(request.pk)
        request.refresh_from_db()
        assert request.status == "submitted"
        return request

    return make


def tick(request, redis_server):
    redis_server.forget("grokvideo:rate:*")
    let_time_pass()
    jobs.tick(0)
    request.refresh_from_db()


def money():
    account = CreditAccount.objects.get()
    return account.posted, account.held


def deletes(sandbox):
    return sum(count for what, count in sandbox.answers.items() if what.startswith("cancel"))


def test_a_queued_job_is_canceled_and_released(generating, redis_server):
    request = generating("queued=60")
    services.cancel(request, actor="somebody")
    assert (request.status, request.cancel_requested_at is not None) == ("submitted", True)
    assert money() == (100, 5)
    tick(request, redis_server)
    assert (request.status, request.charged_credits, request.due_at) == ("canceled", 0, None)
    assert "The gateway has canceled it. It cost nothing." in last_event(request).message
    assert money() == (100, 0)


@pytest.mark.parametrize("end", ["canceled", "refused", "too old"])
def test_a_500_that_was_accepted_is_not_given_up_when_the_request_ends_before_it_is_tried_again(
    end, sandbox, editor, redis_server, caplog
):
    """A paid video without a name: nobody may say that it cost nothing."""
    refusal = " create-409" if end == "refused" else ""
    request = make_draft(editor, prompt=f"A fox [sandbox:error-but-accepted*1{refusal}]")
    services.start(request)
    jobs.submit(request.pk)
    request.refresh_from_db()
    assert (request.status, request.server_faults, len(sandbox.accepted)) == ("queued", 1, 1)
    if end == "canceled":
        services.cancel(request, actor="somebody")
    elif end == "too old":
        VideoRequest.objects.update(queue_expires_at=timezone.now())
        tick(request, redis_server)
    else:
        let_time_pass()
        redis_server.forget("grokvideo:rate:*")
        jobs.submit(request.pk)
        request.refresh_from_db()
    assert (request.status, request.error_code, money()) == ("in_doubt", "500", (100, 5))
    assert "nobody knows whether it accepted that one" in last_event(request).message
    assert f"Request {request.pk} is in doubt" in caplog.text


@pytest.mark.parametrize("code", [400, 404, 405, 409, 422])
def test_a_refusal_finishes_keeps_and_charges_the_video_and_says_so(code, generating, sandbox, crank, redis_server):
    request = generating(f"queued=60 cancel-{code}")
    services.cancel(request)
    tick(request, redis_server)
    assert (request.status, request.cancel_refused_at is not None) == ("submitted", True)
    assert money() == (100, 5)
    event = last_event(request)
    assert event.kind == "cancel_refused"
    assert "it will be finished, kept and charged. It says: " in event.message
    sandbox.finish()
    crank(request, rounds=2)
    assert (request.status, request.charged_credits) == ("succeeded", 5)
    assert money() == (95, 0)
    assert deletes(sandbox) == 1


def test_a_job_in_processing_is_refused_by_the_gateway_itself(generating, sandbox, redis_server):
    request = generating("never")
    services.cancel(request)
    tick(request, redis_server)
    assert (request.status, last_event(request).kind) == ("submitted", "cancel_refused")
    tick(request, redis_server)
    assert deletes(sandbox) == 1


def test_a_job_in_processing_may_be_canceled_after_all(generating, redis_server):
    request = generating("never cancel-processing")
    services.cancel(request)
    tick(request, redis_server)
    assert (request.status, money()) == ("canceled", (100, 0))


@pytest.mark.parametrize(
    "word", ["401", "403", "429", "500", "502", "503", "lost-request", "unconfirmed", "ignored", "503=1", "429=date:1"]
)
def test_what_is_not_confirmed_releases_nothing_and_is_asked_again(word, generating, sandbox, redis_server):
    request = generating(f"queued=60 cancel-{word}*1")
    services.cancel(request)
    tick(request, redis_server)
    assert (request.status, request.cancel_refused_at, request.charged_credits) == ("submitted", None, None)
    assert (money(), deletes(sandbox)) == ((100, 5), 1)
    tick(request, redis_server)  # a read, before another DELETE
    assert (request.status, request.gateway_status) == ("submitted", "queued")
    assert (money(), deletes(sandbox)) == ((100, 5), 1)
    tick(request, redis_server)
    assert (request.status, deletes(sandbox)) == ("canceled", 2)
    assert money() == (100, 0)


@pytest.mark.parametrize("word", ["unconfirmed", "ignored", "lost-request", "500", "503", "502"])
def test_deletes_and_reads_alternate_for_ever(word, generating, sandbox, redis_server):
    request = generating(f"queued=60 cancel-{word}")
    services.cancel(request)
    for _round in range(6):
        tick(request, redis_server)
    assert (request.status, deletes(sandbox), sandbox.answers["read 200"]) == ("submitted", 3, 3)
    assert money() == (100, 5)
    assert CreditEntry.objects.filter(kind="release").count() == 0


@pytest.mark.parametrize("word", ["unconfirmed", "ignored", "lost-request"])
def test_a_video_that_is_finished_meanwhile_is_kept_and_charged(word, generating, sandbox, crank, redis_server):
    request = generating(f"queued=60 cancel-{word}")
    services.cancel(request)
    tick(request, redis_server)
    sandbox.finish()
    crank(request, rounds=2)
    assert (request.status, request.charged_credits, money()) == ("succeeded", 5, (95, 0))
    event = request.events.get(kind="rendered")
    assert "too late to cancel it: the video is kept and charged" in event.message
    assert request.cancel_refused_at is not None


def test_a_delete_that_finds_the_job_finished_says_so(generating, sandbox, redis_server):
    request = generating("queued=60")
    sandbox.finish()
    services.cancel(request)
    tick(request, redis_server)  # the answer names no address
    tick(request, redis_server)
    assert (request.status, deletes(sandbox)) == ("rendered", 1)
    assert "too late to cancel it" in last_event(request).message
    assert money() == (100, 5)


def test_a_lost_confirmation_is_read(generating, sandbox, redis_server):
    request = generating("queued=60 cancel-lost")
    services.cancel(request)
    tick(request, redis_server)
    assert (request.status, money()) == ("submitted", (100, 5))
    tick(request, redis_server)
    assert (request.status, request.charged_credits, money()) == ("canceled", 0, (100, 0))
    assert "The gateway has canceled it. " in last_event(request).message
    assert deletes(sandbox) == 1


def test_a_refused_key_at_a_delete_pauses_the_site(generating, redis_server):
    request = generating("queued=60 cancel-401")
    services.cancel(request)
    tick(request, redis_server)
    assert GatewayState.objects.current().pause_status == 401
    assert (request.status, request.cancel_refused_at) == ("submitted", None)


@pytest.mark.parametrize("started", [False, True])
def test_what_was_not_sent_is_canceled_at_once(started, sandbox, editor, redis_server):
    request = make_draft(editor)
    if started:
        services.start(request)
    services.cancel(request, actor=editor)
    assert (request.status, request.charged_credits, money()) == ("canceled", 0, (100, 0))
    jobs.submit(request.pk)
    jobs.tick(0)
    assert sandbox.accepted == []
    request.refresh_from_db()
    assert request.status == "canceled"


def test_during_the_submission_the_delete_comes_after_it(sandbox, editor, redis_server):
    """The POST is on its way: whatever comes of it, the wish stays."""
    request = make_draft(editor, prompt="A fox [sandbox:queued=60]")
    services.start(request)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("grokvideo_django.submission.crash.point", cancel_at("submit.before_post", request))
        submission.submit(request.pk)
    request.refresh_from_db()
    assert (request.status, request.cancel_requested_at is not None, money()) == ("submitted", True, (100, 5))
    jobs.tick(0)  # at once: nothing waits for the first read of a video that is wanted
    request.refresh_from_db()
    assert (request.status, money()) == ("canceled", (100, 0))


def cancel_at(where, request):
    def point(name):
        if name == where:
            services.cancel(VideoRequest.objects.get(pk=request.pk))

    return point


@pytest.mark.parametrize(
    ("word", "status", "held"),
    [
        ("create-503", "canceled", 0),
        ("create-402", "canceled", 0),
        ("create-422", "failed", 0),
        ("create-500", "in_doubt", 5),
    ],
)
def test_during_a_submission_that_fails(word, status, held, sandbox, editor, redis_server):
    request = make_draft(editor, prompt=f"A fox [sandbox:{word}]")
    services.start(request)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("grokvideo_django.submission.crash.point", cancel_at("submit.before_post", request))
        jobs.submit(request.pk)
    request.refresh_from_db()
    assert (request.status, money()) == (status, (100, held))
    assert sandbox.accepted == []


def test_twice(generating, redis_server):
    request = generating("queued=60")
    services.cancel(request)
    asked, events = request.cancel_requested_at, request.events.count()
    services.cancel(request)
    assert (request.cancel_requested_at, request.events.count()) == (asked, events)
    tick(request, redis_server)
    with pytest.raises(InvalidTransition, match="already ended"):
        services.cancel(request)


def test_after_a_refusal_nothing_new_is_asked(generating, sandbox, redis_server):
    request = generating("queued=60 cancel-409")
    services.cancel(request)
    tick(request, redis_server)
    services.cancel(request)
    tick(request, redis_server)
    assert (request.status, deletes(sandbox)) == ("submitted", 1)


@pytest.mark.parametrize(
    ("status", "words"),
    [("rendered", "finished and being downloaded"), ("in_doubt", "Nobody knows"), ("succeeded", "already ended")],
)
def test_too_late(status, words, editor, redis_server):
    request = put(editor, status)
    with pytest.raises(InvalidTransition, match=words):
        services.cancel(request)
    request.refresh_from_db()
    assert (request.status, request.cancel_requested_at) == (status, None)
    assert money()[1] == 5


def test_a_cancellation_rings_for_a_tick_after_its_commit(generating, redis_server):
    request = generating("queued=60")
    redis_server.flush()
    services.cancel(request)
    assert jobs.queue._queue().count == 1
    assert request.due_at <= timezone.now()
