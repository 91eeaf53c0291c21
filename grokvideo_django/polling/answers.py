"""What a round of answers means for its rows: collected into as few statements as there are distinct outcomes."""

from __future__ import annotations

import logging
import random
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial

from .. import conf, crash
from ..gateway import GatewayError, Job, JobNotFound, JobState, RateLimit, RequestRefused
from ..lifecycle import reading, site
from ..lifecycle.submitting import Lease
from ..models import VideoRequest
from . import history, schedule
from .rate import RateGate
from .reader import CANCEL_SENT, Answer
from .schedule import Outlook

log = logging.getLogger("grokvideo_django")

PUT_ASIDE_SECONDS = 60.0
MANY_FAILURES = 20
SPREADS = 4
"""So many groups of rows that failed together come back apart; more would be more statements."""

_Bucket = tuple[float | None, str | None, bool, int | None]
"""Seconds until the next read, the gateway's word, whether it was seen unfinished, how many reads failed in a row."""


class Round:
    """The outcomes of one round, written when all answers are in."""

    def __init__(
        self,
        token: uuid.UUID,
        now: datetime,
        gate: RateGate,
        *,
        outlook: Outlook | None = None,
        asked_at: datetime | None = None,
    ) -> None:
        """``token`` is the round's lease on its rows, ``asked_at`` when the first was asked about."""
        self._token = token
        self._now = now
        self._asked_at = asked_at or now
        self._outlook = outlook or Outlook()
        self._gate = gate
        self._again: dict[_Bucket, list[int]] = defaultdict(list)
        self._rendered: dict[int, reading.Rendered] = {}
        self._spreads = [random.random() for _ in range(SPREADS)]  # noqa: S311 - spreads the load
        self._key_works = False
        self._refusal = ""
        self._limits: list[RateLimit] = []

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
        for (seconds, word, unfinished, failures), pks in self._again.items():
            due_at = None if seconds is None else self._now + timedelta(seconds=seconds)
            seen_at = self._asked_at if unfinished else None
            self._write(
                pks,
                partial(
                    reading.look_again,
                    self._token,
                    due_at=due_at,
                    gateway_status=word,
                    seen_at=seen_at,
                    failures=failures,
                ),
            )
        done: list[int] = []
        self._write(list(self._rendered), lambda pks: done.extend(self._move_rendered(pks)))
        if done:
            crash.point("tick.rendered")
        # One answer that works proves the key, whatever others of the same round say.
        if self._key_works:
            site.key_works(self._now)
        elif self._refusal:
            site.pause(self._now, status=401, message=self._refusal)
        self._gate.learn(_strictest(self._limits))
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
            self._limits.append(answer.limit)
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
            case JobState.EXPIRED if row.file_expires_at is not None and row.status == VideoRequest.Status.SUBMITTED:
                # Asked about again too late: it was made, and is no end without a video.
                self._doubt(row, code="not_stored", message="The gateway had finished it, and has deleted it by now.")
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
            self._look_again(row, schedule.next_read_in_doubt(age), job.status, unfinished=True)
            return
        delay = self._outlook.next_read(history.kind_of(row), age, deadline_seconds=conf.current().DEADLINE)
        if delay is None:
            self._doubt(row, code="deadline", message="The gateway has not finished it in time.")
        else:
            self._look_again(row, delay, job.status, unfinished=job.state.is_pending)

    def _error(self, answer: Answer, error: GatewayError) -> None:
        row = answer.row
        if error.rate_limit is not None:
            self._limits.append(error.rate_limit)
        if error.status == 429:
            self._gate.block(error.retry_after or schedule.MIN_GAP_SECONDS)
        if error.status == 401:  # a bad key, for every request; 402 and 403 may concern this one alone
            self._refusal = error.message
        if answer.was_cancel and isinstance(error, RequestRefused):
            due_at = self._now + timedelta(seconds=schedule.MIN_GAP_SECONDS)
            reading.cancel_refused(self._lease(row), message=error.message, due_at=due_at)
        elif answer.was_cancel:
            self._look_again(row, self._pause(row, error), CANCEL_SENT, failures=_one_more(row))
        elif isinstance(error, JobNotFound):
            self._unknown_job(row, error)
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
            # What is unknown is unknown in a row, or not.
            word = "" if row.gateway_status == reading.UNKNOWN_HERE else None
            self._look_again(row, self._pause(row, error), word, failures=_one_more(row))

    def _unknown_job(self, row: VideoRequest, error: GatewayError) -> None:
        """A new job may not be everywhere yet, and one 404 proves little: it is asked about again, ever more slowly."""
        failures = _one_more(row) if row.gateway_status == reading.UNKNOWN_HERE else 1
        if row.status == VideoRequest.Status.IN_DOUBT:
            self._look_again(row, schedule.next_read_in_doubt(self._age(row)), None)
        elif failures < schedule.UNKNOWN_JOB_TRIES:
            pause = schedule.after_failed_read(0, error.retry_after, failures=failures)
            self._look_again(row, pause, reading.UNKNOWN_HERE, failures=failures)
        else:
            code = "404" if row.file_expires_at is None else "not_stored"  # it was finished there once
            self._doubt(row, code=code, message="The gateway does not know its job any more.")

    def _pause(self, row: VideoRequest, error: GatewayError) -> float:
        spread = self._spreads[row.pk % SPREADS]
        failures = row.failed_reads + 1
        return schedule.after_failed_read(self._age(row), error.retry_after, failures=failures, spread=spread)

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

    def _look_again(
        self,
        row: VideoRequest,
        seconds: float | None,
        word: str | None,
        *,
        unfinished: bool = False,
        failures: int | None = None,
    ) -> None:
        self._again[seconds, word, unfinished, failures].append(row.pk)

    def _lease(self, row: VideoRequest) -> Lease:
        return Lease(pk=row.pk, token=self._token)

    def _age(self, row: VideoRequest) -> float:
        return (self._now - (row.submitted_at or row.created_at)).total_seconds()


def _one_more(row: VideoRequest) -> int:
    """Failures in a row, this one too; past many it makes no difference, but statements of its own."""
    return min(row.failed_reads + 1, MANY_FAILURES)


def _strictest(seen: Sequence[RateLimit]) -> RateLimit | None:
    """What all answers of a round say together: the lowest of each, and the longest time until a reset."""
    if not seen:
        return None
    return RateLimit(
        limit=min((one.limit for one in seen if one.limit is not None), default=None),
        remaining=min((one.remaining for one in seen if one.remaining is not None), default=None),
        reset_seconds=max((one.reset_seconds for one in seen if one.reset_seconds is not None), default=None),
    )


def _outcome(state: JobState, words: str) -> str:
    """What CHARGE calls this end. Moderation has no status of its own: its word is in the code or the message."""
    if state == JobState.EXPIRED:
        return "expired"
    return "moderated" if "moderat" in words.lower() or "content_policy" in words.lower() else "failed"
