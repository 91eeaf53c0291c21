"""What each answer to a read or a DELETE means for its row, with the sandbox's own misbehaviours."""

from __future__ import annotations

import logging
import uuid
from collections import Counter
from datetime import timedelta

import pytest
from django.db import DataError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from grokvideo_django.gateway import Job, JobState, ServerFault
from grokvideo_django.lifecycle import reading, site
from grokvideo_django.models import CreditAccount, GatewayState, VideoRequest
from grokvideo_django.polling import rate, schedule
from grokvideo_django.polling.answers import Round
from grokvideo_django.polling.reader import Answer

from ..making import Status, last_event, overdue, put, seconds_until, unchanged
from ..timing import about

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


def state():
    return GatewayState.objects.current()


def aged(row, **delta):
    VideoRequest.objects.filter(pk=row.pk).update(submitted_at=timezone.now() - timedelta(**delta))


def after(tick, row):
    overdue(row)
    tick()
    row.refresh_from_db()
    return row


# -- a job that the gateway does not know


@pytest.fixture
def no_spread(monkeypatch):
    monkeypatch.setattr(schedule, "SPREAD", 0)


def test_an_unknown_job_is_asked_about_ever_more_slowly_and_in_doubt_in_the_end(tick, editor, no_spread):
    row = put(editor, Status.SUBMITTED)
    pauses = []
    for _read in range(5):
        after(tick, row)
        assert (row.status, last_event(row).kind) == (Status.SUBMITTED, "queued")
        pauses.append(seconds_until(row.due_at))
    assert pauses == about([15, 30, 60, 120, 240])
    after(tick, row)
    assert (row.status, row.error_code, row.reads) == (Status.IN_DOUBT, "404", 6)
    assert seconds_until(row.due_at) == about(3600)
    assert CreditAccount.objects.get().held == 5


def test_a_404_after_other_failures_is_the_first_of_its_kind(tick, at_gateway, editor):
    """A gateway that comes back from an outage: one answer that does not know the job proves nothing."""
    row = at_gateway(editor, "read-503*5 read-404*2 read-500*1 read-404*1")
    for _read in range(9):
        after(tick, row)
        assert row.status == Status.SUBMITTED
    assert row.failed_reads == 1


def test_a_job_that_was_finished_once_and_is_unknown_now_cannot_be_had(tick, editor):
    row = put(editor, Status.SUBMITTED, failed_reads=5, gateway_status="unknown job", file_expires_at=timezone.now())
    after(tick, row)
    assert (row.status, row.error_code) == (Status.IN_DOUBT, "not_stored")


def test_a_job_that_was_finished_once_and_has_expired_since_cannot_be_had(tick, at_gateway, editor, account):
    row = at_gateway(editor, "expired", file_expires_at=timezone.now())
    after(tick, row)
    assert (row.status, row.error_code, row.charged_credits) == (Status.IN_DOUBT, "not_stored", None)
    account.refresh_from_db()
    assert account.held == 5


def test_one_404_puts_no_old_job_in_doubt(tick, at_gateway, editor):
    row = at_gateway(editor, "never read-404*1")
    aged(row, hours=3)
    after(tick, row)
    assert (row.status, row.failed_reads) == (Status.SUBMITTED, 1)
    after(tick, row)
    assert (row.status, row.failed_reads) == (Status.SUBMITTED, 0)


@pytest.mark.parametrize(("hours", "pause"), [(30, 1), (50, 4), (130, 12)])
def test_an_unknown_job_in_doubt_is_asked_about_ever_more_slowly(hours, pause, tick, editor):
    row = put(editor, Status.IN_DOUBT)
    aged(row, hours=hours)
    after(tick, row)
    assert (row.status, row.reads) == (Status.IN_DOUBT, 1)
    assert seconds_until(row.due_at) == about(pause * 3600)


# -- deadlines


def test_a_job_that_never_ends_is_in_doubt_past_its_deadline_and_never_failed(tick, at_gateway, editor):
    row = at_gateway(editor, "never")
    aged(row, hours=23)
    after(tick, row)
    assert row.status == Status.SUBMITTED
    assert 60 < seconds_until(row.due_at) < 300
    aged(row, hours=24)
    after(tick, row)
    assert (row.status, row.error_code) == (Status.IN_DOUBT, "deadline")
    assert seconds_until(row.due_at) == about(3600)
    assert CreditAccount.objects.get().held == 5


@pytest.mark.parametrize(("word", "code"), [("read-500", "500"), ("read-lost", "unreadable"), ("read-403", "403")])
def test_a_job_that_cannot_be_read_is_in_doubt_past_its_deadline(word, code, tick, at_gateway, editor, no_spread):
    row = at_gateway(editor, word)
    aged(row, hours=23)
    after(tick, row)
    assert (row.status, seconds_until(row.due_at)) == (Status.SUBMITTED, about(600))
    aged(row, hours=24)
    after(tick, row)
    assert (row.status, row.error_code) == (Status.IN_DOUBT, code)
    assert "cannot be read" in row.error_message


def test_the_deadline_is_a_setting(tick, at_gateway, editor, settings):
    settings.GROKVIDEO = {**settings.GROKVIDEO, "DEADLINE": 60}
    row = at_gateway(editor, "never")
    aged(row, seconds=61)
    assert after(tick, row).status == Status.IN_DOUBT


@pytest.mark.parametrize("word", ["never", "read-500", "read-404"])
def test_in_doubt_it_is_read_for_seven_days(word, tick, at_gateway, editor):
    row = at_gateway(editor, word, Status.IN_DOUBT)
    aged(row, days=6, hours=23)
    after(tick, row)
    assert (row.status, row.reads) == (Status.IN_DOUBT, 1)
    assert seconds_until(row.due_at) == about(12 * 3600)
    aged(row, days=7)
    after(tick, row)
    assert (row.status, row.reads, row.due_at) == (Status.IN_DOUBT, 2, None)


@pytest.mark.parametrize(
    ("words", "status", "held"),
    [("delay=0", Status.RENDERED, 5), ("failed", Status.FAILED, 0), ("cancelled", Status.CANCELED, 0)],
)
def test_what_the_gateway_says_in_the_end_ends_the_doubt(words, status, held, tick, at_gateway, editor):
    row = at_gateway(editor, words, Status.IN_DOUBT)
    aged(row, days=2)
    after(tick, row)
    assert row.status == status
    assert CreditAccount.objects.get().held == held


def test_a_row_that_was_never_dated_counts_from_its_creation(tick, at_gateway, editor):
    row = at_gateway(editor, "never", submitted_at=None, created_at=timezone.now() - timedelta(hours=25))
    assert after(tick, row).status == Status.IN_DOUBT


# -- how it ends


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("failed=out_of_foxes", "out_of_foxes", ""),
        ("failed error=none", "failed", "It gives no reason."),
        ("expired", "expired", "It gives no reason."),
    ],
)
def test_no_video(words, code, message, tick, at_gateway, editor):
    row = after(tick, at_gateway(editor, words))
    assert (row.status, row.charged_credits) == (Status.FAILED, 0)
    assert code in f"{row.error_code} {row.error_message}"
    assert message in row.error_message


def test_a_cancellation_that_nobody_asked_for_says_so(tick, at_gateway, editor):
    row = after(tick, at_gateway(editor, "cancelled"))
    assert (row.status, "by itself" in last_event(row).message) == (Status.CANCELED, True)


@pytest.mark.parametrize(
    ("words", "word"),
    [("status=thinking delay=60", "thinking"), ("no-status delay=60", ""), ("no-url", "completed"), ("read-304", "")],
)
def test_what_says_nothing_is_pending_and_its_word_recorded(words, word, tick, at_gateway, editor):
    row = after(tick, at_gateway(editor, words, gateway_status="before"))
    assert (row.status, row.gateway_status) == (Status.SUBMITTED, word)
    assert seconds_until(row.due_at) == about(4.5, within=2.5)


# -- reads that fail


@pytest.mark.parametrize("word", ["400", "403", "408", "410", "422", "500", "503", "lost", "302", "bad-json"])
def test_a_read_that_fails_changes_nothing_but_the_next_look(word, tick, at_gateway, editor, no_spread):
    row = after(tick, at_gateway(editor, f"read-{word}", gateway_status="queued"))
    assert (row.status, row.reads, last_event(row).kind) == (Status.SUBMITTED, 1, "queued")
    if word != "bad-json":  # which is a pending job
        assert (seconds_until(row.due_at), row.gateway_status) == (about(15), "queued")
    assert not state().is_paused


@pytest.mark.parametrize("word", ["read-503", "read-lost", "read-stall=6"])
def test_each_failure_in_a_row_slows_it_down_and_never_fails_it(word, tick, at_gateway, editor, no_spread, settings):
    settings.GROKVIDEO = {**settings.GROKVIDEO, "READ_TIMEOUT": 0.3}
    row = at_gateway(editor, f"never {word}")
    pauses = []
    for _read in range(4):
        after(tick, row)
        pauses.append(seconds_until(row.due_at))
    assert pauses == about([15, 30, 60, 120])
    assert (row.status, row.failed_reads, row.events.count()) == (Status.SUBMITTED, 4, 1)


def test_what_failed_together_comes_back_in_a_few_groups(one_round):
    result, rows = one_round(40)
    result.take(Answer(row=row, was_cancel=False, error=ServerFault("Oops.", status=500)) for row in rows)
    with CaptureQueriesContext(connection) as queries:
        result.write()
    assert len([query for query in queries if query["sql"].startswith("UPDATE")]) == 4
    due = Counter(VideoRequest.objects.values_list("due_at", flat=True))
    assert sorted(due.values()) == [10, 10, 10, 10]
    assert max(due) - min(due) <= timedelta(seconds=7.5)


def test_retry_after_is_obeyed_and_stops_everything(tick, at_gateway, editor, no_spread):
    row = after(tick, at_gateway(editor, "read-429=40"))
    assert seconds_until(row.due_at) == about(40)
    permit = rate.gate().take(1, "submit")
    assert (permit.granted, permit.wait_seconds) == (0, about(40))


@pytest.mark.parametrize("words", ["never", "read-503"])
def test_a_limit_in_the_headers_is_learned(words, tick, at_gateway, editor, sandbox, settings):
    at_gateway(editor, words)
    sandbox.options.requests_per_minute = 50
    try:
        tick()
    finally:
        sandbox.options.requests_per_minute = 0
    settings.GROKVIDEO = {**settings.GROKVIDEO, "REQUESTS_PER_MINUTE": 60_000}
    assert rate.gate().take(100, "read").granted <= 1


# -- the key


def test_401_pauses_the_site_and_a_read_that_works_resumes_it(tick, at_gateway, editor, caplog):
    row = at_gateway(editor, "read-401*2")
    for _look in range(2):
        after(tick, row)
        assert (state().is_paused, state().pause_status) == (True, 401)
    assert len(caplog.records) == 1
    after(tick, row)
    assert (state().is_paused, state().is_announced) == (False, True)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_one_answer_that_works_in_the_same_round_proves_the_key(tick, at_gateway, editor, caplog):
    at_gateway(editor, "read-401")
    at_gateway(editor, "never")
    tick()
    assert not state().is_paused
    assert not caplog.records


def test_an_answer_without_a_word_proves_nothing(tick, at_gateway, editor):
    at_gateway(editor, "read-304")
    site.pause(timezone.now(), status=401, message="")
    tick()
    assert state().is_paused


# -- rows that raise


@pytest.fixture
def one_round(editor, redis_server):
    """Rows under one lease, and the round that writes them."""
    token = uuid.uuid4()

    def make(count=1, **values):
        rows = [put(editor, Status.SUBMITTED, lease_token=token, **values) for _ in range(count)]
        return Round(token, timezone.now(), rate.gate()), rows

    return make


def answer(row, status="processing", state=JobState.RUNNING, **values):
    return Answer(row=row, was_cancel=False, job=Job(id=row.gateway_job_id, state=state, status=status, **values))


def test_a_row_whose_handling_raises_is_put_aside_and_the_others_go_on(one_round, monkeypatch, caplog):
    result, (bad, good, last) = one_round(3)

    def broken(*args, **values):
        raise RuntimeError("boom")

    monkeypatch.setattr(reading, "ended_without_video", broken)
    failed = Answer(row=bad, was_cancel=False, job=Job(id="x", state=JobState.FAILED, status="failed"))
    done = answer(last, "completed", JobState.COMPLETED, result_url="https://x.example/v.mp4")
    result.take([failed, answer(good), done])
    assert result.write() == [last.pk]
    for row in (bad, good, last):
        row.refresh_from_db()
    assert (bad.status, last_event(bad).kind) == (Status.SUBMITTED, "put_aside")
    assert "boom" in bad.error_message
    assert seconds_until(bad.due_at) == about(60)
    assert (good.reads, last.status) == (1, Status.RENDERED)
    assert f"Request {bad.pk} could not be handled." in caplog.text


def test_a_row_whose_asking_raised_is_put_aside(one_round):
    result, (row,) = one_round()
    result.take([Answer(row=row, was_cancel=False, error=RuntimeError("boom"))])
    result.write()
    row.refresh_from_db()
    assert (last_event(row).kind, row.lease_token) == ("put_aside", None)
    assert "Asking the gateway failed: RuntimeError('boom')" in row.error_message


def test_no_answer_at_all_changes_nothing(one_round):
    result, (row,) = one_round()
    with unchanged():
        result.take([Answer(row=row, was_cancel=False)])
        assert result.write() == []


def test_a_code_of_any_length_fits(one_round):
    result, (row,) = one_round()
    error = type("Error", (), {"code": "c" * 90, "message": "m" * 3000})()
    result.take([answer(row, "failed", JobState.FAILED, error=error)])
    row.refresh_from_db()
    assert (row.error_code, row.error_message) == ("c" * 64, "m" * 3000)


def test_a_row_that_cannot_be_written_is_put_aside_and_the_others_go_on(one_round, monkeypatch, caplog):
    """The statement for all of them raises: one each."""
    result, (bad, good, bad_video, video) = one_round(4)
    look_again, rendered = reading.look_again, reading.rendered

    def refuse_to_look(token, pks, **values):
        if bad.pk in pks:
            raise DataError("no such word")
        return look_again(token, pks, **values)

    def refuse_to_render(token, found):
        if bad_video.pk in [item.pk for item in found]:
            raise DataError("no such address")
        return rendered(token, found)

    monkeypatch.setattr(reading, "look_again", refuse_to_look)
    monkeypatch.setattr(reading, "rendered", refuse_to_render)
    url = "https://x.example/v.mp4"
    done = [answer(row, "completed", JobState.COMPLETED, result_url=url) for row in (bad_video, video)]
    result.take([answer(bad), answer(good), *done])
    assert result.write() == [video.pk]
    for row in (bad, good, bad_video, video):
        row.refresh_from_db()
    assert [row.status for row in (bad, good, bad_video, video)] == [Status.SUBMITTED] * 3 + [Status.RENDERED]
    assert (last_event(bad).kind, last_event(bad_video).kind) == ("put_aside", "put_aside")
    assert (good.reads, seconds_until(bad.due_at)) == (1, about(60))
    assert "could not be written together" in caplog.text


def test_a_row_that_cannot_even_be_put_aside_stops_no_other(one_round, monkeypatch, caplog):
    result, (bad, good) = one_round(2)
    real = reading.put_aside

    def broken(lease, **values):
        if lease.pk == bad.pk:
            raise DataError("no")
        return real(lease, **values)

    monkeypatch.setattr(reading, "put_aside", broken)
    result.take([Answer(row=row, was_cancel=False, error=RuntimeError("boom")) for row in (bad, good)])
    bad.refresh_from_db()
    assert (last_event(bad).kind, last_event(good).kind) == ("queued", "put_aside")
    assert bad.lease_token is not None
    assert f"Request {bad.pk} cannot even be put aside" in caplog.text
