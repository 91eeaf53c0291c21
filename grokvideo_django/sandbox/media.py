"""``/media/…``: the files, on the media host's own path. No key belongs here; one that comes is counted and refused."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

from grokvideo_django.sandbox.bodies import big, cut, double_gzip, drip, endless, svg
from grokvideo_django.sandbox.faults import Fault, Kind
from grokvideo_django.sandbox.jobs import FILENAME, Job
from grokvideo_django.sandbox.misbehave import decision, html_answer, status_answer, status_of
from grokvideo_django.sandbox.orders import Refused
from grokvideo_django.sandbox.wire import Answer, Hangup, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from grokvideo_django.sandbox.world import World

PIECE_BYTES = 64 * 1024
MP4 = "video/mp4"


def media(world: World, request: Request, job_id: str, filename: str) -> Answer:
    """The file of a link that works. ``Refused``: 400 with a key, 403 without a valid token, 404 without a file."""
    if carries_key(request):
        world.leak()
        raise Refused(400, "An API key was sent to the media host. It goes to the API only.")
    job = world.jobs.get(job_id)
    if job is None or filename != FILENAME:
        raise Refused(404, "No such file.")
    check_token(world, request, job, 403)
    struck = world.take(Kind.MEDIA, job)
    world.pause(struck, "media-stall")
    fault = decision(struck)
    if fault is not None and fault.name == "media-unsigned" and request.query.get("k") == "s":
        fault = None
    path = stored(world, job)
    answer = serve(path, request) if fault is None else _misserve(world, fault, request, path)
    words = {word.name: word for word in struck}
    if "media-type" in words:
        answer.content_type = words["media-type"].value or MP4
    if "media-no-length" in words:
        answer.length = None
    return answer


def carries_key(request: Request) -> bool:
    """Whether a key came along: an Authorization header, or anything that looks like a key anywhere."""
    values = [request.path, *request.query.values(), *request.headers.values()]
    return "authorization" in request.headers or any("sk-aig-" in value for value in values)


def check_token(world: World, request: Request, job: Job, status: int) -> None:
    """Raises ``Refused`` with *status* for a link that is forged or has expired."""
    expires, how = request.query.get("exp", ""), request.query.get("k", "")
    token = request.query.get("token", "")
    if not expires.isdecimal() or not hmac.compare_digest(
        world.token(job.id, int(expires), how).encode(), token.encode()
    ):
        raise Refused(status, "The link's signature is invalid.")
    if world.clock.now() > int(expires):
        raise Refused(status, "The link has expired: read the job again.")


def stored(world: World, job: Job) -> Path:
    """The job's file, rendered by now. ``Refused`` (404) before the job is completed and after the file's deletion."""
    now = world.clock.now()
    if job.status(now) != "completed":
        raise Refused(404, "The job has no file.")
    if job.ends_at is not None and now > job.ends_at + world.options.file_seconds:
        raise Refused(404, "The file was deleted: results are kept for 7 days.")
    return world.studio.path(world.clip(job))


def serve(path: Path, request: Request) -> Answer:
    """The file, or the one range of it that was asked for."""
    size = path.stat().st_size
    headers = {"Accept-Ranges": "bytes", "ETag": f'"{hashlib.sha256(path.name.encode()).hexdigest()[:16]}"'}
    asked = request.headers.get("range", "")
    if not asked.startswith("bytes=") or "," in asked:
        return Answer(200, read_pieces(path, 0, size), MP4, headers, size)
    first, last = _range(asked.removeprefix("bytes="), size)
    if first > last:
        return Answer(416, b"", MP4, {**headers, "Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    return Answer(206, read_pieces(path, first, last - first + 1), MP4, headers, last - first + 1)


def _range(text: str, size: int) -> tuple[int, int]:
    """First and last byte; first > last where nothing can be served."""
    start, dash, end = text.partition("-")
    if not dash or not all(part.isdecimal() or not part for part in (start, end)) or not (start or end):
        return 1, 0
    if not start:
        return max(0, size - int(end)), size - 1
    return int(start), min(int(end), size - 1) if end else size - 1


def read_pieces(path: Path, start: int, count: int) -> Iterator[bytes]:
    """*count* bytes of the file from *start*, 64 kB at a time."""
    with path.open("rb") as file:
        file.seek(start)
        while count > 0 and (piece := file.read(min(PIECE_BYTES, count))):
            count -= len(piece)
            yield piece


def _misserve(world: World, fault: Fault, request: Request, path: Path) -> Answer:
    status = status_of(fault)
    if status is not None:
        return status_answer(status, fault.value)
    if fault.name == "media-lost":
        raise Hangup
    wrong = _WRONG[fault.name]
    return wrong(world, fault, request, path)


def _redirect(_: World, fault: Fault, request: Request, __: Path) -> Answer:
    query = "&".join(f"{name}={value}" for name, value in request.query.items())
    return status_answer(302, f"{request.path}?{query}" if fault.value == "self" else fault.value)


def _cut(_: World, __: Fault, ___: Request, path: Path) -> Answer:
    size = path.stat().st_size
    return Answer(200, cut(read_pieces(path, 0, size // 2)), MP4, length=size)


def _truncated(_: World, __: Fault, ___: Request, path: Path) -> Answer:
    half = path.stat().st_size // 2
    return Answer(200, read_pieces(path, 0, half), MP4, length=half)


def _drip(world: World, _: Fault, __: Request, path: Path) -> Answer:
    size = path.stat().st_size
    return Answer(200, drip(world.wait, read_pieces(path, 0, size)), MP4, length=size)


def _big(_: World, fault: Fault, __: Request, ___: Path) -> Answer:
    length = int(fault.number * 1_000_000)
    return Answer(200, big(length), MP4, length=length)


def _gzip(_: World, fault: Fault, __: Request, ___: Path) -> Answer:
    return Answer(200, double_gzip(int(fault.number)), MP4, {"Content-Encoding": "gzip, gzip"})


_WRONG: dict[str, Callable[[World, Fault, Request, Path], Answer]] = {
    "media-unsigned": lambda *_: status_answer(401),
    "media-redirect": _redirect,
    "media-cut": _cut,
    "media-truncated-mp4": _truncated,
    "media-html": lambda *_: html_answer(200, MP4),
    "media-svg": lambda *_: Answer(200, svg(), MP4),
    "media-empty": lambda *_: Answer(200, b"", MP4),
    "media-drip": _drip,
    "media-endless": lambda *_: Answer(200, endless(), MP4),
    "media-big": _big,
    "media-gzip": _gzip,
}
