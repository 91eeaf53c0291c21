"""What a round of answers means for its rows: collected into as few statements as there are distinct outcomes."""

from __future__ import annotations

import logging
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial

from .. import conf, crash
from ..gateway import GatewayError, Job, JobNotFound, JobState, RequestRefused
from ..lifecycle import reading, site
from ..lifecycle.submitting import Lease
from ..models import VideoRequest
from . import schedule
from .rate import RateGate
from .reader import CANCEL_SENT, Answer

log = logging.getLogger("grokvideo_django")

PUT_ASIDE_SECONDS = 60.0

_Bucket = tuple[float | None, str | None]


class Round:
    """The outcomes of one round, written when all answers are in."""

    def __init__(self, token: uuid.UUID, now: datetime, gate: RateGate) -> None:
        """``token`` is the round's lease on its rows."""
        self._token = token
        self._now = now
        self._gate = gate
        self._again: dict[_Bucket, list[int]] = defaultdict(list)
        self._rendered: dict[int, reading.Rendered] = {}
        self._key_works = False
        self._refusal = ""
        self._limits: set[int] = set()

    def take(self, answers: Iterable[Answer]) -> None:
        """Note what each answer means; a row that raises is put aside, the others go on."""
        for answer in answers:
            try:
                self._take_one(answer)
            except Exception as error:
                log.exception("Request %s could not be handled.", answer.row.pk)
                self._put_aside(answer.row.pk, f"Handling the gateway's answer failed: {error!r}")

    def write(self) -> list[int]:
        """Write the buckets; returns the rows that are rendered now."""
        for (seconds, word), pks in self._again.items():
            due_at = None if seconds is None else self._now + timedelta(seconds=seconds)
            self._write(pks, partial(reading.look_again, self._token, due_at=due_at, gateway_status=word))
        done: list[int] = []
        self._write(list(self._rendered), lambda pks: done.extend(self._move_rendered(pks)))
        if done:
            crash.point("tick.rendered")
        # One answer that works proves the key, whatever others of the same round say.
        if self._key_works:
            site.resume(self._now, after=401)
        elif self._refusal:
            site.pause(self._now, status=401, message=self._refusal)
        self._gate.learn(min(self._limits, default=None))
        return done

    def _move_rendered(self, pks: Sequence[int]) -> list[int]:
        return reading.rendered(self._token, [self._rendered[pk] for pk in pks])

    def _write(self, pks: Sequence[int], write: Callable[[Sequence[int]], object]) -> None:
        """One statement for all. Where that raises, one each: a row that cannot be written is put aside."""
        try:
            write(pks)
        except Exception as error:
            log.exception("Requests %s could not be written together.", pks)
            if len(pks) == 1:
                self._put_aside(pks[0], f"Writing the gateway's answer failed: {error!r}")
                return
            for pk in pks:
                self._write([pk], write)

    def _take_one(self, answer: Answer) -> None:
        if answer.limit is not None:
            self._limits.add(answer.limit)
        if answer.job is not None:
            self._key_works = self._key_works or bool(answer.job.status)
            self._job(answer, answer.job)
        elif isinstance(answer.error, GatewayError):
            self._error(answer, answer.error)
        elif answer.error is not None:
            self._put_aside(answer.row.pk, f"Asking the gateway failed: {answer.error!r}")

    def _job(self, answer: Answer, job: Job) -> None:
        row, lease = answer.row, self._lease(answer.row)
        match job.state:
            case JobState.COMPLETED if job.result_url:
                video = reading.Rendered(pk=row.pk, url=job.result_url, seconds=job.duration_seconds)
                self._rendered[row.pk] = video
            case JobState.FAILED | JobState.EXPIRED:
                code = (job.error.code if job.error else "") or str(job.state)
                words = (job.error.message if job.error else "") or "It gives no reason."
                outcome = _outcome(job.state, f"{code} {words}")
                reading.ended_without_video(lease, code=code[:64], message=words, outcome=outcome)
            case JobState.CANCELED:
                reading.canceled(lease, asked=row.cancel_requested_at is not None)
            case _ if answer.was_cancel:
                self._look_again(row, schedule.MIN_GAP_SECONDS, CANCEL_SENT)
            case _:
                self._pending(row, job)

    def _pending(self, row: VideoRequest, job: Job) -> None:
        age = self._age(row)
        if row.status == VideoRequest.Status.IN_DOUBT:
            self._look_again(row, schedule.next_read_in_doubt(age), job.status)
            return
        delay = schedule.next_read(age, deadline_seconds=conf.current().DEADLINE)
        if delay is None:
            self._doubt(row, code="deadline", message="The gateway has not finished it in time.")
        else:
            self._look_again(row, delay, job.status)

    def _error(self, answer: Answer, error: GatewayError) -> None:
        row = answer.row
        if error.rate_limit is not None and error.rate_limit.limit is not None:
            self._limits.add(error.rate_limit.limit)
        if error.status == 429:
            self._gate.block(error.retry_after or schedule.MIN_GAP_SECONDS)
        if error.status == 401:  # a bad key, for every request; 402 and 403 may concern this one alone
            self._refusal = error.message
        if answer.was_cancel and isinstance(error, RequestRefused):
            due_at = self._now + timedelta(seconds=schedule.MIN_GAP_SECONDS)
            reading.cancel_refused(self._lease(row), message=error.message, due_at=due_at)
        elif answer.was_cancel:
            self._look_again(row, schedule.after_failed_read(0, error.retry_after), CANCEL_SENT)
        elif isinstance(error, JobNotFound):
            self._unknown_job(row)
        else:
            self._failed_read(row, error)

    def _failed_read(self, row: VideoRequest, error: GatewayError) -> None:
        """A read that fails never fails the video: it is read more slowly, and in the end a person decides."""
        age = self._age(row)
        if row.status == VideoRequest.Status.SUBMITTED and age >= conf.current().DEADLINE:
            self._doubt(row, code=str(error.status or "unreadable"), message=f"It cannot be read: {error.message}")
        elif row.status == VideoRequest.Status.IN_DOUBT:
            self._look_again(row, schedule.next_read_in_doubt(age), None)
        else:
            self._look_again(row, schedule.after_failed_read(age, error.retry_after), None)

    def _unknown_job(self, row: VideoRequest) -> None:
        age = self._age(row)
        if row.status == VideoRequest.Status.IN_DOUBT:
            self._look_again(row, schedule.next_read_in_doubt(age), None)
        elif age < schedule.UNKNOWN_JOB_AFTER_SECONDS:
            self._look_again(row, schedule.UNKNOWN_JOB_SECONDS, None)
        else:
            self._doubt(row, code="404", message="The gateway does not know its job any more.")

    def _doubt(self, row: VideoRequest, *, code: str, message: str) -> None:
        seconds = schedule.next_read_in_doubt(self._age(row))
        due_at = None if seconds is None else self._now + timedelta(seconds=seconds)
        reading.doubt(self._lease(row), code=code, message=message, due_at=due_at)

    def _put_aside(self, pk: int, message: str) -> None:
        due_at = self._now + timedelta(seconds=PUT_ASIDE_SECONDS)
        try:
            reading.put_aside(Lease(pk=pk, token=self._token), message=message, due_at=due_at)
        except Exception:
            log.exception("Request %s cannot even be put aside; its lease runs out by itself.", pk)

    def _look_again(self, row: VideoRequest, seconds: float | None, word: str | None) -> None:
        self._again[seconds, word].append(row.pk)

    def _lease(self, row: VideoRequest) -> Lease:
        return Lease(pk=row.pk, token=self._token)

    def _age(self, row: VideoRequest) -> float:
        return (self._now - (row.submitted_at or row.created_at)).total_seconds()


def _outcome(state: JobState, words: str) -> str:
    """What CHARGE calls this end. Moderation has no status of its own: its word is in the code or the message."""
    if state == JobState.EXPIRED:
        return "expired"
    return "moderated" if "moderat" in words.lower() or "content_policy" in words.lower() else "failed"
