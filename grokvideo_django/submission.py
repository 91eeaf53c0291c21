"""Sending one request to the gateway: the POST that costs money, and what each answer to it means."""

from __future__ import annotations

import base64
import logging
import time
from datetime import timedelta
from typing import Final

from django.db import Error as DatabaseTrouble
from django.db import close_old_connections
from django.utils import timezone

from . import conf, crash, transactions
from .gateway import (
    AccountRefused,
    AnswerLost,
    GatewayClient,
    GatewayError,
    NotAccepted,
    RequestRefused,
    ServerFault,
    VideoOrder,
    sent_tag,
)
from .lifecycle import site, submitting
from .models import GatewayState, VideoRequest
from .polling import history, rate, schedule
from .validation import image_format

log = logging.getLogger("grokvideo_django")

PATIENCE_SECONDS: Final = 5.0
"""How long a worker waits for the request budget before it puts the row back."""
SAVE_TRIES: Final = 20
MIME_TYPES: Final = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}


class Unsendable(Exception):  # noqa: N818 - a state of the row
    """The order cannot be built."""


def client() -> GatewayClient:
    """A client of the site's gateway, for one thread."""
    settings = conf.current()
    return GatewayClient(
        base_url=settings.BASE_URL,
        api_key=settings.API_KEY,
        read_timeout=settings.READ_TIMEOUT,
        post_timeout=settings.POST_TIMEOUT,
    )


def submit(pk: int) -> None:
    """Send a queued request, once. Every other state of the row, and every other worker, makes this a no-op."""
    request = VideoRequest.objects.filter(pk=pk, status=VideoRequest.Status.QUEUED).first()
    if request is None:
        return
    try:
        order = build_order(request)
    except Unsendable as error:
        submitting.unsendable(pk, code="unsendable", message=str(error))
        return
    state = GatewayState.objects.current()
    if not state.lets_through(timezone.now()) or not _await_turn(pk):
        return
    if not site.may_submit(timezone.now()):  # the pause may have begun meanwhile
        return
    first_read_after = timedelta(seconds=history.usual(history.kind_of(request), state).first_read)
    lease = submitting.claim(pk, timezone.now(), tag=sent_tag(order.tag))
    if lease is None:
        if state.is_paused:
            site.let_one_through(timezone.now())  # the one permission to try is another's now
        return
    crash.point("submit.claimed")
    _send(lease, order, attempt=request.submit_attempts + 1, first_read_after=first_read_after)


def build_order(request: VideoRequest) -> VideoOrder:
    """The order for a request, with its image as a ``data:`` URL.

    Raises:
        Unsendable: its image cannot be read.
    """
    return VideoOrder(
        model=request.model or conf.current().MODEL,
        prompt=request.prompt,
        duration_seconds=request.duration_seconds,
        aspect_ratio=request.aspect_ratio,
        resolution=request.resolution,
        mode=request.mode,
        image_url=_data_url(request) if request.image else request.image_url,
        tag=conf.current().TAG,
        idempotency_key=request.key,
    )


def _data_url(request: VideoRequest) -> str:
    try:
        with request.image.open("rb") as file:
            kind = image_format(file)
            content = file.read()
    except OSError as error:
        raise Unsendable("The image's file cannot be read any more.") from error
    if kind is None:
        raise Unsendable("The image's file is no image that can be sent.")
    return f"data:{MIME_TYPES[kind]};base64,{base64.b64encode(content).decode('ascii')}"


def _await_turn(pk: int) -> bool:
    """Wait a little for the site's request budget; past that the row waits, not the worker."""
    gate = rate.gate()
    patience_until = time.monotonic() + PATIENCE_SECONDS
    while not (permit := gate.take(1, "submit")).granted:
        if time.monotonic() + permit.wait_seconds > patience_until:
            due_at = timezone.now() + timedelta(seconds=permit.wait_seconds)
            transactions.update(VideoRequest.objects.filter(pk=pk, status=VideoRequest.Status.QUEUED), due_at=due_at)
            return False
        time.sleep(permit.wait_seconds)
    return True


def _send(lease: submitting.Lease, order: VideoOrder, *, attempt: int, first_read_after: timedelta) -> None:
    with client() as gateway:
        if not submitting.confirm(lease, timezone.now()):
            return
        crash.point("submit.before_post")
        try:
            job = gateway.create(order)
        except GatewayError as error:
            crash.point("submit.after_post")
            _learn(error)
            _not_submitted(lease, error, attempt=attempt)
            return
        crash.point("submit.after_post")
    _save(lease.pk, job.id, first_read_after)
    crash.point("submit.saved")
    if gateway.last_rate_limit is not None:
        rate.gate().learn(gateway.last_rate_limit)
    site.resume(timezone.now())


def _learn(error: GatewayError) -> None:
    gate = rate.gate()
    gate.learn(error.rate_limit)
    if error.status == 429:
        gate.block(error.retry_after or schedule.MIN_GAP_SECONDS)


def _save(pk: int, job_id: str, first_read_after: timedelta) -> None:
    """Save the id of a paid job, whatever it takes: for a minute through a database that is away."""
    tries_left = SAVE_TRIES
    while True:
        tries_left -= 1
        now = timezone.now()
        try:
            submitting.accepted(pk, job_id, now=now, first_read_at=now + first_read_after)
        except DatabaseTrouble:  # a lost connection may be an InterfaceError, which is no DatabaseError
            log.critical("Gateway job %s of request %s is paid for, but cannot be saved yet.", job_id, pk)
            if not tries_left:
                raise
            time.sleep(3)
            close_old_connections()
        except BaseException:  # the job's time is over, say: who looks for the video needs its id
            log.critical("Gateway job %s of request %s is paid for, and was not saved.", job_id, pk)
            raise
        else:
            return


def _not_submitted(lease: submitting.Lease, error: GatewayError, *, attempt: int) -> None:
    """The table under *Submit* in the design, one case a row."""
    pause = error.retry_after or schedule.growing(attempt)
    due_at = timezone.now() + timedelta(seconds=pause)
    code = str(error.status or error.code or "lost")
    match error:
        case NotAccepted():
            submitting.not_accepted(lease, message=f"Not accepted yet: {error.message}", due_at=due_at)
        case AccountRefused():
            submitting.site_refused(lease, status=error.status or 401, message=error.message)
        case ServerFault():
            submitting.server_fault(lease, message=error.message, due_at=due_at)
        case RequestRefused():
            submitting.refused(lease, code=code, message=error.message)
            site.resume(timezone.now())
        case AnswerLost() | _:
            submitting.doubt(lease, code=code, message=error.message)
