"""Threads that only speak HTTP."""

from __future__ import annotations

import threading

import pytest
from django.utils import timezone

from grokvideo_django.gateway import JobNotFound, JobState
from grokvideo_django.models import VideoRequest
from grokvideo_django.polling import reader as reading_threads
from grokvideo_django.polling.reader import CANCEL_SENT, Reader, wants_cancel
from grokvideo_django.submission import client

from .conftest import order


def no_beat():
    raise AssertionError("all answers were there within a second")


def row(job_id, **values):
    return VideoRequest(gateway_job_id=job_id, **{"status": "submitted", **values})


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({}, False),
        ({"cancel_requested_at": timezone.now()}, True),
        ({"cancel_requested_at": timezone.now(), "cancel_refused_at": timezone.now()}, False),
        ({"cancel_requested_at": timezone.now(), "gateway_status": CANCEL_SENT}, False),
        ({"cancel_requested_at": timezone.now(), "gateway_status": "queued"}, True),
        ({"cancel_requested_at": timezone.now(), "status": "in_doubt"}, False),
    ],
)
def test_when_a_delete_is_sent(values, wanted):
    assert wants_cancel(row("job_1", **values)) == wanted


def test_one_answer_a_row_in_their_order(sandbox):
    with client() as gateway:
        ids = [gateway.create(order("A fox [sandbox:never]")).id for _ in range(5)]
    rows = [row(ids[0]), row("job_unknown"), *(row(job_id) for job_id in ids[1:]), row(None)]
    with Reader(client) as reader:
        answers = list(reader.ask(rows, beat=no_beat))
    assert [answer.row for answer in answers] == rows
    assert [answer.job.id if answer.job else type(answer.error) for answer in answers] == [
        ids[0], JobNotFound, *ids[1:], JobNotFound,
    ]  # fmt: skip
    assert not any(answer.was_cancel for answer in answers)


def test_a_cancellation_is_a_delete(sandbox):
    with client() as gateway:
        job_id = gateway.create(order("A fox [sandbox:queued=60]")).id
    with Reader(client) as reader:
        (answer,) = reader.ask([row(job_id, cancel_requested_at=timezone.now())], beat=no_beat)
    assert answer.was_cancel
    assert answer.job.state == JobState.CANCELED
    assert sandbox.status(job_id) == "cancelled"


def test_a_client_that_cannot_be_made_is_an_answer_for_each_row():
    def broken():
        raise RuntimeError("no client")

    with Reader(broken) as reader:
        answers = list(reader.ask([row("job_1"), row("job_2", cancel_requested_at=timezone.now())], beat=no_beat))
    assert [str(answer.error) for answer in answers] == ["no client"] * 2
    assert [answer.was_cancel for answer in answers] == [False, True]


def test_clients_are_kept_one_a_thread_and_closed_at_the_end():
    class Client:
        last_rate_limit = None

        def __init__(self):
            self.threads, self.closed = set(), 0

        def read(self, job_id):
            self.threads.add(threading.get_ident())
            return job_id

        def close(self):
            self.closed += 1

    made = []
    with Reader(lambda: made.append(Client()) or made[-1]) as reader:
        for _round in range(3):
            assert len(list(reader.ask([row(f"job_{number}") for number in range(20)], beat=no_beat))) == 20
        assert {one.closed for one in made} == {0}
    assert all(len(one.threads) == 1 for one in made)
    assert len({thread for one in made for thread in one.threads}) == len(made)
    assert {one.closed for one in made} == {1}


def test_the_limit_in_the_headers_comes_along(sandbox):
    with client() as gateway:
        job_id = gateway.create(order("A fox [sandbox:never]")).id
    with Reader(client) as reader:
        assert [answer.limit for answer in reader.ask([row(job_id)], beat=no_beat)] == [None]
        sandbox.options.requests_per_minute = 77
        try:
            [seen] = [answer.limit for answer in reader.ask([row(job_id)], beat=no_beat)]
            assert (seen.limit, seen.remaining) == (77, 74)
        finally:
            sandbox.options.requests_per_minute = 0


def test_while_it_waits_it_beats(sandbox, monkeypatch):
    monkeypatch.setattr(reading_threads, "BEAT_SECONDS", 0.1)
    with client() as gateway:
        job_id = gateway.create(order("A fox [sandbox:never read-stall=0.55]")).id
    beats = []
    with Reader(client) as reader:
        reader.ask([row(job_id)], beat=lambda: beats.append(1))
        assert 2 <= len(beats) <= 6
        assert reader.ask([], beat=no_beat) == []
