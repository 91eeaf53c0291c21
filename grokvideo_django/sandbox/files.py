"""``/v1/files/jobs/{id}/{filename}``: the file with the API's key, a signed link to it, the link's documented form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grokvideo_django.sandbox.faults import Kind
from grokvideo_django.sandbox.jobs import FILENAME, Job
from grokvideo_django.sandbox.media import check_token, serve, stored
from grokvideo_django.sandbox.misbehave import decision, status_answer, status_of
from grokvideo_django.sandbox.orders import Refused
from grokvideo_django.sandbox.wire import Answer, Request, json_answer

if TYPE_CHECKING:
    from grokvideo_django.sandbox.world import World

SHORTEST_SECONDS, LONGEST_SECONDS, DEFAULT_SECONDS = 60, 604800, 3600
"""Of a signed link. Source: the OpenAPI document, and the vendor's SDK for the default."""


def sign(world: World, request: Request, job_id: str, filename: str) -> Answer:
    """``…/signed?expires_in=``: ``{url, expires_at}`` with a link that needs no key; the time is in epoch seconds."""
    job = _job(world, job_id, filename)
    fault = decision(world.take(Kind.SIGN, job))
    if fault is not None:
        return status_answer(status_of(fault) or 500, fault.value)
    text = request.query.get("expires_in", str(DEFAULT_SECONDS))
    if not text.isdecimal() or not SHORTEST_SECONDS <= int(text) <= LONGEST_SECONDS:
        raise Refused(400, f"'expires_in' must be {SHORTEST_SECONDS} to {LONGEST_SECONDS}.", param="expires_in")
    stored(world, job)
    host = request.headers.get("host", "")
    url = world.media_url(host, job, int(text), signed=True)
    return json_answer({"url": url, "expires_at": int(world.clock.now()) + int(text)})


def download(world: World, request: Request, job_id: str, filename: str) -> Answer:
    """The file itself, with the key."""
    return serve(stored(world, _job(world, job_id, filename)), request)


def public(world: World, request: Request, job_id: str, filename: str) -> Answer:
    """``…/public?token=&exp=&k=``: the file without a key; 400 for a link that is forged or has expired."""
    job = _job(world, job_id, filename)
    check_token(world, request, job, 400)
    return serve(stored(world, job), request)


def _job(world: World, job_id: str, filename: str) -> Job:
    job = world.jobs.get(job_id) if filename == FILENAME else None
    if job is None:
        raise Refused(404, "No such file.")
    return job
