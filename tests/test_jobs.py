"""What the RQ jobs do, in the order in which they do it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from grokvideo_django import jobs, queue, services, transactions
from grokvideo_django.lifecycle import site
from grokvideo_django.models import GatewayState, PlannedFile, VideoRequest
from tests.site.models import Article

from .conftest import let_time_pass, make_draft
from .making import overdue, put

pytestmark = pytest.mark.django_db(transaction=True)


def queued():
    return [job.func_name for job in queue._queue().jobs]


def test_submitting_makes_sure_that_somebody_asks(sandbox, editor, redis_server):
    request = make_draft(editor)
    services.start(request)
    redis_server.flush()
    jobs.submit(request.pk)
    request.refresh_from_db()
    assert (request.status, queued()) == ("submitted", [queue.TICK])


def test_a_duplicate_submits_nothing(sandbox, editor, redis_server):
    request = make_draft(editor)
    services.start(request)
    for _time in range(3):
        jobs.submit(request.pk)
    assert len(sandbox.accepted) == 1


@pytest.mark.parametrize(
    ("job", "broken"),
    [(jobs.submit, "grokvideo_django.submission.submit"), (jobs.fetch, "grokvideo_django.media.fetch.fetch")],
)
def test_a_job_that_raises_still_leaves_a_tick(job, broken, redis_server, monkeypatch):
    def boom(*args, **values):
        raise RuntimeError("boom")

    monkeypatch.setattr(broken, boom)
    with pytest.raises(RuntimeError, match="boom"):
        job(7)
    assert queued() == [queue.TICK]


def waits_at_gateway(editor):
    """A request whose video is ready, and that nobody has looked at for a while."""
    request = make_draft(editor)
    services.start(request)
    jobs.submit(request.pk)
    let_time_pass()
    GatewayState.objects.update(ticked_at=timezone.now() - timedelta(seconds=3))
    return request


@pytest.mark.parametrize("other", [jobs.submit, jobs.fetch])
def test_whoever_does_another_job_sees_what_is_ready_when_nobody_else_does(other, sandbox, editor, redis_server):
    """A tick behind a full queue would see it only when the queue is empty."""
    request = waits_at_gateway(editor)
    redis_server.forget("rq:*")
    other(0)
    request.refresh_from_db()
    assert request.status == "rendered"
    assert queue.FETCH in queued()
    assert GatewayState.objects.current().tick_lease_until is None


@pytest.mark.parametrize("state", [{"ticked_at": 1}, {"ticked_at": 3, "tick_lease_until": -2}])
def test_it_does_not_while_somebody_does(state, sandbox, editor, redis_server):
    request = waits_at_gateway(editor)
    now = timezone.now()
    GatewayState.objects.update(**{name: now - timedelta(seconds=seconds) for name, seconds in state.items()})
    jobs.submit(0)
    request.refresh_from_db()
    assert request.status == "submitted"


@pytest.mark.parametrize(("seconds", "per_minute", "seen"), [(60, 600, 15), (0, 2, 1)])
def test_looking_in_passing_waits_for_the_budget_alone_and_not_for_long(
    seconds, per_minute, seen, sandbox, editor, redis_server, settings, monkeypatch
):
    """Submissions have used the budget up: it reads what a burst (12, 1) has room for, then waits for its share."""
    monkeypatch.setattr("grokvideo_django.polling.tick.CATCH_UP_SECONDS", seconds)
    settings.GROKVIDEO = {**settings.GROKVIDEO, "REQUESTS_PER_MINUTE": per_minute}
    for _request in range(15):
        request = make_draft(editor)
        services.start(request)
        redis_server.forget("grokvideo:rate:*")
        jobs.submit(request.pk)
    let_time_pass()
    GatewayState.objects.update(ticked_at=timezone.now() - timedelta(seconds=3))
    redis_server.forget("grokvideo:rate:*")
    jobs.submit(0)
    assert VideoRequest.objects.filter(status="rendered").count() == seen


def test_trouble_in_passing_harms_no_job(sandbox, editor, redis_server, monkeypatch, caplog):
    def boom(*args, **values):
        raise RuntimeError("boom")

    request = make_draft(editor)
    services.start(request)
    monkeypatch.setattr("grokvideo_django.polling.tick.in_passing", boom)
    jobs.submit(request.pk)
    request.refresh_from_db()
    assert request.status == "submitted"
    assert "could not be read in passing" in caplog.text


def test_fetching_attaches_too(sandbox, editor, redis_server):
    article = Article.objects.create(title="Foxes")
    request = make_draft(editor, target=article, target_field="hero")
    services.start(request)
    jobs.submit(request.pk)
    let_time_pass()
    jobs.tick(0)
    redis_server.flush()
    jobs.fetch(request.pk)
    article.refresh_from_db()
    assert article.hero
    assert queued() == [queue.TICK]


def test_a_tick_of_rounds_of_no_time_asks_once(sandbox, editor, redis_server):
    request = make_draft(editor, prompt="A fox [sandbox:never]")
    services.start(request)
    jobs.submit(request.pk)
    redis_server.flush()
    let_time_pass()
    assert jobs.tick(0) is True
    assert sandbox.answers["read 200"] == 1
    assert queued() == [queue.TICK]


def test_a_tick_that_finds_the_lease_taken_says_so(sandbox, editor, redis_server):
    site.acquire_tick(timezone.now(), seconds=60)
    assert jobs.tick(0) is False


def test_a_tick_sweeps(sandbox, editor, redis_server):
    row = put(editor, "rendered")
    PlannedFile.objects.create(lease_token=row.lease_token, request_key=row.key, place="result", name="grokvideo/x.mp4")
    jobs.tick(0)
    assert PlannedFile.objects.exists()
    overdue(row)
    jobs.tick(0)
    assert not PlannedFile.objects.exists()


def test_jobs_for_rows_that_are_gone_do_nothing(sandbox, redis_server, db):
    jobs.submit(987_654)
    jobs.fetch(987_654)
    assert not VideoRequest.objects.exists()
    assert sandbox.answers == {}


def test_a_sweep_that_raises_does_not_stop_the_polling(sandbox, editor, redis_server, monkeypatch, caplog):
    def boom(now):
        raise RuntimeError("boom")

    monkeypatch.setattr("grokvideo_django.media.sweep.sweep", boom)
    row = put(editor, "submitting")
    overdue(row)
    assert jobs.tick(0) is True
    row.refresh_from_db()
    assert row.status == "in_doubt"
    assert "Forgotten files could not be looked after." in caplog.text


@pytest.mark.parametrize(("hours", "how"), [(2, "ahead of"), (-2, "behind")])
def test_a_tick_says_that_its_clock_is_wrong(hours, how, redis_server, monkeypatch, caplog):
    moment = timezone.now() - timedelta(hours=hours)
    monkeypatch.setattr(transactions, "database_now", lambda: moment)
    for _tick in range(2):
        jobs.tick(0)
    assert caplog.text.count(f"This machine's clock is 7200 s {how} the database's") == 1


def test_a_tick_brings_back_what_was_put_off_for_hours(editor, redis_server):
    row = put(editor, "submitted", due_at=timezone.now() + timedelta(hours=5))
    jobs.tick(0)
    row.refresh_from_db()
    assert row.due_at < timezone.now() + timedelta(hours=1)
