"""Stored videos and posters under permanent, unguessable addresses, with Range so that players can seek."""

from __future__ import annotations

import hashlib
import mimetypes
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from django.core import signing
from django.core.exceptions import SuspiciousFileOperation, ValidationError
from django.core.files.storage import FileSystemStorage
from django.http import Http404
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_safe

from .media.links import key_of
from .media.ranges import ranged_response
from .models import VideoRequest

if TYPE_CHECKING:
    import os

    from django.db.models.fields.files import FieldFile
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

FOREVER: Final = "public, max-age=31536000, immutable"
AN_HOUR: Final = "public, max-age=3600"
"""For files that were assigned by hand: without a checksum nobody knows whether they change."""

VIDEO_TYPES: Final = {".mp4": "video/mp4", ".m4v": "video/mp4", ".webm": "video/webm", ".mov": "video/quicktime"}
POSTER_TYPES: Final = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}
"""Nothing that a browser could run: an address of this site may not serve a page that somebody uploaded."""


@require_safe
def media(request: HttpRequest, token: str) -> HttpResponseBase:
    """The stored video. ``?download=1`` saves it instead of playing it."""
    found = _find(token)
    return _send(request, found, found.video, types=VIDEO_TYPES, checksum=found.sha256)


@require_safe
def poster(request: HttpRequest, token: str) -> HttpResponseBase:
    """The stored video's poster."""
    found = _find(token)
    name = found.poster.name or ""
    checksum = hashlib.sha256(f"{found.sha256} {name}".encode()).hexdigest() if found.sha256 else ""
    return _send(request, found, found.poster, types=POSTER_TYPES, checksum=checksum)


@require_safe
def serve(request: HttpRequest, path: str, document_root: str | os.PathLike[str]) -> HttpResponseBase:
    """A file below MEDIA_ROOT, for development: ``django.views.static.serve`` with Range.

    ``urlpatterns += static(settings.MEDIA_URL, view=serve, document_root=settings.MEDIA_ROOT)``
    """
    try:
        file = FileSystemStorage(location=document_root).open(path)
    except (OSError, ValueError, SuspiciousFileOperation) as error:
        raise Http404("There is no such file.") from error
    return ranged_response(request, file, content_type=mimetypes.guess_type(path)[0] or "application/octet-stream")


def _find(token: str) -> VideoRequest:
    try:
        return VideoRequest.objects.only("uuid", "video", "poster", "sha256").get(uuid=key_of(token))
    except (signing.BadSignature, VideoRequest.DoesNotExist, ValidationError, ValueError) as error:
        raise Http404("There is no such video.") from error


def _send(
    request: HttpRequest, found: VideoRequest, file: FieldFile, *, types: dict[str, str], checksum: str
) -> HttpResponseBase:
    etag = f'"{checksum}"' if checksum else ""
    headers = {"Cache-Control": FOREVER if etag else AN_HOUR, "X-Content-Type-Options": "nosniff"}
    if not file:
        raise Http404("There is no such video.")
    unchanged = get_conditional_response(request, etag=etag or None)
    if unchanged is not None:
        return _with(unchanged, {**headers, "ETag": etag})
    suffix = PurePosixPath(file.name or "").suffix.lower()
    try:
        opened = file.storage.open(file.name or "", "rb")
        response = ranged_response(
            request,
            opened,
            content_type=types.get(suffix, "application/octet-stream"),
            filename=f"video-{found.key[:8]}{suffix}",
            as_attachment="download" in request.GET,
            etag=etag,
        )
    except OSError as error:
        raise Http404("The file is missing.") from error
    return _with(response, headers)


def _with(response: HttpResponseBase, headers: dict[str, str]) -> HttpResponseBase:
    for name, value in headers.items():
        response.headers[name] = value
    return response
