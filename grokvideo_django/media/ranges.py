"""A stored file as an answer that players can seek in: HTTP Range (RFC 9110, section 14).

Django's ``FileResponse`` and ``static.serve`` know no Range; without it seeking fails, and Safari refuses to play
at all.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils.http import content_disposition_header, http_date, parse_http_date_safe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from django.core.files import File
    from django.http.response import HttpResponseBase

PIECE_BYTES = 65_536

_RANGE = re.compile(r"bytes=[ \t]*([0-9]{0,20})-([0-9]{0,20})[ \t]*", re.IGNORECASE)


class Unsatisfiable(Exception):  # noqa: N818 - a state of the request, as in RFC 9110
    """The range lies behind the end of the file."""


def ranged_response(
    request: HttpRequest,
    file: File[Any],
    *,
    content_type: str,
    filename: str = "",
    as_attachment: bool = False,
    etag: str = "",
    last_modified: datetime | None = None,
) -> HttpResponseBase:
    """An answer with the file, or with the one range of it that was asked for: 200, 206 or 416.

    ``file`` is seekable and is closed with the answer. Several ranges at once, odd ones, ranges on anything but GET
    and those whose If-Range does not match are answered with the whole file, which the RFC allows. ``etag``
    (strong, in its quotes) and ``last_modified`` are sent, and are what If-Range is compared with.
    """
    size = file.size
    try:
        part = requested_range(request, size, etag=etag, last_modified=last_modified)
    except Unsatisfiable:
        file.close()
        response: HttpResponseBase = HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
    else:
        start, end = part or (0, size)
        response = _body(request, file, start, end)
        response.headers["Content-Type"] = content_type
        response.headers["Content-Length"] = str(end - start)
        if part is not None:
            response.status_code = 206
            response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        if disposition := content_disposition_header(as_attachment, filename):
            response.headers["Content-Disposition"] = disposition
    response.headers["Accept-Ranges"] = "bytes"
    response.headers["X-Content-Type-Options"] = "nosniff"
    if etag:
        response.headers["ETag"] = etag
    if last_modified is not None:
        response.headers["Last-Modified"] = http_date(last_modified.timestamp())
    return response


def requested_range(
    request: HttpRequest, size: int, *, etag: str = "", last_modified: datetime | None = None
) -> tuple[int, int] | None:
    """The first byte and the one after the last, or None for the whole file. Raises Unsatisfiable."""
    match = _RANGE.fullmatch(request.headers.get("Range", ""))
    if match is None or request.method != "GET" or not _is_current(request, etag, last_modified):
        return None
    first, last = match.groups()
    if not first and not last:
        return None
    if not first:
        start, end = max(size - int(last), 0), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    if start >= size:
        raise Unsatisfiable
    return start, end


def _is_current(request: HttpRequest, etag: str, last_modified: datetime | None) -> bool:
    """Whether the client's part, if it has one, is of this very file (RFC 9110, 13.1.5: a strong, exact match)."""
    condition = request.headers.get("If-Range")
    if condition is None:
        return True
    if condition.startswith('"'):
        return condition == etag
    return last_modified is not None and parse_http_date_safe(condition) == int(last_modified.timestamp())


class _Pieces:
    """An iterator over a part of a file, which closes it even if it was never begun (a generator would not)."""

    def __init__(self, file: File[Any], start: int, end: int) -> None:
        self._file = file
        self._left = end - start
        file.seek(start)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        piece = self._file.read(min(PIECE_BYTES, self._left)) if self._left else b""
        if not piece:
            raise StopIteration
        self._left -= len(piece)
        return bytes(piece)

    def close(self) -> None:
        self._file.close()


def _body(request: HttpRequest, file: File[Any], start: int, end: int) -> HttpResponseBase:
    if request.method == "HEAD":
        file.close()
        return HttpResponse()
    return StreamingHttpResponse(_Pieces(file, start, end))
