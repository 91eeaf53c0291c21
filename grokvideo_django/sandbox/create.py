"""``POST /v1/videos/generations``: the paid one."""

from __future__ import annotations

from typing import Any

from grokvideo_django.sandbox.faults import Fault, Kind, UnknownWordError, markers
from grokvideo_django.sandbox.jobs import Accepted, Job
from grokvideo_django.sandbox.misbehave import decision, distort, status_answer, status_of
from grokvideo_django.sandbox.orders import Order, Refused, read_order, read_payload
from grokvideo_django.sandbox.shapes import snapshot
from grokvideo_django.sandbox.wire import Answer, Hangup, Request, json_answer
from grokvideo_django.sandbox.world import QUEUED_SHARE, World

_OUTCOMES = {
    "failed": "failed",
    "fail": "failed",
    "moderated": "failed",
    "expired": "expired",
    "cancelled": "cancelled",
    "canceled": "canceled",
}
MODERATION = "content_moderation"


def create(world: World, request: Request) -> Answer:
    """Accept a job, or not, and answer, or not, as the faults say. Raises ``Refused`` and ``Hangup``."""
    payload = read_payload(request.body)
    order = read_order(payload)
    try:
        found = markers(order.prompt)
    except UnknownWordError as error:
        raise Refused(400, str(error), param="prompt") from None
    key = request.headers.get("idempotency-key", "")
    known = world.jobs.by_key(key) if world.options.idempotent else None
    if known is not None:
        return _answer(world, known, known.status(world.clock.now()), [])

    own = world.script.of_post(key or order.prompt, [fault for fault in found if fault.word.kind is Kind.CREATE])
    struck = world.script.take(Kind.CREATE, order.prompt, own)
    fault = decision(struck)
    if fault is not None and (fault.name == "lost-request" or fault.name.startswith("create-")):
        world.pause(struck, "stall")
        if fault.name == "lost-request":
            raise Hangup
        return status_answer(status_of(fault) or 500, fault.value)

    job = _accept(world, order, payload, request, found)
    world.pause(struck, "stall")
    return _misanswer(world, job, fault, struck)


def _misanswer(world: World, job: Job, fault: Fault | None, struck: list[Fault]) -> Answer:
    """The job is accepted; what the caller hears of it is another matter."""
    answer = _answer(world, job, "queued", struck)
    if fault is None:
        return answer
    if fault.name == "no-id":
        return json_answer({"status": "queued", "model": job.order.model}, answer.status)
    if fault.name == "error-but-accepted":
        return status_answer(int(fault.number))
    return distort(fault.name.removesuffix("-answer"), answer)


def _answer(world: World, job: Job, status: str, struck: list[Fault]) -> Answer:
    code = 200 if any(fault.name == "create-200" for fault in struck) else 202
    return json_answer(snapshot(job, status, world.take(Kind.SNAPSHOT, job)), code)


def _accept(world: World, order: Order, payload: dict[str, Any], request: Request, found: list[Fault]) -> Job:
    """Charge, write the job's life, keep it, and begin to render. Raises ``Refused`` (402)."""
    faults = [fault for fault in found if fault.word.kind is not Kind.CREATE]
    faults += [Fault(fault.name, fault.value) for fault in world.script.take(Kind.JOB, order.prompt)]
    words = {fault.name: fault for fault in faults if fault.word.kind is Kind.JOB}
    now = world.clock.now()
    starts_at, ends_at = _times(world, words, now)
    outcome = next((name for name in reversed(words) if name in _OUTCOMES), "completed")
    charged = order.mills if outcome in {"completed", "moderated"} else 0
    if not world.charge(charged):
        raise Refused(402, "Insufficient credits: top up the wallet.")

    job_id = world.new_job_id()
    headers = {**request.headers, "authorization": f"Bearer {request.bearer[:7]}…"}
    code = MODERATION if outcome == "moderated" else (words[outcome].value or "" if outcome in words else "")
    job = Job(
        id=job_id,
        order=order,
        accepted=Accepted(job_id, now, order.prompt, payload, headers),
        starts_at=starts_at,
        ends_at=ends_at,
        outcome=_OUTCOMES.get(outcome, outcome),
        error_code=code,
        charged_mills=charged,
        faults=faults,
    )
    kept = world.jobs.add(job, once=world.options.idempotent)
    if kept is not job:  # the same key at the same moment
        world.refund(charged)
    elif job.outcome == "completed":
        world.studio.prepare(world.clip(job))
    return kept


def _times(world: World, words: dict[str, Fault], now: float) -> tuple[float, float | None]:
    """When the job starts and when it ends."""
    delay = words.get("delay") or words.get("slow")
    seconds = delay.number if delay else world.latency()
    queued = words["queued"].number if "queued" in words else seconds * QUEUED_SHARE
    return now + queued, (None if "never" in words else now + max(seconds, queued))
