"""A video on its way into a bucket: streamed, planned, swept, attached, served."""

from __future__ import annotations

import hashlib
import io
from datetime import timedelta

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.urls import reverse
from django.utils import timezone
from PIL import Image

from grokvideo_django import jobs
from grokvideo_django.media import fetch as fetching
from grokvideo_django.media import links
from grokvideo_django.media.sweep import sweep
from grokvideo_django.models import PlannedFile, VideoRequest
from tests.site.models import Article, Page

from ..conftest import content_of
from ..making import Status, finished, overdue

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def parts(s3, sandbox, redis_server):
    """Everything that a download needs."""


@pytest.fixture
def stored(editor):
    """Makes a request whose video is in the bucket, and attached."""

    def make(words="", **content):
        row = finished(editor, words, **content)
        jobs.fetch(row.pk)
        row.refresh_from_db()
        return row

    return make


def test_video_and_poster_lie_in_the_bucket_under_their_planned_names(s3, sandbox, stored):
    row = stored()
    assert row.status == Status.SUCCEEDED
    assert s3.keys() == sorted([row.video.name, row.poster.name])
    assert row.video.name.startswith(f"grokvideo/{row.pk}-")
    video = s3.content(row.video.name)
    assert (len(video), hashlib.sha256(video).hexdigest()) == (row.size_bytes, row.sha256)
    assert s3.client.head_object(Bucket="videos", Key=row.video.name)["ContentType"] == "video/mp4"
    with Image.open(io.BytesIO(s3.content(row.poster.name))) as picture:
        assert picture.format == "JPEG"
    assert not PlannedFile.objects.exists()
    assert s3.keys("site") == []


def test_a_large_video_is_never_in_memory_as_a_whole(s3, tmp_path, monkeypatch):
    """512 MB are allowed; it is read and sent in parts of at most 8 MiB."""
    sizes = []

    def counted(self, size=-1):
        sizes.append(size)
        return self.file.read(size)

    monkeypatch.setattr(fetching.PlacedFile, "read", counted)
    large = tmp_path / "large.mp4"
    large.write_bytes(bytes(20 * 1024 * 1024))
    with large.open("rb") as file:
        storages["videos"].save("grokvideo/large.mp4", fetching.PlacedFile(file, name=str(large)))
    assert storages["videos"].size("grokvideo/large.mp4") == 20 * 1024 * 1024
    assert sizes
    assert all(0 <= size <= 8 * 1024 * 1024 for size in sizes), sizes


def test_a_name_that_is_taken_is_not_overwritten_by_another_request(s3, stored):
    names = {stored().video.name for _twice in range(2)}
    assert len(names) == 2


def test_a_bucket_that_is_away_is_tried_again(s3, editor):
    row = finished(editor)
    s3.stop()
    try:
        with pytest.raises(Exception, match=r"(?i)connect"):  # the error must be seen, says the download
            jobs.fetch(row.pk)
    finally:
        s3.start()
    row.refresh_from_db()
    assert (row.status, row.lease_token) == (Status.RENDERED, None)
    assert "could not be stored" in row.error_message
    overdue(row)
    jobs.fetch(row.pk)
    row.refresh_from_db()
    assert row.status == Status.SUCCEEDED
    sweep(timezone.now() + timedelta(hours=2))
    assert s3.keys() == sorted([row.video.name, row.poster.name])
    assert not PlannedFile.objects.exists()


def test_the_sweep_deletes_what_a_dead_worker_left_in_the_bucket(s3, stored):
    row = stored()
    storages["videos"].save("grokvideo/dead.mp4", ContentFile(b"half of it"))
    long_ago = timezone.now() - timedelta(minutes=1)
    for name in ("grokvideo/dead.mp4", "grokvideo/never-written.jpg", row.video.name):
        token = "00000000-0000-0000-0000-000000000001"
        PlannedFile.objects.create(place="result", name=name, lease_token=token, request_key="x", expires_at=long_ago)
    assert sweep(timezone.now()) == 3
    assert s3.keys() == sorted([row.video.name, row.poster.name])


@pytest.mark.parametrize("bucket", ["the site's bucket", "a folder"])
def test_a_file_field_gets_a_copy_of_its_own(bucket, s3, stored):
    target = Page.objects.create() if bucket == "the site's bucket" else Article.objects.create(title="Foxes")
    field = "clip" if isinstance(target, Page) else "hero"
    row = stored(target=target, target_field=field)
    target.refresh_from_db()
    copy = getattr(target, field)
    assert content_of(copy) == s3.content(row.video.name)
    assert s3.keys("site") == ([copy.name] if isinstance(target, Page) else [])
    assert not PlannedFile.objects.exists()
    copy.delete()
    assert s3.content(row.video.name)


def test_a_url_field_gets_the_media_views_address_while_the_buckets_expire(s3, stored, client, settings):
    settings.GROKVIDEO = {**settings.GROKVIDEO, "SITE_URL": "http://testserver"}
    target = Article.objects.create(title="Foxes")
    row = stored(target=target, target_field="hero_url")
    target.refresh_from_db()
    assert "Signature=" in row.video.url
    assert target.hero_url == "http://testserver" + reverse("grokvideo:media", args=[links.token(row)])
    answer = client.get(target.hero_url, headers={"Range": "bytes=4-7"})
    assert (answer.status_code, b"".join(answer.streaming_content)) == (206, b"ftyp")
    whole = client.get(target.hero_url)
    assert b"".join(whole.streaming_content) == s3.content(row.video.name)


def test_a_url_field_gets_the_buckets_own_address_if_that_is_permanent(s3, stored, monkeypatch):
    storage = VideoRequest._meta.get_field("video").storage
    monkeypatch.setattr(storage, "querystring_auth", False)
    target = Article.objects.create(title="Foxes")
    row = stored(target=target, target_field="hero_url")
    target.refresh_from_db()
    assert target.hero_url == f"http://{s3.address}:{s3.port}/videos/{row.video.name}"


def test_an_object_that_somebody_deleted_is_not_found(s3, stored, client):
    row = stored()
    s3.empty()
    assert client.get(reverse("grokvideo:media", args=[links.token(row)])).status_code == 404


def test_an_image_in_the_bucket_is_sent_along(s3, sandbox, stored):
    picture = io.BytesIO()
    Image.new("RGB", (64, 64)).save(picture, "PNG")
    stored(image=ContentFile(picture.getvalue(), name="frame.png"))
    assert sandbox.accepted[0].payload["image_url"].startswith("data:image/png;base64,")
