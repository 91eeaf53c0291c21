"""Sending one request: the order, the turn, the one POST, and the id that must not be lost."""

from __future__ import annotations

import base64
import io
import logging
from datetime import timedelta

import pytest
from django.core.files.base import ContentFile
from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone
from PIL import Image
from rq.timeouts import JobTimeoutException

from grokvideo_django import services, submission
from grokvideo_django.lifecycle import site, submitting
from grokvideo_django.models import CreditAccount, GatewayState, VideoRequest
from grokvideo_django.polling import rate

from .conftest import make_draft
from .making import last_event, overdue, put, seconds_until, unchanged
from .timing import about

pytestmark = pytest.mark.django_db(transaction=True)


def picture(kind):
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, kind)
    return file.getvalue()


def with_image(owner, content, name="fox.png"):
    return make_draft(owner, image=ContentFile(content, name=name))


@pytest.fixture
def queued(sandbox, editor, redis_server):
    def make(words="", **values):
        request = make_draft(editor, prompt=f"A fox [sandbox:{words}]" if words else "A fox", **values)
        services.start(request)
        return request

    return make


def submit(request):
    submission.submit(request.pk)
    request.refresh_from_db()
    return request


# -- the order


def test_the_order_of_a_text(draft):
    draft.model = "xai/of-its-start"
    order = submission.build_order(draft)
    assert order.payload() == {
        "model": "xai/of-its-start",
        "prompt": "A fox crosses a frozen lake",
        "duration": 1,
        "aspect_ratio": "16:9",
        "resolution": "480p",
    }
    assert (order.idempotency_key, order.tag) == (draft.key, "grokvideo")


def test_the_order_of_what_was_chosen(editor, settings):
    settings.GROKVIDEO = {**settings.GROKVIDEO, "TAG": "mine", "MODEL": "xai/other"}
    row = make_draft(
        editor, mode="fun", aspect_ratio="9:16", resolution="720p", image_url="https://example.com/fox.png"
    )
    order = submission.build_order(row)
    assert (order.mode, order.aspect_ratio, order.resolution) == ("fun", "9:16", "720p")
    assert (order.image_url, order.tag, order.model) == ("https://example.com/fox.png", "mine", "xai/other")


@pytest.mark.parametrize(("kind", "mime"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp")])
def test_an_image_goes_as_what_it_is_and_not_as_it_is_called(kind, mime, editor):
    content = picture(kind)
    url = submission.build_order(with_image(editor, content, "fox.gif")).image_url
    head, _comma, data = url.partition(",")
    assert (head, base64.b64decode(data)) == (f"data:{mime};base64", content)


def test_what_arrives_is_the_order(queued, sandbox, settings):
    request = submit(queued(mode="fun"))
    (accepted,) = sandbox.accepted
    assert (accepted.idempotency_key, accepted.tag) == (request.key, "grokvideo")
    assert accepted.payload["mode"] == "fun"


@pytest.mark.parametrize("harm", ["deleted", "replaced"])
def test_an_image_that_was_lost_or_replaced_is_not_sent_and_costs_nothing(harm, sandbox, editor, redis_server):
    request = with_image(editor, picture("PNG"))
    services.start(request)
    name, storage = request.image.name, request.image.storage
    storage.delete(name)
    if harm == "replaced":
        assert storage.save(name, ContentFile(b"<svg/>")) == name
    submit(request)
    assert (request.status, request.error_code, request.charged_credits) == ("failed", "unsendable", 0)
    assert CreditAccount.objects.get().held == 0
    assert sandbox.accepted == []
    assert last_event(request).message.endswith("It cost nothing.")


# -- the turn


def test_only_what_is_queued_is_sent(sandbox, editor, redis_server):
    for status in VideoRequest.Status.values:
        if status != "queued":
            row = put(editor, status)
            with unchanged():
                submission.submit(row.pk)
    assert sandbox.answers == {}


def test_without_a_turn_the_row_waits_and_not_the_worker(queued, sandbox):
    request = queued()
    rate.gate().block(40)
    submit(request)
    assert (request.status, request.submit_attempts) == ("queued", 0)
    assert seconds_until(request.due_at) == about(40)
    assert sandbox.accepted == []


def test_a_short_wait_for_a_turn_is_waited(queued, sandbox):
    request = queued()
    rate.gate().block(0.2)
    assert submit(request).status == "submitted"


def test_a_row_that_was_canceled_while_it_waited_for_a_turn_stays_so(queued, sandbox, monkeypatch):
    request = queued()
    real = submission._await_turn

    def slow(pk):
        services.cancel(VideoRequest.objects.get(pk=pk))
        return real(pk)

    monkeypatch.setattr(submission, "_await_turn", slow)
    assert submit(request).status == "canceled"
    assert sandbox.accepted == []


# -- the POST


def test_a_lease_that_was_lost_before_the_post_sends_nothing(queued, sandbox, monkeypatch):
    request = queued()

    def stopped(name):
        if name == "submit.claimed":
            VideoRequest.objects.filter(pk=request.pk).update(due_at=timezone.now() - timedelta(seconds=1))

    monkeypatch.setattr(submission.crash, "point", stopped)
    submit(request)
    assert (request.status, sandbox.accepted) == ("submitting", [])
    assert submitting.abandoned(request.pk, timezone.now())


def test_an_answer_that_comes_after_the_row_was_given_up_is_kept(queued, sandbox, monkeypatch):
    """The worker was stopped past its lease; another one called the row in doubt."""
    request = queued()

    def stopped(name):
        if name == "submit.after_post":
            overdue(request)
            assert submitting.abandoned(request.pk, timezone.now())

    monkeypatch.setattr(submission.crash, "point", stopped)
    submit(request)
    assert (request.status, request.gateway_job_id) == ("submitted", sandbox.accepted[0].job_id)
    assert request.error_code == ""


def test_pauses_grow_with_each_try(queued, monkeypatch):
    request = queued("create-503")
    pauses = []
    for _try in range(4):
        submit(request)
        assert request.status == "queued"
        pauses.append(seconds_until(request.due_at))
    assert pauses == about([5, 10, 20, 40])


@pytest.mark.parametrize(
    ("word", "seconds"), [("create-503=50", 50), ("create-429=50", 50), ("create-503=date:50", 50)]
)
def test_retry_after_is_obeyed(word, seconds, queued):
    request = submit(queued(word))
    assert (request.status, last_event(request).kind) == ("queued", "not_accepted")
    assert seconds_until(request.due_at) == about(seconds)


def test_429_stops_all_requests_of_the_site(queued):
    submit(queued("create-429=50"))
    permit = rate.gate().take(1, "read")
    assert (permit.granted, permit.wait_seconds) == (0, about(50))


def test_429_without_a_time_stops_them_for_a_moment(monkeypatch, redis_server):
    submission._learn(submission.NotAccepted("Busy.", status=429))
    permit = rate.gate().take(1, "read")
    assert (permit.granted, permit.wait_seconds) == (0, about(3))


@pytest.mark.parametrize("words", ["never", "create-422"])
def test_a_limit_in_the_headers_is_learned(words, queued, sandbox, redis_server):
    request = queued(words)
    sandbox.options.requests_per_minute = 50
    try:
        submit(request)
    finally:
        sandbox.options.requests_per_minute = 0
    redis_server.forget("grokvideo:rate:*:next")
    assert rate.gate().take(100, "read").granted == 1


def test_a_gateway_that_cannot_be_reached_is_tried_again(queued, sandbox):
    request = queued()
    with sandbox.offline():
        submit(request)
    assert (request.status, last_event(request).kind) == ("queued", "not_accepted")
    assert CreditAccount.objects.get().held == 5
    assert submit(request).status == "submitted"


def test_a_lost_answer_has_no_status_to_show(queued):
    request = submit(queued("lost-answer"))
    assert (request.status, request.error_code) == ("in_doubt", "lost")


# -- the paused site


@pytest.mark.parametrize(("word", "code"), [("create-401", 401), ("create-402", 402), ("create-403", 403)])
def test_a_refused_account_pauses_the_site_with_one_alert(word, code, queued, sandbox, caplog):
    first, second = queued(word), queued(word)
    submit(first)
    submit(second)  # the pause keeps it from being sent at all
    state = GatewayState.objects.current()
    assert (state.is_paused, state.pause_status) == (True, code)
    assert (first.status, second.status, second.submit_attempts) == ("queued", "queued", 0)
    assert CreditAccount.objects.get().held == 10
    assert sandbox.answers[f"create {code}"] == 1
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_no_key_is_a_refused_account(queued, settings, monkeypatch):
    request = queued()
    monkeypatch.setattr(submission, "client", lambda: submission.GatewayClient(base_url="http://x.example", api_key=""))
    submit(request)
    assert (request.status, GatewayState.objects.current().pause_status) == ("queued", 401)


def test_a_permission_to_try_that_somebody_else_took_the_row_of_is_kept(queued, sandbox, monkeypatch):
    site.pause(timezone.now(), status=403, message="")
    site.let_one_through(timezone.now())
    request = queued("delay=0")
    monkeypatch.setattr(submitting, "claim", lambda *_, **__: None)
    submit(request)
    assert GatewayState.objects.current().let_one_through
    assert not sandbox.accepted


def test_a_growing_pause_of_probes_and_a_resumption_by_itself(queued, sandbox):
    request = queued("create-402*3")
    submit(request)
    pauses = []
    for _probe in range(3):
        GatewayState.objects.update(probe_at=timezone.now())
        submit(request)
        state = GatewayState.objects.current()
        if state.is_paused:
            pauses.append(seconds_until(state.probe_at))
    assert pauses == about([30, 60])
    assert not state.is_paused
    assert request.status == "submitted"


def test_a_refused_request_shows_that_the_account_works(queued):
    site.pause(timezone.now() - timedelta(minutes=1), status=402, message="")
    request = submit(queued("create-422"))
    assert request.status == "failed"
    assert not GatewayState.objects.current().is_paused


@pytest.mark.parametrize("word", ["create-503", "lost-answer", "create-500"])
def test_what_says_nothing_about_the_account_does_not_resume(word, queued):
    site.pause(timezone.now() - timedelta(minutes=1), status=402, message="")
    submit(queued(word))
    assert GatewayState.objects.current().is_paused


# -- the id


class Away:
    """A database that is away for the first so many writes of a gateway id."""

    def __init__(self, times, error=OperationalError):
        self.left = times
        self.error = error

    def __call__(self, execute, sql, params, many, context):
        if self.left and "gateway_job_id" in sql and sql.startswith("UPDATE"):
            self.left -= 1
            raise self.error("server closed the connection unexpectedly")
        return execute(sql, params, many, context)


@pytest.fixture
def naps(monkeypatch):
    taken = []
    monkeypatch.setattr(submission.time, "sleep", taken.append)
    return taken


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_a_database_that_is_away_does_not_lose_the_id(error, queued, sandbox, naps, caplog):
    request = queued()
    with connection.execute_wrapper(Away(3, error)):
        submission.submit(request.pk)
    request.refresh_from_db()
    job_id = sandbox.accepted[0].job_id
    assert (request.status, request.gateway_job_id) == ("submitted", job_id)
    assert naps == [3, 3, 3]
    criticals = [record for record in caplog.records if record.levelno == logging.CRITICAL]
    assert len(criticals) == 3
    assert all(job_id in record.getMessage() for record in criticals)


def test_a_database_that_stays_away_leaves_the_id_in_the_log(queued, sandbox, naps, caplog):
    request = queued()
    with connection.execute_wrapper(Away(10**6)), pytest.raises(OperationalError):
        submission.submit(request.pk)
    request.refresh_from_db()
    assert request.status == "submitting"
    assert len(naps) == submission.SAVE_TRIES - 1
    assert sandbox.accepted[0].job_id in caplog.text
    assert len(sandbox.accepted) == 1


@pytest.mark.parametrize("error", [ZeroDivisionError, JobTimeoutException, KeyboardInterrupt])
def test_another_error_is_not_waited_for_and_leaves_the_id_in_the_log(error, queued, sandbox, naps, caplog):
    request = queued()
    with connection.execute_wrapper(Away(1, error)), pytest.raises(error):
        submission.submit(request.pk)
    assert naps == []
    assert [record.levelno for record in caplog.records] == [logging.CRITICAL]
    assert sandbox.accepted[0].job_id in caplog.text
