"""The doorbell: RQ jobs that carry a primary key and may be lost, doubled or late.

Nothing here decides anything: the row does. Every job has a time-out, a time to live and no result; Redis being down is
logged and otherwise ignored, because the sweep finds every row that nobody is looking after.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import django_rq
from django.db import transaction
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from rq.exceptions import DeserializationError
from rq.job import Job

from . import conf

if TYPE_CHECKING:
    from redis import Redis
    from rq import Queue

log = logging.getLogger("grokvideo_django")

SUBMIT: Final = "grokvideo_django.jobs.submit"
TICK: Final = "grokvideo_django.jobs.tick"
FETCH: Final = "grokvideo_django.jobs.fetch"

BELL_KEY: Final = "grokvideo:bell"
BELL_SECONDS: Final = 30
ROOM: Final = 50
"""The sweep adds no job to a queue that has this many waiting."""
PEEK: Final = 100

TICK_SECONDS: Final = 90
SUBMIT_SECONDS: Final = 120
SAVING_SECONDS: Final = 90
"""After the answer to the POST: its id is saved even if the database is away for a minute."""
JOB_TTL_SECONDS: Final = 3600
ANSWER_SECONDS: Final = 3.0
PING_SECONDS: Final = 2.0
FAILURE_TTL_SECONDS: Final = 3600


def connection() -> Redis:
    """The Redis of the site's queue."""
    return _prompt(django_rq.get_connection(conf.current().QUEUE))


def _prompt(redis: Redis) -> Redis:
    """One more try, at once: redis-py pauses three times, for seconds that an editor would wait for a doorbell.

    And no endless wait for one that is connected and hangs, which redis-py before 8 has unless the site says otherwise.
    """
    redis.set_retry(Retry(NoBackoff(), 1))
    redis.connection_pool.connection_kwargs.setdefault("socket_timeout", ANSWER_SECONDS)
    return redis


def trouble() -> str | None:
    """Why Redis cannot be reached, in words; None if it answers. Waits for seconds at most, whatever the site says."""
    redis = connection()
    limits = redis.connection_pool.connection_kwargs
    limits["socket_connect_timeout"] = limits["socket_timeout"] = PING_SECONDS
    try:
        redis.ping()
    except RedisError as error:
        return str(error) or type(error).__name__
    finally:
        redis.close()
    return None


def _queue() -> Queue:
    """The site's queue, with manners of our own.

    A job that runs inline would make an editor wait for the network; one that is kept until an HTTP request ends is
    lost in a worker.
    """
    queue = django_rq.get_queue(conf.current().QUEUE, is_async=True, commit_mode="auto")
    _prompt(queue.connection)
    return queue


def _enqueue(function: str, *arguments: int, timeout_seconds: float, at_front: bool = False) -> bool:
    try:
        _queue().enqueue(
            function,
            args=arguments,
            job_timeout=int(timeout_seconds),
            ttl=JOB_TTL_SECONDS,
            result_ttl=0,
            failure_ttl=FAILURE_TTL_SECONDS,
            at_front=at_front,
        )
    except RedisError as error:
        log.warning("Redis cannot be reached (%s). Nothing is lost: the next tick finds what waits.", error)
        return False
    return True


def tick_seconds() -> int:
    """The time-out of a tick: its loop, and two gateway time-outs of the round that is under way at its end."""
    return int(max(TICK_SECONDS, TICK_SECONDS / 2 + 2 * conf.current().READ_TIMEOUT))


def submit(pk: int) -> bool:
    """Ring for a submission; False when Redis is down."""
    return _enqueue(SUBMIT, pk, timeout_seconds=max(SUBMIT_SECONDS, conf.current().POST_TIMEOUT + SAVING_SECONDS))


def fetch(pk: int) -> bool:
    """Ring for a download, or for attaching, before all that was not begun yet; False when Redis is down."""
    return _enqueue(FETCH, pk, timeout_seconds=conf.current().FETCH_SECONDS + 60, at_front=True)


def submit_on_commit(pk: int) -> None:
    """Ring for a submission once the caller's transaction has committed; never before."""
    transaction.on_commit(lambda: submit(pk))


def ring() -> bool:
    """Make sure that a tick is queued: one, however many ask."""
    try:
        if not connection().set(BELL_KEY, 1, nx=True, ex=BELL_SECONDS):
            return True
    except RedisError as error:
        log.warning("Redis cannot be reached (%s); cron or the next start brings the next tick.", error)
        return False
    # It outlives the bell: behind a long job of somebody else it is all that goes on polling.
    return _enqueue(TICK, timeout_seconds=tick_seconds())


def is_first(key: str, *, seconds: int) -> bool:
    """Whether nobody has asked with this key for so long; also when Redis is down: twice is better than never."""
    try:
        return bool(connection().set(key, 1, nx=True, ex=seconds))
    except RedisError:
        return True


def ring_on_commit() -> None:
    """``ring`` after the caller's transaction."""
    transaction.on_commit(ring)


class Bell:
    """What the tick sees of the queue. With Redis down it sees nothing, and goes on."""

    def clear(self) -> None:
        """A tick has started: the next ring is answered."""
        try:
            connection().delete(BELL_KEY)
        except RedisError as error:
            log.warning("Redis cannot be reached (%s).", error)

    def ring(self) -> None:
        """Ask for a successor."""
        ring()

    def room(self) -> int:
        """How many more jobs the sweep may add."""
        try:
            return max(0, ROOM - _queue().count)
        except RedisError:
            return 0

    def submit(self, pks: Iterable[int]) -> None:
        """Ring for these submissions."""
        for pk in pks:
            submit(pk)

    def fetch(self, pks: Iterable[int]) -> None:
        """Ring for these downloads."""
        for pk in pks:
            fetch(pk)

    def has_other_work(self) -> bool:
        """Whether jobs that are not ticks wait. Ticks that wait behind a running one are superfluous: removed."""
        try:
            queue = _queue()
            ids = queue.get_job_ids(0, PEEK)
            if not ids:
                return False
            jobs = Job.fetch_many(ids, connection=queue.connection, serializer=queue.serializer)
            other = ticks = False
            for job_id, job in zip(ids, jobs, strict=True):
                if job is None:
                    queue.remove(job_id)  # its time to live is over; only the id is left
                elif not _is_tick(job):
                    other = True
                elif queue.connection.lrem(queue.key, 1, job_id):  # else another worker has just taken it
                    job.delete()
                    ticks = True
            if ticks:
                self.clear()  # or the successor's ring would count as answered by what was just removed
        except RedisError:
            return False
        return other


def _is_tick(job: Job) -> bool:
    try:
        return job.func_name == TICK
    except DeserializationError:  # a job of another release of the site: not ours to judge
        return False
