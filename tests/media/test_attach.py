"""Giving the video to its target: it may fail as often as it likes, the video and its price stay."""

from __future__ import annotations

import logging
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.contenttypes.models import ContentType
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from django.db import OperationalError
from django.utils import timezone

from grokvideo_django.media import attach as attaching
from grokvideo_django.media.attach import attach, find_target
from grokvideo_django.media.sweep import sweep
from grokvideo_django.models import CreditAccount, PlannedFile, VideoRequest
from tests.site.models import Article, Page, Stubborn

from ..conftest import content_of
from ..making import Status, last_event, lease_of, overdue, put, seconds_until, unchanged
from ..timing import about

pytestmark = pytest.mark.django_db(transaction=True)

BYTES = b"not really a video"
HERO = Article._meta.get_field("hero")


@pytest.fixture(autouse=True)
def copies(settings, tmp_path, monkeypatch):
    """The target's own storage; every copy that is left is seen."""
    settings.MEDIA_ROOT = tmp_path / "media"
    monkeypatch.setattr(HERO, "storage", FileSystemStorage(location=tmp_path / "copies"))
    return tmp_path / "copies"


@pytest.fixture
def article(db):
    return Article.objects.create(title="Foxes")


@pytest.fixture
def stored(editor):
    """A row whose video is stored and waits to be attached."""

    def make(target, field, **values):
        row = put(editor, Status.SUCCEEDED, target=target, target_field=field, lease_token=None, charged_credits=5)
        row.video.storage.save(f"grokvideo/{row.pk}.mp4", ContentFile(BYTES))
        VideoRequest.objects.filter(pk=row.pk).update(video=f"grokvideo/{row.pk}.mp4", **values)
        row.refresh_from_db()
        return row

    return make


@pytest.fixture
def at(monkeypatch):
    def hook(where, act):
        monkeypatch.setattr(attaching.crash, "point", lambda name: act() if name == where else None)

    return hook


def try_to_attach(row):
    result = attach(row.pk)
    row.refresh_from_db()
    return result


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())


def never_undone(row):
    assert (row.status, row.charged_credits) == (Status.SUCCEEDED, 5)
    assert content_of(row.video) == BYTES


# -- a file field


def test_a_file_field_gets_a_copy_of_its_own(stored, article, copies):
    row = stored(article, "hero")
    assert try_to_attach(row) is True
    article.refresh_from_db()
    assert content_of(article.hero) == BYTES
    assert article.hero.name != row.video.name
    assert files(copies) == [article.hero.name]
    assert article.hero.name.startswith(f"heroes/grokvideo-{row.pk}-")
    event = last_event(row)
    assert (event.kind, event.message) == ("attached", f"Attached to article {article.pk}, field hero.")
    assert (row.due_at, row.lease_token) == (None, None)
    assert not PlannedFile.objects.exists()
    never_undone(row)


def test_nothing_else_of_the_target_is_written(stored, article):
    row = stored(article, "hero")
    stale = []
    real = attaching.find_target

    def find(request):
        found = real(request)
        Article.objects.filter(pk=article.pk).update(title="Wolves")
        stale.append(found.title)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attaching, "find_target", find)
        assert try_to_attach(row)
    article.refresh_from_db()
    assert (stale, article.title, bool(article.hero)) == (["Foxes"], "Wolves", True)


def test_a_copy_is_planned_before_its_first_byte(stored, article, monkeypatch):
    row, seen = stored(article, "hero"), []

    class Watched(FileSystemStorage):
        def _save(self, name, content):
            seen.extend(PlannedFile.objects.values_list("place", "target_field", "name"))
            return super()._save(name, content)

    monkeypatch.setattr(HERO, "storage", Watched(location=HERO.storage.location))
    try_to_attach(row)
    article.refresh_from_db()
    assert seen == [("target", "testsite.Article.hero", article.hero.name)]


def test_a_field_with_little_room_gets_a_shorter_name(stored, article, monkeypatch, copies, at):
    monkeypatch.setattr(HERO, "max_length", 30)
    row, seen = stored(article, "hero"), []
    at("attach.copied", lambda: seen.extend(PlannedFile.objects.values_list("name", flat=True)))
    assert try_to_attach(row) is True
    article.refresh_from_db()
    assert len(article.hero.name) <= 30
    assert files(copies) == [article.hero.name]
    assert article.hero.name in seen
    assert not PlannedFile.objects.exists()


def test_a_place_that_is_always_the_same_keeps_the_file_of_another(stored, article, monkeypatch, copies, at):
    """Whose ``upload_to`` ignores the name that it is given: what is there already is not ours to delete."""
    monkeypatch.setattr(HERO, "upload_to", lambda _target, _name: "heroes/hero.mp4")
    HERO.storage.save("heroes/hero.mp4", ContentFile(b"somebody else's"))

    def crash():
        raise RuntimeError("crash")

    row = stored(article, "hero")
    at("attach.copied", crash)
    assert try_to_attach(row) is False
    assert files(copies) == ["heroes/hero.mp4"]
    at("", crash)
    assert try_to_attach(row) is True
    article.refresh_from_db()
    assert (content_of(article.hero), article.hero.name.startswith("heroes/hero-")) == (BYTES, True)
    assert files(copies) == sorted(["heroes/hero.mp4", article.hero.name])


def test_a_copy_that_another_target_has_stays(stored, article, monkeypatch, copies, at):
    """A storage that keeps equal files once gives a name that is in use."""

    class Once(FileSystemStorage):
        def save(self, name, content, max_length=None):
            return "heroes/sum.mp4" if self.exists("heroes/sum.mp4") else super().save("heroes/sum.mp4", content)

    monkeypatch.setattr(HERO, "storage", Once(location=copies))
    assert try_to_attach(stored(Article.objects.create(title="Wolves"), "hero")) is True

    def crash():
        raise RuntimeError("crash")

    at("attach.copied", crash)
    assert try_to_attach(stored(article, "hero")) is False
    assert files(copies) == ["heroes/sum.mp4"]


def test_attaching_twice_does_nothing(stored, article, copies):
    row = stored(article, "hero")
    assert try_to_attach(row) is True
    with unchanged():
        assert try_to_attach(row) is False
    assert len(files(copies)) == 1


def test_a_duplicate_at_the_same_time_does_nothing(stored, article, at, copies):
    row, others = stored(article, "hero"), []
    at("attach.copied", lambda: others.append(attach(row.pk)))
    assert try_to_attach(row) is True
    assert others == [False]
    assert len(files(copies)) == 1


# -- other fields


def test_a_foreign_key_gets_the_request(stored, article):
    row = stored(article, "request")
    assert try_to_attach(row)
    article.refresh_from_db()
    assert article.request == row


def test_a_url_field_gets_the_storages_own_address(stored, article, settings):
    settings.GROKVIDEO = {**settings.GROKVIDEO, "SITE_URL": "https://www.example.com"}
    row = stored(article, "hero_url")
    assert try_to_attach(row)
    article.refresh_from_db()
    assert article.hero_url == f"https://www.example.com/media/grokvideo/{row.pk}.mp4"


def test_a_url_field_never_gets_a_path(stored, article):
    row = stored(article, "hero_url")
    assert try_to_attach(row) is False
    assert 'Set GROKVIDEO["SITE_URL"]' in last_event(row).message
    article.refresh_from_db()
    assert article.hero_url == ""


def test_without_a_permanent_address_the_event_says_what_to_do(stored, article, settings, monkeypatch):
    class Signed(FileSystemStorage):
        def url(self, name):
            return f"https://bucket.example.com/{name}?X-Amz-Signature=1"

    monkeypatch.setattr(VideoRequest._meta.get_field("video"), "storage", Signed())
    settings.ROOT_URLCONF = ()
    row = stored(article, "hero_url")
    assert try_to_attach(row) is False
    assert "Add path('grokvideo/', include('grokvideo_django.urls')) to the site's URLs" in last_event(row).message
    assert "MediaError" not in last_event(row).message


# -- targets that are gone


def gone_for_good(row):
    assert try_to_attach(row) is False
    event = last_event(row)
    assert (event.kind, row.due_at) == ("attach_failed", None)
    assert "can be attached by hand" in event.message
    never_undone(row)
    assert not PlannedFile.objects.exists()
    return event.message


def test_a_target_that_was_deleted(stored, article, copies):
    row = stored(article, "hero")
    article.delete()
    assert "does not exist any more" in gone_for_good(row)
    assert files(copies) == []


def test_a_model_that_is_gone(stored, article):
    row = stored(article, "hero")
    VideoRequest.objects.update(target_content_type=ContentType.objects.create(app_label="testsite", model="gone"))
    assert "does not exist any more" in gone_for_good(row)


def test_a_type_that_was_deleted(stored, article):
    row = stored(article, "hero")
    VideoRequest.objects.update(target_content_type=None)
    assert "does not exist any more" in gone_for_good(row)


@pytest.mark.parametrize(
    ("model", "field", "key"),
    [(Page, "clip", "nonsense"), (Page, "clip", ""), (Article, "hero", "abc"), (Article, "hero", "9" * 40)],
)
def test_an_id_that_is_none_of_that_model(model, field, key, stored):
    row = stored(model.objects.create(), field, target_object_id=key)
    assert "does not exist any more" in gone_for_good(row)


@pytest.mark.parametrize("field", ["gone", "number", ""])
def test_a_field_that_is_gone_or_takes_no_video(field, stored, article):
    row = stored(article, "hero", target_field=field)
    assert f"no field {field} that can take a video" in gone_for_good(row)


def test_a_target_with_a_uuid_is_found(stored):
    page = Page.objects.create()
    assert find_target(stored(page, "clip")) == page
    page.delete()


# -- what fails is tried again


def test_a_target_that_cannot_be_saved_is_tried_five_times_and_the_video_stays(stored, caplog, settings):
    target = Stubborn.objects.create()
    row, pauses = stored(target, "clip"), []
    before = files(settings.MEDIA_ROOT)
    for _try in range(5):
        assert try_to_attach(row) is False
        assert last_event(row).kind == "attach_failed"
        assert "no, thank you" in last_event(row).message
        pauses.append(row.due_at and seconds_until(row.due_at))
        assert files(settings.MEDIA_ROOT) == before
        assert not PlannedFile.objects.exists()
    assert pauses == about([120, 480, 1920, 7680, None])
    assert last_event(row).message.endswith("can be attached by hand.")
    with unchanged():
        assert try_to_attach(row) is False
    never_undone(row)
    assert CreditAccount.objects.get().held == 5  # of the row as it was made: attaching touches no money
    target.refresh_from_db()
    assert not target.clip
    assert {record.levelno for record in caplog.records} == {logging.ERROR}


def test_a_database_that_is_away_while_the_target_is_read_is_no_vanished_target(stored, article, monkeypatch):
    row = stored(article, "hero")

    def away(request):
        raise OperationalError("gone away")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attaching, "find_target", away)
        assert try_to_attach(row) is False
    assert seconds_until(row.due_at) == about(120)
    assert try_to_attach(row) is True


def test_a_copy_that_cannot_be_made(stored, article, monkeypatch, copies):
    class Full(FileSystemStorage):
        def _save(self, name, content):
            super()._save(name, ContentFile(b"half of it"))
            raise OSError(28, "No space left")

    monkeypatch.setattr(HERO, "storage", Full(location=copies))
    row = stored(article, "hero")
    assert try_to_attach(row) is False
    assert "No space left" in last_event(row).message
    assert seconds_until(row.due_at) == about(120)
    assert files(copies) == []
    assert not PlannedFile.objects.exists()
    never_undone(row)


def test_a_video_that_is_gone(stored, article, copies):
    row = stored(article, "hero")
    row.video.storage.delete(row.video.name)
    assert try_to_attach(row) is False
    assert "FileNotFoundError" in last_event(row).message
    assert files(copies) == []


def test_a_crash_between_copy_and_save_leaves_no_stray_copy(stored, article, at, copies):
    row = stored(article, "hero")

    def crash():
        raise RuntimeError("crash")

    at("attach.copied", crash)
    assert try_to_attach(row) is False
    assert files(copies) == []
    assert not PlannedFile.objects.exists()
    article.refresh_from_db()
    assert not article.hero
    at("", crash)
    assert try_to_attach(row) is True
    assert len(files(copies)) == 1


def test_a_worker_that_died_with_its_copy_is_swept(stored, article, at, copies):
    row = stored(article, "hero")

    class Died(BaseException):
        """Nothing handles it, as nothing handles a kill."""

    def die():
        raise Died

    at("attach.copied", die)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attaching, "_discard", lambda *args: None)
        patch.setattr(attaching.storing, "forget_plan", lambda *args: None)
        with pytest.raises(Died):
            attach(row.pk)
    assert len(files(copies)) == 1
    assert sweep(timezone.now()) == 0
    PlannedFile.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert sweep(timezone.now()) == 0  # its lease is alive
    overdue(row)
    assert sweep(timezone.now()) == 1
    assert files(copies) == []
    at("", die)
    assert try_to_attach(row) is True


@pytest.mark.parametrize("field", ["hero", "hero_url", "request"])
def test_a_lost_lease_attaches_nothing(field, stored, article, copies, monkeypatch, settings):
    settings.GROKVIDEO = {**settings.GROKVIDEO, "SITE_URL": "https://www.example.com"}
    row = stored(article, field)
    real = attaching._save

    def late(*args, **values):
        VideoRequest.objects.filter(pk=row.pk).update(lease_token=uuid.uuid4())
        return real(*args, **values)

    monkeypatch.setattr(attaching, "_save", late)
    events = row.events.count()
    assert try_to_attach(row) is False
    article.refresh_from_db()
    assert not getattr(article, field)
    assert (files(copies), row.events.count()) == ([], events)
    assert not PlannedFile.objects.exists()


def test_a_request_that_was_deleted_meanwhile(stored, article, copies, at):
    row = stored(article, "hero")
    at("attach.copied", lambda: VideoRequest.objects.filter(pk=row.pk).delete())
    assert attach(row.pk) is False
    article.refresh_from_db()
    assert (files(copies), bool(article.hero)) == ([], False)


def test_a_connection_that_is_lost_at_the_commit_deletes_no_copy_that_the_target_has(
    stored, article, copies, monkeypatch
):
    row = stored(article, "hero")
    real = attaching._save

    def lost(*args, **values):
        assert real(*args, **values)
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(attaching, "_save", lost)
    events = row.events.count()
    assert try_to_attach(row) is False
    article.refresh_from_db()
    assert content_of(article.hero) == BYTES
    assert files(copies) == [article.hero.name]
    assert (row.due_at, row.events.count(), last_event(row).kind) == (None, events + 1, "attached")


def test_a_copy_that_cannot_be_deleted_stays_planned_for_the_sweep(stored, article, copies, monkeypatch, at):
    class Clinging(FileSystemStorage):
        def delete(self, name):
            raise PermissionError("not now")

    row = stored(article, "hero")

    def crash():
        raise RuntimeError("crash")

    at("attach.copied", crash)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HERO, "storage", Clinging(location=copies))
        assert try_to_attach(row) is False
    assert last_event(row).kind == "attach_failed"
    assert (len(files(copies)), PlannedFile.objects.count()) == (1, 1)
    sweep(timezone.now() + timedelta(minutes=6))
    assert (files(copies), PlannedFile.objects.count()) == ([], 0)


def test_a_row_under_another_lease_is_left_alone(stored, article):
    row = stored(article, "hero", lease_token=uuid.uuid4(), due_at=timezone.now() + timedelta(minutes=1))
    assert lease_of(row).token
    with unchanged():
        assert try_to_attach(row) is False
