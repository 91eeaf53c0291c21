"""``/sandbox/…``: look into the sandbox and make it misbehave, from a test or a worker in another process."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from grokvideo_django.sandbox.faults import VOCABULARY, UnknownWordError
from grokvideo_django.sandbox.orders import Refused, read_payload
from grokvideo_django.sandbox.read import find
from grokvideo_django.sandbox.wire import Answer, Request, json_answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from grokvideo_django.sandbox.jobs import Job
    from grokvideo_django.sandbox.world import World

SHOWN_CHARACTERS = 200
"""Longer strings of a payload (images) are shortened in the state."""
_NUMBERS = {"requests_per_minute", "read_interval", "link_seconds", "file_seconds"}


def control(world: World, request: Request, name: str) -> Answer:
    """One command. Raises ``Refused``: 400 for wrong arguments, 404 for an unknown command."""
    if request.method == "GET" and name == "state":
        return json_answer(state(world, with_jobs=request.query.get("jobs") != "0"))
    if request.method == "GET" and name == "faults":
        return json_answer(vocabulary())
    command = _COMMANDS.get((request.method, name))
    if command is None:
        raise Refused(404, f"There is no {request.method} {request.path} here.")
    command(world, read_payload(request.body) if request.body else {})
    return json_answer({"ok": True})


def state(world: World, *, with_jobs: bool = True) -> dict[str, Any]:
    """Everything that a test may want to assert, as JSON."""
    jobs = world.jobs.all()
    keys = Counter(job.accepted.idempotency_key for job in jobs if job.accepted.idempotency_key)
    found: dict[str, Any] = {
        "accepted_posts": len(jobs),
        "accepted_by_idempotency_key": dict(keys) if with_jobs else {},
        "answers": dict(world.answers),
        "leaked_keys": world.leaked_keys,
        "rate_limited": sum(world.limit.refused.values()),
        "peak_requests_per_minute": max(world.limit.peak.values(), default=0),
        "rendered_clips": world.studio.rendered,
        "behaviours": world.script.waiting(),
        "options": {**asdict(world.options), "key": None if world.options.key is None else "set"},
    }
    if with_jobs:
        found["jobs"] = [_job(world, job) for job in jobs]
    return found


def _job(world: World, job: Job) -> dict[str, Any]:
    accepted = job.accepted
    return {
        "id": job.id,
        "status": job.status(world.clock.now()),
        "at": accepted.at,
        "prompt": accepted.prompt,
        "idempotency_key": accepted.idempotency_key,
        "tag": accepted.tag,
        "payload": {name: _shortened(value) for name, value in accepted.payload.items()},
        "reads": job.reads,
        "cost_cents": job.charged_mills / 10,
        "faults": [str(fault) for fault in job.faults],
    }


def _shortened(value: Any) -> Any:
    return f"{value[:SHOWN_CHARACTERS]}…" if isinstance(value, str) and len(value) > SHOWN_CHARACTERS else value


def vocabulary() -> dict[str, dict[str, Any]]:
    """Every word with its kind, what it takes, its default and its meaning."""
    return {
        name: {
            "kind": word.kind.value,
            "takes": word.takes.value if isinstance(word.takes, str) else list(word.takes),
            "default": word.default,
            "doc": word.doc,
        }
        for name, word in VOCABULARY.items()
    }


def _behave(world: World, given: dict[str, Any]) -> None:
    times = given.get("times")
    if times is not None and (not isinstance(times, int) or times < 1):
        raise Refused(400, "'times' must be a whole number from 1, or null for always.", param="times")
    try:
        world.script.behave(str(given.get("word", "")), times=times, match=str(given.get("match", "")))
    except UnknownWordError as error:
        raise Refused(400, str(error), param="word") from None


def _calm(world: World, _: dict[str, Any]) -> None:
    world.script.clear()


def _wallet(world: World, given: dict[str, Any]) -> None:
    world.options.wallet_cents = None if given.get("cents") is None else _number(given, "cents")


def _revoke(world: World, given: dict[str, Any]) -> None:
    world.options.key_revoked = bool(given.get("revoked", True))


def _options(world: World, given: dict[str, Any]) -> None:
    unknown = given.keys() - _NUMBERS - {"idempotent", "latency"}
    if unknown:
        raise Refused(400, f"Unknown options: {', '.join(sorted(unknown))}.")
    for name, value in given.items():
        if name == "idempotent":
            world.options.idempotent = bool(value)
        elif name == "latency":
            if not isinstance(value, list) or len(value) != 2:
                raise Refused(400, "'latency' must be [median, sigma].", param=name)
            median, sigma = (_number({name: part}, name) for part in value)
            world.options.latency = (median, sigma)
        else:
            number = _number(given, name)
            setattr(world.options, name, int(number) if name == "requests_per_minute" else number)


def _number(given: dict[str, Any], name: str) -> float:
    value = given.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise Refused(400, f"'{name}' must be a number that is not negative.", param=name)
    return value


def _clock(world: World, given: dict[str, Any]) -> None:
    world.clock.advance(_number(given, "advance"))


def _finish(world: World, given: dict[str, Any]) -> None:
    jobs = [find(world, str(given["job"]))] if "job" in given else world.jobs.all()
    world.jobs.finish(jobs, world.clock.now())


def _reset(world: World, _: dict[str, Any]) -> None:
    world.reset()


_COMMANDS: dict[tuple[str, str], Callable[[World, dict[str, Any]], None]] = {
    ("POST", "behave"): _behave,
    ("DELETE", "behave"): _calm,
    ("POST", "wallet"): _wallet,
    ("POST", "key-revoked"): _revoke,
    ("POST", "options"): _options,
    ("POST", "clock"): _clock,
    ("POST", "finish"): _finish,
    ("POST", "reset"): _reset,
}
