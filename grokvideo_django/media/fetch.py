"""Bringing a finished video home: planned, streamed, checked, stored, captured."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from django.conf import settings as django_settings
from django.core.files.base import ContentFile, File
from django.core.files.storage import Storage
from django.utils import timezone

from .. import conf, crash
from ..exceptions import MediaForbidden, MediaRefused, MediaUnavailable
from ..gateway import GatewayClient, GatewayError, RequestRefused
from ..lifecycle import storing
from ..lifecycle.submitting import Lease
from ..models import PlannedFile, VideoRequest
from ..models.requests import result_storage
from ..polling import schedule
from ..polling.rate import RateGate
from .addresses import Policy
from .download import Downloaded, download
from .poster import poster
from .probe import VideoInfo, probe

log = logging.getLogger("grokvideo_django")

if TYPE_CHECKING:
    BytesFile = File[bytes]
else:
    BytesFile = File

Place = PlannedFile.Place

ADDRESS_TRIES: Final = 5
"""A host that is away for longer may never come back, and the job name another."""
SILENT_ENDS: Final = 2
"""One may be a restart of the worker."""


class PlacedFile(BytesFile):
    """A file on disk that a file system storage may move instead of copying it."""

    def temporary_file_path(self) -> str:
        """Where it is."""
        return str(self.name)


def fetch(pk: int, *, new_client: Callable[[], GatewayClient], gate: RateGate) -> bool:
    """Store the video of a rendered row; False when another worker has it or it did not work out.

    Every failure leaves the row with a reason and a next try, or in doubt; the video stays at the gateway.
    """
    lease = storing.claim(pk, timezone.now())
    if lease is None:
        return False
    crash.point("fetch.claimed")
    request = VideoRequest.objects.get(pk=pk)
    held = True
    try:
        with new_client() as client:
            held = _Fetch(request, lease, client, gate).run()
            return held
    except MediaRefused as error:
        held = storing.media_refused(lease, message=str(error), now=timezone.now())
    except (MediaUnavailable, GatewayError, OSError) as error:
        if isinstance(error, GatewayError) and error.status == 429:
            gate.block(error.retry_after or schedule.MIN_GAP_SECONDS)
        held = _again(request, lease, error)
    except Exception as error:
        # A storage may raise anything. The row must not wait for its lease to run out, and the error must be seen.
        held = _again(request, lease, error)
        raise
    finally:
        if not held:
            storing.fetch_lost(pk)
    return False


def _again(request: VideoRequest, lease: Lease, error: Exception) -> bool:
    """False: the lease is lost."""
    now = timezone.now()
    words = str(error) if isinstance(error, MediaUnavailable) else f"The video could not be stored: {error!r}"
    if request.file_expires_at is not None and now >= request.file_expires_at:
        gone = f"{words} The gateway has deleted it by now."
        return storing.doubt(lease, code="not_stored", message=gone, warns=True)
    if request.rendered_at is not None and now - request.rendered_at > storing.GIVE_UP_AFTER:
        late = f"{words} The gateway deletes it within a day."
        return storing.doubt(lease, code="not_stored", message=late, warns=True)
    pause = getattr(error, "retry_after", None) or schedule.growing(request.fetch_attempts)
    return storing.fetch_again(lease, message=words, due_at=now + timedelta(seconds=pause))


class _Fetch:
    """One try under one lease."""

    def __init__(self, request: VideoRequest, lease: Lease, client: GatewayClient, gate: RateGate) -> None:
        self._request = request
        self._lease = lease
        self._client = client
        self._gate = gate
        self._storage: Storage = result_storage()
        self._written: list[str] = []
        stem = f"{request.pk}-{lease.token.hex}"
        folder = getattr(django_settings, "FILE_UPLOAD_TEMP_DIR", None) or tempfile.gettempdir()
        self._temporary = Path(folder) / f"grokvideo-{stem}.mp4"
        upload_to = PurePosixPath(conf.current().UPLOAD_TO)
        self._video_name = str(upload_to / f"{stem}.mp4")
        self._poster_name = str(upload_to / f"{stem}.jpg")

    def run(self) -> bool:
        """Everything, or nothing that stays."""
        planned = [
            (Place.TEMPORARY, str(self._temporary)),
            (Place.RESULT, self._video_name),
            (Place.RESULT, self._poster_name),
        ]
        storing.plan(self._request, self._lease, planned, now=timezone.now())
        kept = False
        try:
            kept = self._store(self._download())
        finally:
            self._temporary.unlink(missing_ok=True)
            if kept or self._discard():
                storing.forget_plan(self._lease, [name for _place, name in planned] + self._written)
        return kept

    def _download(self) -> Downloaded:
        if self._request.media_refusals or not self._request.result_url:
            self._read_again()
        elif self._request.fetch_attempts > ADDRESS_TRIES:
            with suppress(GatewayError, MediaUnavailable):  # the one that is known may work again
                self._read_again()
        try:
            return self._stream(self._request.result_url)
        except MediaForbidden as forbidden:
            name = PurePosixPath(urlsplit(self._request.result_url).path).name
            self._await_turn()
            try:
                signed = self._client.signed_url(self._request.gateway_job_id or "", name)
            except RequestRefused:  # there is nothing to sign
                raise forbidden from None
            # The API may serve what it signs itself. No key goes there with a download, nor to any other host.
            return self._stream(signed, urlsplit(conf.current().BASE_URL.strip()).netloc)

    def _read_again(self) -> None:
        """The last address was no good: the job may name another one by now. One that is unknown names none."""
        self._await_turn()
        try:
            job = self._client.read(self._request.gateway_job_id or "")
        except RequestRefused:
            return
        if job.result_url and storing.new_url(self._lease, job.result_url):
            self._request.result_url = job.result_url

    def _await_turn(self) -> None:
        permit = self._gate.take(1, "read")
        if not permit.granted:
            raise MediaUnavailable("The site's request budget is used up just now.", retry_after=permit.wait_seconds)

    def _stream(self, url: str, *more_hosts: str) -> Downloaded:
        settings = conf.current()
        policy = Policy(hosts=[*settings.MEDIA_HOSTS, *more_hosts], allow_private=settings.ALLOW_PRIVATE_NETWORK)
        with self._temporary.open("wb") as file:
            crash.point("fetch.downloading")
            got = download(url, file, policy=policy, max_bytes=settings.MAX_BYTES, max_seconds=settings.FETCH_SECONDS)
        crash.point("fetch.downloaded")
        return got

    def _store(self, got: Downloaded) -> bool:
        with self._temporary.open("rb") as file:
            info = probe(file)
        picture = None if self._has_killed() else poster(self._temporary)
        if not storing.holds(self._lease, timezone.now()):
            return False
        # The temporary file is moved where the storage can: read everything that is needed of it before.
        poster_name = self._save(self._poster_name, ContentFile(picture)) if picture else ""
        with self._temporary.open("rb") as file:
            video_name = self._save(self._video_name, PlacedFile(file, name=str(self._temporary)))
        crash.point("fetch.stored")
        captured = storing.succeed(self._lease, _stored(video_name, poster_name, info, got))
        if captured:
            crash.point("fetch.captured")
        return captured

    def _has_killed(self) -> bool:
        """Whether two downloads have ended without a word: decoding it may be what kills the workers.

        No poster is worth the video, which the gateway deletes while one worker after the other dies of it.
        """
        before = self._request.fetch_attempts - 1
        if before < SILENT_ENDS:
            return False
        told = self._request.events.filter(
            kind__in=storing.FETCH_ENDS, at__gte=self._request.rendered_at or self._request.created_at
        )
        killed = before - told.count() >= SILENT_ENDS
        if killed:
            log.warning("Request %s gets no poster: its downloads have ended without a word.", self._request.pk)
        return killed

    def _save(self, name: str, content: File[Any]) -> str:
        self._written.append(name)
        actual = self._storage.save(name, content, max_length=255)
        if actual != name:
            self._written.append(actual)
            storing.plan(self._request, self._lease, [(Place.RESULT, actual)], now=timezone.now())
        return actual

    def _discard(self) -> bool:
        """What was written is of no use. False: it cannot be deleted now, so it stays planned for the sweep.

        Unless a row refers to it: a connection that is lost during a COMMIT does not tell how that ended.
        """
        try:
            for name in self._written:
                if not storing.is_referred_to(name):
                    self._storage.delete(name)
        except Exception:
            log.exception("Files of request %s could not be deleted yet.", self._request.pk)
            return False
        return True


def _stored(video: str, picture: str, info: VideoInfo, got: Downloaded) -> storing.Stored:
    return storing.Stored(
        video=video,
        poster=picture,
        seconds=info.duration_seconds,
        width=info.width,
        height=info.height,
        has_audio=info.has_audio,
        size_bytes=got.size_bytes,
        sha256=got.sha256,
    )
