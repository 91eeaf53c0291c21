"""Stored videos under permanent addresses."""

import hashlib

import pytest
from django.core import signing
from django.core.files.base import ContentFile
from django.db import connection
from django.http import Http404
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from grokvideo_django.media import links
from grokvideo_django.models import VideoRequest
from grokvideo_django.views import serve

from .making import put

pytestmark = pytest.mark.django_db

FILM = b"0123456789" * 10
SHA256 = hashlib.sha256(FILM).hexdigest()


@pytest.fixture
def stored(editor):
    request = put(editor, "succeeded", due_at=None)
    request.video.save("clip.mp4", ContentFile(FILM), save=False)
    request.poster.save("clip.jpg", ContentFile(b"picture"), save=False)
    VideoRequest.objects.filter(pk=request.pk).update(
        video=request.video.name, poster=request.poster.name, sha256=SHA256
    )
    request.refresh_from_db()
    return request


def address(request, view="media"):
    return reverse(f"grokvideo:{view}", args=[links.token(request)])


def content(response):
    return b"".join(response.streaming_content)


def test_anybody_with_the_address_sees_the_whole_video(client, stored):
    response = client.get(address(stored))
    assert (response.status_code, content(response)) == (200, FILM)
    assert response["Content-Type"] == "video/mp4"
    assert response["Content-Disposition"] == f'inline; filename="video-{stored.key[:8]}.mp4"'
    assert response["Cache-Control"] == "public, max-age=31536000, immutable"
    assert response["ETag"] == f'"{SHA256}"'
    assert response["Accept-Ranges"] == "bytes"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert "Vary" not in response or "Cookie" not in response["Vary"]


def test_the_prompt_is_not_given_away(client, stored):
    response = client.get(address(stored))
    assert "fox" not in str(response.headers).lower()
    content(response)


def test_a_part_of_it(client, stored):
    response = client.get(address(stored), headers={"Range": "bytes=10-14"})
    assert (response.status_code, content(response)) == (206, b"01234")
    assert response["Content-Range"] == "bytes 10-14/100"
    response = client.get(address(stored), headers={"Range": "bytes=100-"})
    assert (response.status_code, response["Content-Range"]) == (416, "bytes */100")
    response = client.get(address(stored), headers={"Range": "bytes=10-14", "If-Range": f'"{SHA256}"'})
    assert (response.status_code, content(response)) == (206, b"01234")


def test_head_has_no_body(client, stored):
    response = client.head(address(stored))
    assert (response.status_code, response["Content-Length"], response.content) == (200, "100", b"")


def test_download_saves_it(client, stored):
    response = client.get(address(stored), {"download": 1})
    assert response["Content-Disposition"].startswith("attachment; ")
    assert content(response) == FILM


def test_what_the_client_has_is_not_sent_again(client, stored):
    response = client.get(address(stored), headers={"If-None-Match": f'"{SHA256}"'})
    assert (response.status_code, response.content) == (304, b"")
    assert response["Cache-Control"].endswith("immutable")
    assert response["ETag"] == f'"{SHA256}"'
    response = client.get(address(stored), headers={"If-None-Match": '"other"'})
    assert content(response) == FILM


def test_the_poster(client, stored):
    response = client.get(address(stored, "poster"))
    assert (content(response), response["Content-Type"]) == (b"picture", "image/jpeg")
    assert response["ETag"] not in {"", f'"{SHA256}"'}


def test_a_file_without_checksum_is_not_kept_for_ever(client, stored):
    VideoRequest.objects.update(sha256="")
    for view in ("media", "poster"):
        response = client.get(address(stored, view), headers={"If-None-Match": '"x"'})
        assert response["Cache-Control"] == "public, max-age=3600"
        assert "ETag" not in response
        content(response)


@pytest.mark.parametrize("name", ["page.html", "drawing.svg", "none"])
def test_nothing_is_served_that_a_browser_could_run(client, stored, name):
    stored.poster.save(name, ContentFile(b"<script>"), save=False)
    VideoRequest.objects.update(poster=stored.poster.name, video=stored.poster.name)
    for view in ("media", "poster"):
        response = client.get(address(stored, view))
        assert response["Content-Type"] == "application/octet-stream"
        assert response["X-Content-Type-Options"] == "nosniff"
        content(response)


def test_a_false_or_foreign_signature_is_not_found(client, stored):
    token = links.token(stored)
    false = [
        token[:-1] + ("A" if token[-1] != "A" else "B"),
        stored.key,
        signing.Signer(salt="other").sign_object(stored.key),
        signing.Signer(salt=links.SALT).sign_object("no key"),
        signing.Signer(salt=links.SALT).sign_object({"key": stored.key}),
        signing.Signer(salt=links.SALT).sign_object("00000000-0000-0000-0000-000000000000"),
    ]
    for view in ("media", "poster"):
        for text in false:
            assert client.get(reverse(f"grokvideo:{view}", args=[text])).status_code == 404


def test_a_request_without_files_is_not_found(client, editor):
    request = put(editor, "queued")
    assert client.get(address(request)).status_code == 404
    assert client.get(address(request, "poster")).status_code == 404


def test_a_missing_file_is_not_found(client, stored):
    stored.video.storage.delete(stored.video.name)
    assert client.get(address(stored)).status_code == 404


def test_only_reading(client, stored):
    assert client.post(address(stored)).status_code == 405
    with CaptureQueriesContext(connection) as queries:
        content(client.get(address(stored)))
    assert [query["sql"].split()[0] for query in queries] == ["SELECT"]


def test_no_session_is_touched(stored):
    response = Client().get(address(stored))
    assert not response.cookies
    content(response)


def test_uploaded_files_can_be_sought_in_while_developing(rf, tmp_path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "clip.mp4").write_bytes(FILM)
    response = serve(rf.get("/", headers={"Range": "bytes=2-5"}), "videos/clip.mp4", document_root=tmp_path)
    assert (response.status_code, content(response)) == (206, b"2345")
    assert response["Content-Type"] == "video/mp4"
    response.close()


@pytest.mark.parametrize("path", ["missing.mp4", "folder", "../secret", "nul\0", ""])
def test_nothing_but_files_below_the_media_root_is_served(rf, tmp_path, path):
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "media" / "folder").mkdir(parents=True)
    with pytest.raises(Http404):
        serve(rf.get("/"), path, document_root=tmp_path / "media")
