from __future__ import annotations

import warnings
from datetime import UTC, datetime

import pytest
from django.core.files import File
from django.core.files.base import ContentFile
from django.test import RequestFactory
from django.utils.http import http_date

from grokvideo_django.media.ranges import ranged_response

BODY = bytes(range(256)) * 1_000
SIZE = len(BODY)
CHANGED = datetime(2026, 11, 22, 12, 0, 0, 123_456, tzinfo=UTC)


class Stored(File):
    """An open file that remembers how it was read."""

    def __init__(self, body: bytes = BODY) -> None:
        source = ContentFile(body)
        super().__init__(source.file, "stored.mp4")
        self.reads: list[int] = []

    def read(self, size: int = -1) -> bytes:
        self.reads.append(size)
        return self.file.read(size)


def ask(range_header: str | None = None, *, method: str = "get", body: bytes = BODY, if_range: str = "", **options):
    headers = {"Range": range_header} if range_header is not None else {}
    headers |= {"If-Range": if_range} if if_range else {}
    request = getattr(RequestFactory(), method)("/", headers=headers)
    file = Stored(body)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        response = ranged_response(request, file, content_type="video/mp4", **options)
        content = b"".join(response) if response.streaming else response.content
        response.close()
    return response, content, file


def test_the_whole_file():
    response, content, file = ask()
    assert response.status_code == 200
    assert content == BODY
    assert dict(response.headers) == {
        "Content-Type": "video/mp4",
        "Content-Length": str(SIZE),
        "Accept-Ranges": "bytes",
        "X-Content-Type-Options": "nosniff",
    }
    assert max(file.reads) == 65_536
    assert file.closed


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-1", 0, 2),  # what Safari asks first
        ("bytes=100-199", 100, 200),
        ("bytes=0-", 0, SIZE),
        ("bytes=1000-", 1_000, SIZE),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE),
        (f"bytes=10-{SIZE}", 10, SIZE),
        ("bytes=10-99999999999999999999", 10, SIZE),
        ("bytes=-1", SIZE - 1, SIZE),
        ("bytes=-1000", SIZE - 1_000, SIZE),
        ("bytes=-99999999999999999999", 0, SIZE),
        ("Bytes= 5-9 ", 5, 10),
        ("bytes=0-131071", 0, 131_072),
    ],
)
def test_one_range(header, start, end):
    response, content, file = ask(header)
    assert response.status_code == 206
    assert content == BODY[start:end]
    assert response.headers["Content-Range"] == f"bytes {start}-{end - 1}/{SIZE}"
    assert response.headers["Content-Length"] == str(end - start)
    assert response.headers["Content-Type"] == "video/mp4"
    assert response.headers["Accept-Ranges"] == "bytes"
    assert file.closed


@pytest.mark.parametrize(
    "header", [f"bytes={SIZE}-", f"bytes={SIZE}-{SIZE + 9}", "bytes=99999999999999999999-", "bytes=-0"]
)
def test_a_range_behind_the_end(header):
    response, content, file = ask(header, etag='"a"')
    assert response.status_code == 416
    assert response.headers["Content-Range"] == f"bytes */{SIZE}"
    assert content == b""
    assert file.closed


@pytest.mark.parametrize(
    "header",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=1",
        "bytes=5-4",
        "bytes=0-1,5-6",
        "bytes=0-,-1",
        "bytes=1 - 2",
        "bytes=+1-2",
        "bytes=--1",
        "bytes=0x1-2",
        "bytes=\u0661-2",
        "bytes 0-1",
        "items=0-1",
        "bytes=1.5-2",
        "bytes=" + "9" * 5_000 + "-",
    ],
)
def test_odd_and_several_ranges_are_answered_whole(header):
    response, content, _ = ask(header)
    assert response.status_code == 200
    assert content == BODY
    assert "Content-Range" not in response.headers


@pytest.mark.parametrize("header", [None, "bytes=0-9"])
def test_head_says_how_long_the_file_is(header):
    response, content, file = ask(header, method="head")
    assert response.status_code == 200
    assert content == b""
    assert response.headers["Content-Length"] == str(SIZE)
    assert response.headers["Content-Type"] == "video/mp4"
    assert file.closed
    assert not file.reads


def test_ranges_are_for_get_only():
    assert ask("bytes=0-9", method="post")[0].status_code == 200


@pytest.mark.parametrize(
    ("if_range", "status"),
    [
        ('"v1"', 206),
        ('"v2"', 200),
        ('W/"v1"', 200),
        ("v1", 200),
        (http_date(CHANGED.timestamp()), 206),
        (http_date(CHANGED.timestamp() - 1), 200),
        (http_date(CHANGED.timestamp() + 1), 200),
        ("yesterday", 200),
    ],
)
def test_a_part_of_another_version_is_not_continued(if_range, status):
    response, content, _ = ask("bytes=10-", if_range=if_range, etag='"v1"', last_modified=CHANGED)
    assert response.status_code == status
    assert content == (BODY[10:] if status == 206 else BODY)
    assert response.headers["ETag"] == '"v1"'
    assert response.headers["Last-Modified"] == "Sun, 22 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize("if_range", ['"v1"', '""', http_date(0)])
def test_without_a_version_nothing_is_continued(if_range):
    assert ask("bytes=10-", if_range=if_range)[0].status_code == 200


@pytest.mark.parametrize(("header", "status"), [(None, 200), ("bytes=0-", 416), ("bytes=-5", 416), ("bytes=0-0", 416)])
def test_an_empty_file(header, status):
    response, content, _ = ask(header, body=b"")
    assert response.status_code == status
    assert content == b""


@pytest.mark.parametrize(
    ("filename", "as_attachment", "disposition"),
    [
        ("", False, None),
        ("", True, "attachment"),
        ("a.mp4", False, 'inline; filename="a.mp4"'),
        ("a.mp4", True, 'attachment; filename="a.mp4"'),
        ("\u00e4.mp4", True, "attachment; filename*=utf-8''%C3%A4.mp4"),
    ],
)
def test_the_name_of_a_download(filename, as_attachment, disposition):
    response, _, _ = ask(filename=filename, as_attachment=as_attachment)
    assert response.headers.get("Content-Disposition") == disposition


def test_a_name_cannot_add_a_header():
    response, _, _ = ask(filename='"\r\nX: y.mp4')
    assert "\r" not in response.headers["Content-Disposition"]
    assert "X" not in response.headers


def test_a_file_that_shrinks_ends_the_answer():
    file = Stored()
    file.size = SIZE + 100
    response = ranged_response(RequestFactory().get("/"), file, content_type="video/mp4")
    assert b"".join(response) == BODY


def test_an_answer_that_nobody_reads_closes_the_file():
    file = Stored()
    response = ranged_response(RequestFactory().get("/"), file, content_type="video/mp4")
    assert not file.closed
    response.close()
    assert file.closed
