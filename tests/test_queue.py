"""The doorbell, with a real Redis: what is enqueued, and what happens when there is none."""

from __future__ import annotations

import logging
import signal
import threading
import time
from importlib import import_module

import django_rq
import pytest
from django.db import transaction
from rq.job import Job

from grokvideo_django import queue, services

from .conftest import make_draft

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def waiting(redis_server):
    """The jobs in the queue."""
    rq_queue = django_rq.get_queue("default")
    return lambda: rq_queue.jobs


@pytest.fixture
def no_redis(redis_server):
    redis_server.stop()


def stranger(**values):
    """A job of the site's own."""
    return django_rq.get_queue("default").enqueue("time.sleep", 0, **values)


# -- what a job carries


@pytest.mark.parametrize(
    ("ring", "function", "arguments", "seconds"),
    [
        (lambda: queue.submit(7), queue.SUBMIT, (7,), 150),
        (lambda: queue.fetch(7), queue.FETCH, (7,), 180),
        (queue.ring, queue.TICK, (), 90),
    ],
    ids=["submit", "fetch", "tick"],
)
def test_every_job_has_its_limits_and_leaves_nothing_behind(ring, function, arguments, seconds, waiting):
    assert ring() is True
    (job,) = waiting()
    assert (job.func_name, job.args) == (function, arguments)
    assert job.timeout == seconds
    assert 0 < job.ttl <= 3600
    assert (job.result_ttl, job.failure_ttl) == (0, 3600)
    assert not job.repeats_left
    assert not job.retries_left


def test_slower_settings_make_longer_limits(waiting, settings):
    settings.GROKVIDEO = {**settings.GROKVIDEO, "POST_TIMEOUT": 200, "FETCH_SECONDS": 900.5}
    queue.submit(7)
    queue.fetch(7)
    assert {job.func_name: job.timeout for job in waiting()} == {queue.SUBMIT: 290, queue.FETCH: 960}


def test_what_is_finished_comes_home_before_anything_new_begins(waiting):
    queue.submit(7)
    queue.ring()
    queue.fetch(7)
    assert [job.func_name for job in waiting()] == [queue.FETCH, queue.SUBMIT, queue.TICK]


def test_the_jobs_exist():
    for name in (queue.SUBMIT, queue.TICK, queue.FETCH):
        module, _dot, function = name.rpartition(".")
        assert callable(getattr(import_module(module), function))


def test_the_queue_is_a_setting(waiting, settings):
    settings.RQ_QUEUES = {**settings.RQ_QUEUES, "videos": settings.RQ_QUEUES["default"]}
    settings.GROKVIDEO = {**settings.GROKVIDEO, "QUEUE": "videos"}
    assert queue._queue().name == "videos"


# -- the bell


def test_however_many_ask_one_tick_is_queued(waiting):
    assert [queue.ring(), queue.ring(), queue.ring()] == [True] * 3
    assert len(waiting()) == 1
    assert 0 < queue.connection().ttl(queue.BELL_KEY) <= 30


def test_a_tick_that_has_started_can_be_succeeded(waiting):
    queue.ring()
    queue.Bell().clear()
    queue.Bell().ring()
    assert len(waiting()) == 2


# -- transactions


@pytest.mark.parametrize("ring", [queue.ring_on_commit, lambda: queue.submit_on_commit(7)], ids=["ring", "submit"])
def test_nothing_is_queued_before_the_commit(ring, waiting):
    with transaction.atomic():
        ring()
        assert waiting() == []
    assert len(waiting()) == 1


@pytest.mark.parametrize("ring", [queue.ring_on_commit, lambda: queue.submit_on_commit(7)], ids=["ring", "submit"])
def test_what_is_rolled_back_queues_nothing(ring, waiting):
    with transaction.atomic():
        ring()
        transaction.set_rollback(True)
    assert waiting() == []


def test_starting_queues_one_submission(waiting, editor):
    request = make_draft(editor)
    services.start(request)
    (job,) = waiting()
    assert (job.func_name, job.args) == (queue.SUBMIT, (request.pk,))


# -- without Redis


@pytest.mark.parametrize("ring", [queue.ring, lambda: queue.submit(7), lambda: queue.fetch(7)])
def test_without_redis_a_ring_is_a_warning(ring, no_redis, caplog):
    assert ring() is False
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "Redis cannot be reached" in caplog.text


def test_without_redis_a_start_succeeds_and_the_row_waits(no_redis, editor, caplog):
    request = make_draft(editor)
    services.start(request)
    assert (request.status, request.due_at is not None) == ("queued", True)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_a_redis_that_goes_between_bell_and_job(waiting, monkeypatch, caplog):
    def gone(*args, **values):
        raise queue.RedisError("gone")

    monkeypatch.setattr("rq.Queue.enqueue", gone)
    assert queue.ring() is False
    assert "gone" in caplog.text


def test_without_redis_the_tick_sees_nothing_and_goes_on(no_redis, caplog):
    bell = queue.Bell()
    bell.clear()
    bell.ring()
    bell.submit([1, 2])
    bell.fetch([3])
    assert (bell.room(), bell.has_other_work()) == (0, False)
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_a_redis_that_is_down_is_given_up_at_once(no_redis):
    """redis-py's own way is three pauses, for seconds that an editor would wait for."""
    for connection in (queue.connection(), queue._queue().connection):
        retry = connection.connection_pool.connection_kwargs["retry"]
        assert retry.get_retries() == 1
        assert retry._backoff.compute(1) == 0


def test_a_redis_that_hangs_is_given_up_too(redis_server, draft):
    """It takes connections, as a process that is stopped does, and answers nothing."""
    redis_server.process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    try:
        services.start(draft)
    finally:
        redis_server.process.send_signal(signal.SIGCONT)
    assert time.monotonic() - began < 10 * queue.ANSWER_SECONDS
    assert draft.status == "queued"


def test_a_time_out_of_the_site_is_kept(monkeypatch):
    for asked, kept in (("?socket_timeout=9", 9), ("", queue.ANSWER_SECONDS)):
        monkeypatch.setitem(django_rq.settings.QUEUES, "default", {"URL": f"redis://127.0.0.1:1/0{asked}"})
        assert queue.connection().connection_pool.connection_kwargs["socket_timeout"] == kept


# -- what the tick sees


def test_room(waiting):
    bell = queue.Bell()
    assert bell.room() == 50
    bell.submit(range(30))
    bell.fetch(range(15))
    assert bell.room() == 5
    bell.submit(range(30))
    assert bell.room() == 0
    assert [job.func_name for job in waiting()[14:16]] == [queue.FETCH, queue.SUBMIT]


def test_an_empty_queue_is_no_other_work(waiting):
    assert queue.Bell().has_other_work() is False


@pytest.mark.parametrize("ring", [lambda: queue.submit(7), lambda: queue.fetch(7), stranger])
def test_other_jobs_are_other_work_and_stay(ring, waiting):
    ring()
    assert queue.Bell().has_other_work() is True
    assert len(waiting()) == 1


def test_ticks_that_wait_are_removed_and_their_bell_with_them(waiting):
    """Or the successor's ring would count as answered, and nobody would poll any more."""
    queue.ring()
    cron = django_rq.get_queue("default").enqueue(queue.TICK)
    assert queue.Bell().has_other_work() is False
    assert waiting() == []
    assert not Job.exists(cron.id, connection=queue.connection())
    assert queue.ring() is True
    assert len(waiting()) == 1


def test_ticks_are_removed_from_among_other_jobs(waiting):
    queue.submit(7)
    queue.ring()
    queue.fetch(7)
    assert queue.Bell().has_other_work() is True
    assert [job.func_name for job in waiting()] == [queue.FETCH, queue.SUBMIT]


def test_a_bell_stays_while_no_tick_is_removed(waiting):
    queue.connection().set(queue.BELL_KEY, 1)
    queue.submit(7)
    queue.Bell().has_other_work()
    assert queue.connection().exists(queue.BELL_KEY)


def test_ids_whose_jobs_have_expired_are_removed(waiting):
    job = stranger()
    queue.connection().delete(job.key)
    assert queue.Bell().has_other_work() is False
    assert queue._queue().get_job_ids() == []


def test_a_tick_that_a_worker_has_just_taken_is_left_to_it(waiting, monkeypatch):
    """It was taken between the look at the queue and the look at the job."""
    queue.ring()
    (job,) = waiting()
    real = Job.fetch_many

    def taken(*args, **values):
        queue.connection().delete(queue._queue().key)
        return real(*args, **values)

    monkeypatch.setattr(Job, "fetch_many", taken)
    assert queue.Bell().has_other_work() is False
    assert Job.exists(job.id, connection=queue.connection())
    assert queue.connection().exists(queue.BELL_KEY)


def test_a_job_that_cannot_be_read_is_a_strangers(waiting):
    """A job of another release of the site, say: it must not end the polling."""
    job = stranger()
    queue.connection().hset(job.key, "data", b"no pickle")
    assert queue.Bell().has_other_work() is True
    assert queue._queue().get_job_ids() == [job.id]


def test_why_redis_cannot_be_reached(redis_server):
    assert queue.trouble() is None
    redis_server.stop()
    assert "refused" in queue.trouble()


def test_the_first_who_asks_with_a_key_is_told_so_until_it_is_over(redis_server):
    assert [queue.is_first("grokvideo:test", seconds=60) for _time in range(2)] == [True, False]
    redis_server.flush()
    assert queue.is_first("grokvideo:test", seconds=60)


def test_without_redis_everybody_is_the_first(redis_server):
    redis_server.stop()
    assert [queue.is_first("grokvideo:test", seconds=60) for _time in range(2)] == [True, True]


def test_a_worker_that_ends_while_its_connection_is_broken_ends(redis_server):
    """In redis-py before 6.4 a subscription that reconnects to say that it ends waits for itself, for ever."""
    subscription = django_rq.get_connection("default").pubsub()
    subscription.subscribe(commands=print)
    subscription.connection.disconnect()
    ending = threading.Thread(target=subscription.unsubscribe, daemon=True)
    ending.start()
    ending.join(10)
    assert not ending.is_alive()
    subscription.close()
