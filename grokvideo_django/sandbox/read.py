"""``GET`` and ``DELETE /v1/jobs/{id}`` (or ``POST /v1/jobs/{id}/cancel``, as one page of the vendor says)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grokvideo_django.sandbox.faults import Kind
from grokvideo_django.sandbox.jobs import TERMINAL, Job
from grokvideo_django.sandbox.misbehave import decision, distort, status_answer, status_of
from grokvideo_django.sandbox.orders import Refused
from grokvideo_django.sandbox.shapes import failure, result, snapshot
from grokvideo_django.sandbox.wire import Answer, Hangup, json_answer

if TYPE_CHECKING:
    from grokvideo_django.sandbox.wire import Request
    from grokvideo_django.sandbox.world import World


def find(world: World, job_id: str) -> Job:
    """The job. Raises ``Refused`` (404)."""
    job = world.jobs.get(job_id)
    if job is None:
        raise Refused(404, f"No job {job_id!r}.")
    return job


def read(world: World, request: Request, job_id: str) -> Answer:
    """The job's snapshot, or 304 if it was read less than 3 s ago. The Host field goes into the result's URL."""
    job = find(world, job_id)
    host = request.headers.get("host", "")
    struck = world.take(Kind.READ, job)
    fault = decision(struck)
    world.pause(struck, "read-stall")
    with world.jobs.lock:
        job.reads += 1
        now = world.clock.now()
        recent = job.last_answered is not None and now - job.last_answered < world.options.read_interval
        if fault is None and not recent:
            job.last_answered = now
    if fault is None:
        return Answer(304) if recent else json_answer(_full(world, job, host, now))
    status = status_of(fault)
    if status == 304:
        return Answer(304)
    if status is not None:
        return status_answer(status, fault.value)
    if fault.name == "read-202-empty":
        return Answer(202)
    if fault.name == "read-202":
        return json_answer(snapshot(job, "processing"), 202)
    return distort(fault.name.removeprefix("read-"), json_answer(_full(world, job, host, now)))


def _full(world: World, job: Job, host: str, now: float) -> dict[str, Any]:
    status = job.status(now)
    pending = [] if status in TERMINAL else world.take(Kind.PENDING, job)
    body = snapshot(job, status, [*world.take(Kind.SNAPSHOT, job), *pending])
    if status == "completed":
        url = world.media_url(host, job, world.options.link_seconds)
        body |= result(job, url, world.take(Kind.RESULT, job))
    elif status == "failed":
        body |= failure(job, world.take(Kind.FAILURE, job))
    return body


def cancel(world: World, _: Request, job_id: str) -> Answer:
    """200 with the snapshot of a job that is cancelled now or has ended anyhow; 409 for one in processing."""
    job = find(world, job_id)
    struck = world.take(Kind.CANCEL, job)
    fault = decision(struck)
    world.pause(struck, "cancel-stall")
    if fault is not None and fault.name != "cancel-lost":
        status = status_of(fault)
        if status is not None:
            return status_answer(status, fault.value)
        if fault.name == "cancel-lost-request":
            raise Hangup
        if fault.name == "cancel-unconfirmed":
            return Answer(200)
        return json_answer(snapshot(job, job.status(world.clock.now())))
    processing = any(word.name == "cancel-processing" for word in struck)
    if world.jobs.cancel(job, world.clock.now(), processing=processing):
        world.refund(job.charged_mills)
    if fault is not None:
        raise Hangup
    status_word = job.status(world.clock.now())
    if status_word not in TERMINAL:
        raise Refused(409, f"The job is {status_word} and can no longer be cancelled.")
    return json_answer(snapshot(job, status_word))
