"""Deleting what dead workers left, and nothing else."""

from __future__ import annotations

import socket
import uuid
from datetime import timedelta

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, default_storage
from django.utils import timezone

from grokvideo_django.media import sweep as sweeping
from grokvideo_django.media.sweep import sweep
from grokvideo_django.models import PlannedFile, VideoRequest
from tests.site.models import Article

from ..making import Status, overdue, put, seconds_until
from ..timing import about

pytestmark = pytest.mark.django_db

HERO = Article._meta.get_field("hero")
HERE = socket.gethostname()


@pytest.fixture(autouse=True)
def folders(settings, tmp_path, monkeypatch):
    settings.MEDIA_ROOT = tmp_path / "media"
    monkeypatch.setattr(HERO, "storage", FileSystemStorage(location=tmp_path / "copies"))
    return tmp_path


def plan(place, name, row=None, **values):
    return PlannedFile.objects.create(
        place=place,
        name=str(name),
        lease_token=row.lease_token if row else uuid.uuid4(),
        request_key=row.key if row else "gone",
        **values,
    )


def result(name="grokvideo/1.mp4"):
    return default_storage.save(name, ContentFile(b"video"))


def copy(name="heroes/1.mp4"):
    return HERO.storage.save(name, ContentFile(b"video"))


@pytest.fixture
def temporary(folders):
    path = folders / "grokvideo-1.mp4"
    path.write_bytes(b"half of it")
    return path


def now():
    return timezone.now()


def test_the_files_of_the_dead_are_deleted(temporary):
    plan("temporary", temporary, host=HERE)
    plan("result", result())
    plan("target", copy(), target_field="testsite.Article.hero")
    assert sweep(now()) == 3
    assert not temporary.exists()
    assert not default_storage.exists("grokvideo/1.mp4")
    assert not HERO.storage.exists("heroes/1.mp4")
    assert not PlannedFile.objects.exists()


def test_files_that_were_never_written_are_nothing(folders):
    plan("temporary", folders / "never", host=HERE)
    plan("result", "never")
    plan("target", "never", target_field="testsite.Article.hero")
    assert sweep(now()) == 3


def test_the_living_are_left_alone_until_their_lease_has_run_out(editor, temporary):
    row = put(editor, Status.RENDERED)
    plan("temporary", temporary, row, host=HERE)
    plan("result", result(), row)
    assert sweep(now()) == 0
    assert temporary.exists()
    assert default_storage.exists("grokvideo/1.mp4")
    row.refresh_from_db()
    assert row.lease_token is not None
    overdue(row)
    assert sweep(now()) == 2
    assert not temporary.exists()


def test_a_dead_lease_ends_before_its_files_are_deleted(editor, monkeypatch):
    """Or a worker that comes back just then would refer to what is being deleted."""
    dead, alive = put(editor, Status.RENDERED), put(editor, Status.RENDERED)
    overdue(dead)
    plan("result", result(), dead)
    seen = []
    real = sweeping._delete_file

    def look(one):
        seen.append(VideoRequest.objects.get(pk=dead.pk).lease_token)
        real(one)

    monkeypatch.setattr(sweeping, "_delete_file", look)
    assert sweep(now()) == 1
    assert seen == [None]
    alive.refresh_from_db()
    assert alive.lease_token is not None


@pytest.mark.parametrize("field", ["video", "poster"])
def test_a_result_that_a_row_refers_to_stays(field, editor):
    put(editor, Status.SUCCEEDED, **{field: result()})
    plan("result", "grokvideo/1.mp4")
    assert sweep(now()) == 1
    assert default_storage.exists("grokvideo/1.mp4")


def test_a_copy_that_a_target_refers_to_stays(db):
    Article.objects.create(title="Foxes", hero=copy())
    plan("target", "heroes/1.mp4", target_field="testsite.Article.hero")
    assert sweep(now()) == 1
    assert HERO.storage.exists("heroes/1.mp4")


def test_temporary_files_of_other_hosts_are_theirs_for_seven_days(temporary):
    """The same path here is another file."""
    one = plan("temporary", temporary, host="elsewhere", expires_at=now() - timedelta(days=6, hours=23))
    assert sweep(now()) == 0
    PlannedFile.objects.filter(pk=one.pk).update(expires_at=now() - timedelta(days=7, seconds=1))
    assert sweep(now()) == 1
    assert temporary.exists()


def test_stored_files_are_deleted_from_any_host():
    plan("result", result(), host="elsewhere")
    assert sweep(now()) == 1
    assert not default_storage.exists("grokvideo/1.mp4")


class Clinging(FileSystemStorage):
    def delete(self, name):
        raise PermissionError("not now")


def test_a_file_that_cannot_be_deleted_keeps_its_plan_behind_all_others(monkeypatch, caplog):
    kept = plan("result", result())
    monkeypatch.setattr(sweeping, "result_storage", Clinging)
    assert sweep(now()) == 0
    kept.refresh_from_db()
    assert seconds_until(kept.expires_at) == about(3600)
    assert "grokvideo/1.mp4 could not be deleted yet" in caplog.text
    monkeypatch.setattr(sweeping, "BITE", 1)
    plan("target", copy(), target_field="testsite.Article.hero")
    assert sweep(now()) == 1
    assert not HERO.storage.exists("heroes/1.mp4")
    monkeypatch.undo()
    assert sweep(kept.expires_at + timedelta(seconds=1)) == 1
    assert not default_storage.exists("grokvideo/1.mp4")


def test_a_plan_stays_until_its_worker_can_no_longer_come_back():
    """Stopped past its lease, on again, it writes the file, and is killed: all of it within the plan's time."""
    until = now() + timedelta(minutes=5)
    plan("result", "grokvideo/1.mp4", expires_at=until)
    assert sweep(now()) == 0
    result()
    assert sweep(until + timedelta(seconds=1)) == 1
    assert not default_storage.exists("grokvideo/1.mp4")


@pytest.mark.parametrize(
    "field", ["gone.Model.field", "testsite.Article.gone", "testsite.Article.number", "nonsense", ""]
)
def test_a_field_that_is_gone_ends_the_plan_and_says_that_the_file_stays(field, caplog):
    plan("target", "heroes/1.mp4", target_field=field)
    assert sweep(now()) == 1
    assert not PlannedFile.objects.exists()
    assert "The file heroes/1.mp4 stays" in caplog.text


def test_it_takes_bites(monkeypatch):
    monkeypatch.setattr(sweeping, "BITE", 2)
    for number in range(3):
        plan("result", f"never{number}")
    assert [sweep(now()), sweep(now()), sweep(now())] == [2, 1, 0]


def test_with_nothing_to_do_it_is_one_query(django_assert_num_queries, db):
    with django_assert_num_queries(1):
        assert sweep(now()) == 0
