"""What the RQ jobs do, in the order in which they do it."""

from __future__ import annotations

import pytest
from django.utils import timezone

from grokvideo_django import jobs, queue, services
from grokvideo_django.lifecycle import site
from grokvideo_django.models import PlannedFile, VideoRequest
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
