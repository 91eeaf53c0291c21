"""Bringing a finished video home: whatever fails, nothing is left behind and nothing is lost."""

from __future__ import annotations

import logging
import uuid
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, InMemoryStorage
from django.db import OperationalError
from django.utils import timezone

from grokvideo_django import submission
from grokvideo_django.lifecycle import storing
from grokvideo_django.media import fetch as fetching
from grokvideo_django.media.sweep import sweep
from grokvideo_django.models import CreditAccount, CreditEntry, PlannedFile, VideoRequest
from grokvideo_django.polling import rate

from ..conftest import content_of
from ..making import Status, finished, last_event, overdue, put, seconds_until, unchanged
from ..timing import about

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def folders(settings, tmp_path):
    """Every file that a test leaves is seen."""
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path / "temporary")
    (tmp_path / "temporary").mkdir()
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.GROKVIDEO = {**settings.GROKVIDEO, "MAX_BYTES": 2_000_000, "FETCH_SECONDS": 5}
    return tmp_path


@pytest.fixture
def rendered(sandbox, editor, redis_server, settings):
    def make(words="", **content):
        settings.GROKVIDEO = {**settings.GROKVIDEO, "MAX_BYTES": 2_000_000, "FETCH_SECONDS": 5}
        row = finished(editor, words, **content)
        redis_server.flush()
        return row

    return make


@pytest.fixture
def at(monkeypatch):
    """Do something at a named point of the download."""

    def hook(where, act):
        monkeypatch.setattr(fetching.crash, "point", lambda name: act() if name == where else None)

    return hook


def fetch(row):
    result = fetching.fetch(row.pk, new_client=submission.client, gate=rate.gate())
    row.refresh_from_db()
    return result


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())


def nothing_left(folders):
    assert files(folders) == []
    assert not PlannedFile.objects.exists()


def held():
    return CreditAccount.objects.get().held


def lose_lease(row):
    VideoRequest.objects.filter(pk=row.pk).update(lease_token=uuid.uuid4())


# -- it works


def test_it_is_stored_under_names_that_were_planned_before_the_first_byte(rendered, folders, at):
    row = rendered()
    seen = {}

    def look():
        plans = PlannedFile.objects.order_by("pk")
        seen.update(token=VideoRequest.objects.get().lease_token, plans=[(plan.place, plan.name) for plan in plans])
        seen.update(files=files(folders / "media"))

    at("fetch.downloading", look)
    assert fetch(row) is True
    stem = f"{row.pk}-{seen['token'].hex}"
    assert seen["plans"] == [
        ("temporary", str(folders / "temporary" / f"grokvideo-{stem}.mp4")),
        ("result", f"grokvideo/{stem}.mp4"),
        ("result", f"grokvideo/{stem}.jpg"),
    ]
    assert seen["files"] == []
    assert files(folders) == [f"media/grokvideo/{stem}.jpg", f"media/grokvideo/{stem}.mp4"]
    assert not PlannedFile.objects.exists()
    assert (row.status, row.video.name, row.poster.name) == ("succeeded", seen["plans"][1][1], seen["plans"][2][1])
    assert row.due_at is None


@pytest.mark.parametrize("upload_to", ["videos", "videos/", ""])
def test_where_it_is_stored_is_a_setting(upload_to, rendered, settings):
    row = rendered()
    settings.GROKVIDEO = {**settings.GROKVIDEO, "UPLOAD_TO": upload_to}
    assert fetch(row)
    folder, _slash, name = row.video.name.rpartition("/")
    assert (folder, name.startswith(f"{row.pk}-")) == (upload_to.rstrip("/"), True)


def test_a_storage_that_is_no_file_system(rendered, monkeypatch, folders):
    storage = InMemoryStorage()
    monkeypatch.setattr(fetching, "result_storage", lambda: storage)
    row = rendered()
    assert fetch(row)
    with storage.open(row.video.name) as file:
        assert len(file.read()) == row.size_bytes
    assert storage.exists(row.poster.name)
    nothing_left(folders)


def test_without_a_poster(rendered, monkeypatch, folders):
    monkeypatch.setattr(fetching, "poster", lambda path: None)
    row = rendered()
    assert fetch(row)
    assert (row.status, row.poster.name, bool(row.video)) == ("succeeded", "", True)
    assert len(files(folders)) == 1
    assert not PlannedFile.objects.exists()


@pytest.mark.parametrize(
    ("words", "asked", "charged"),
    [
        ("", 2, 10),
        ("duration=1.4", 2, 5),
        ("duration=1.5", 2, 10),
        ("duration=99", 2, 10),
        ("duration=0.1", 2, 5),
        ("clip-duration=1 no-duration", 2, 5),
        ("clip-duration=3 no-duration", 2, 10),
    ],
)
def test_the_charge(words, asked, charged, rendered):
    row = rendered(words, duration_seconds=asked)
    assert fetch(row)
    assert (row.charged_credits, held()) == (charged, 0)
    assert CreditEntry.objects.get(kind="capture").posted_delta == -charged


def test_a_disagreement_is_an_event_and_no_failure(rendered):
    row = rendered("clip-duration=1 duration=2", duration_seconds=2)
    assert fetch(row)
    assert last_event(row).data["disagree"] is True


# -- once


def test_duplicates_of_the_job_do_nothing(rendered, sandbox):
    row = rendered()
    assert fetch(row) is True
    with unchanged():
        assert fetch(row) is False
    assert sandbox.answers["media 200"] == 1


def test_a_duplicate_at_the_same_time_does_nothing(rendered, sandbox, at):
    row, others = rendered(), []
    at("fetch.downloading", lambda: others.append(fetch(VideoRequest.objects.get(pk=row.pk))))
    assert fetch(row) is True
    assert others == [False]
    assert sandbox.answers["media 200"] == 1


@pytest.mark.parametrize("status", [status for status in Status.values if status != Status.RENDERED])
def test_only_what_is_rendered_is_fetched(status, editor, redis_server):
    row = put(editor, status, lease_token=None)
    with unchanged():
        assert fetch(row) is False


# -- passing faults


@pytest.mark.parametrize("word", ["500", "502", "503", "504", "408", "429", "cut", "lost"])
def test_what_passes_is_tried_again(word, rendered, folders):
    row = rendered(f"media-{word}*1")
    assert fetch(row) is False
    assert (row.status, last_event(row).kind, row.lease_token) == ("rendered", "fetch_failed", None)
    assert row.error_message
    assert held() == 5
    nothing_left(folders)
    assert fetch(row) is True
    assert (row.status, row.error_message) == ("succeeded", "")


def test_the_pauses_grow(rendered):
    row, pauses = rendered("media-500"), []
    for _try in range(4):
        fetch(row)
        pauses.append(seconds_until(row.due_at))
    assert pauses == about([5, 10, 20, 40])
    assert row.fetch_attempts == 4
    VideoRequest.objects.update(fetch_attempts=50)
    fetch(row)
    assert seconds_until(row.due_at) == about(300)


def test_retry_after_is_obeyed(rendered):
    row = rendered("media-503=50")
    fetch(row)
    assert seconds_until(row.due_at) == about(50)


def test_a_drip_ends_with_the_time_limit(rendered, settings, folders):
    row = rendered("media-drip")
    settings.GROKVIDEO = {**settings.GROKVIDEO, "FETCH_SECONDS": 0.3}
    assert fetch(row) is False
    assert (row.status, last_event(row).kind) == ("rendered", "fetch_failed")
    nothing_left(folders)


def test_a_day_before_the_gateway_deletes_it_a_person_must_decide(rendered, folders, caplog):
    row = rendered("media-500")
    VideoRequest.objects.update(rendered_at=timezone.now() - timedelta(days=5, hours=23))
    fetch(row)
    assert row.status == "rendered"
    finished_at = timezone.now() - timedelta(days=6, seconds=1)
    VideoRequest.objects.update(rendered_at=finished_at, file_expires_at=finished_at + timedelta(days=7))
    fetch(row)
    assert (row.status, row.error_code, row.due_at) == ("in_doubt", "not_stored", finished_at + timedelta(days=7))
    assert "The gateway deletes it within a day." in row.error_message
    assert held() == 5
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    nothing_left(folders)


def test_a_file_that_the_gateway_has_deleted_is_given_up_however_late_it_was_asked_about_again(rendered):
    row = rendered("media-500")
    VideoRequest.objects.update(file_expires_at=timezone.now(), file_warn_at=timezone.now())
    fetch(row)
    assert (row.status, row.error_code, row.file_warn_at) == ("in_doubt", "not_stored", None)
    assert "The gateway has deleted it by now." in row.error_message


def test_a_gateway_that_cannot_be_asked_is_a_passing_fault(rendered, sandbox):
    row = rendered()
    VideoRequest.objects.update(result_url="")
    with sandbox.offline():
        fetch(row)
    assert (row.status, last_event(row).kind) == ("rendered", "fetch_failed")
    assert fetch(row) is True


def test_a_client_that_cannot_be_made_leaves_a_reason(rendered, folders):
    row = rendered()

    def broken():
        raise RuntimeError("no client")

    with pytest.raises(RuntimeError, match="no client"):
        fetching.fetch(row.pk, new_client=broken, gate=rate.gate())
    row.refresh_from_db()
    assert (row.status, row.lease_token) == ("rendered", None)
    assert "no client" in row.error_message
    nothing_left(folders)


# -- refusals


@pytest.mark.parametrize(
    "word",
    ["html", "svg", "empty", "truncated-mp4", "big=3", "gzip=1", "redirect=http://169.254.169.254/", "400", "404"],
)
def test_what_is_no_acceptable_video_is_for_a_person_after_three_tries(word, rendered, sandbox, folders, redis_server):
    row = rendered(f"media-{word}")
    reads = sandbox.answers["read 200"]
    for refusals in (1, 2):
        assert fetch(row) is False
        assert (row.status, row.media_refusals, last_event(row).kind) == ("rendered", refusals, "media_refused")
        assert seconds_until(row.due_at) == about(20)
    assert fetch(row) is False
    assert (row.status, row.error_code, row.due_at) == ("in_doubt", "media", row.rendered_at + timedelta(days=7))
    assert row.error_message
    assert sandbox.answers["read 200"] == reads + 2  # the job is read again before each further try
    assert held() == 5
    assert sandbox.leaked_keys == 0
    nothing_left(folders)


def test_the_pause_counts_from_the_refusal_and_not_from_the_beginning(rendered, at):
    row = rendered("media-html")
    real = timezone.now
    with pytest.MonkeyPatch.context() as patch:
        at("fetch.downloaded", lambda: patch.setattr(timezone, "now", lambda: real() + timedelta(seconds=100)))
        fetch(row)
    assert seconds_until(row.due_at) == about(120)


def test_an_address_elsewhere_is_never_connected_to(rendered, sandbox):
    row = rendered("result-url=http://169.254.169.254/video.mp4")
    fetch(row)
    assert (row.media_refusals, sum(n for what, n in sandbox.answers.items() if "media" in what)) == (1, 0)


def test_the_job_read_again_names_a_new_address(rendered, sandbox):
    row = rendered()
    VideoRequest.objects.update(result_url="http://example.com/gone.mp4", media_refusals=1)
    assert fetch(row) is True
    assert row.result_url.startswith("http://127.0.0.1")


def test_a_host_that_stays_away_is_not_the_last_word(rendered, sandbox, settings):
    row = rendered()
    settings.GROKVIDEO = {**settings.GROKVIDEO, "MEDIA_HOSTS": ["127.0.0.1"]}
    VideoRequest.objects.update(result_url="http://127.0.0.1:1/gone.mp4")
    for _try in range(fetching.ADDRESS_TRIES):
        assert fetch(row) is False
        assert last_event(row).kind == "fetch_failed"
    assert fetch(row) is True


@pytest.mark.parametrize("word", ["read-500", "read-404", "read-lost"])
def test_nor_is_a_job_that_cannot_be_read(word, rendered, sandbox):
    row = rendered()
    VideoRequest.objects.update(fetch_attempts=fetching.ADDRESS_TRIES)
    sandbox.behave(word)
    assert fetch(row) is True


def test_an_address_of_a_job_that_is_unknown_is_refused_like_others(rendered, sandbox):
    row = rendered("media-404")
    sandbox.behave("read-404")
    for refusals in (1, 2):
        fetch(row)
        assert (row.status, row.media_refusals) == ("rendered", refusals)
    fetch(row)
    assert (row.status, row.error_code) == ("in_doubt", "media")


def test_a_new_address_under_a_lost_lease_is_not_used(rendered):
    row = rendered()
    url = row.result_url
    VideoRequest.objects.update(media_refusals=1)
    row.refresh_from_db()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storing, "new_url", lambda lease, new: False)  # the lease was lost meanwhile
        assert fetch(row) is True
    assert row.result_url == url


@pytest.mark.parametrize("refusals", [0, 1])
def test_without_budget_nothing_is_asked(refusals, rendered, sandbox):
    row = rendered("media-unsigned")
    VideoRequest.objects.update(media_refusals=refusals)
    rate.gate().block(40)
    before = sandbox.answers["read 200"]
    fetch(row)
    assert (row.status, last_event(row).kind) == ("rendered", "fetch_failed")
    assert "request budget" in row.error_message
    assert seconds_until(row.due_at) == about(40)
    assert (sandbox.answers["read 200"], row.media_refusals) == (before, refusals)


# -- signed addresses


@pytest.mark.parametrize("word", ["media-unsigned", "media-403*1"])
def test_401_and_403_ask_the_api_for_a_signed_address_and_send_no_key(word, rendered, sandbox):
    row = rendered(word)
    assert fetch(row) is True
    assert sandbox.leaked_keys == 0
    assert sandbox.answers["sign 200"] == 1


def test_429_for_an_address_stops_all_requests_of_the_site(rendered, sandbox):
    row = rendered("media-unsigned")
    sandbox.behave("sign-429=40", times=1)
    assert fetch(row) is False
    assert rate.gate().take(1, "submit").wait_seconds == pytest.approx(40, abs=3)
    assert seconds_until(row.due_at) == pytest.approx(40, abs=3)


def test_what_the_api_signs_may_come_from_its_own_host_and_nothing_else(rendered, sandbox, settings):
    """The API's document has such links. Here both hosts are one, by two names."""
    row = rendered("media-unsigned")
    named = row.result_url.replace("127.0.0.1", "localhost")
    settings.GROKVIDEO = {**settings.GROKVIDEO, "MEDIA_HOSTS": [urlsplit(named).netloc]}
    assert fetch(row) is False
    assert "MEDIA_HOSTS" in last_event(row).message
    VideoRequest.objects.filter(pk=row.pk).update(result_url=named, media_refusals=0)
    overdue(row)
    assert fetch(row) is True
    assert (sandbox.leaked_keys, sandbox.answers["sign 200"]) == (0, 1)


def test_an_expired_address_is_signed_anew(rendered, sandbox):
    row = rendered()
    sandbox.advance(25 * 3600)
    assert fetch(row) is True


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("sign-404", "media_refused"),
        ("sign-401", "fetch_failed"),
        ("sign-403", "fetch_failed"),
        ("sign-429", "fetch_failed"),
        ("sign-500", "fetch_failed"),
        ("sign-503", "fetch_failed"),
    ],
)
def test_what_cannot_be_signed(word, kind, rendered, sandbox, folders):
    row = rendered("media-unsigned")
    sandbox.behave(word)
    assert fetch(row) is False
    assert (row.status, last_event(row).kind) == ("rendered", kind)
    nothing_left(folders)


def test_an_address_without_a_name_cannot_be_signed(rendered, serve, settings):
    refusing = serve(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    row = rendered()
    settings.GROKVIDEO = {**settings.GROKVIDEO, "MEDIA_HOSTS": [f"127.0.0.1:{refusing.port}"]}
    VideoRequest.objects.update(result_url=f"http://127.0.0.1:{refusing.port}/")
    fetch(row)
    assert (row.media_refusals, last_event(row).kind) == (1, "media_refused")
    assert b"authorization" not in refusing.heads[0].lower()


# -- our own storage


class Broken(FileSystemStorage):
    """Fails in the chosen way for names that end so."""

    def __init__(self, suffix, error, *, after=False):
        super().__init__()
        self.suffix, self.error, self.after = suffix, error, after

    def _save(self, name, content):
        if not name.endswith(self.suffix):
            return super()._save(name, content)
        if self.after:
            super()._save(name, ContentFile(b"half of it"))
        raise self.error


@pytest.mark.parametrize("suffix", [".mp4", ".jpg"])
@pytest.mark.parametrize("after", [False, True])
def test_a_storage_that_is_full_keeps_the_video_at_the_gateway(suffix, after, rendered, monkeypatch, folders):
    row = rendered()
    monkeypatch.setattr(fetching, "result_storage", lambda: Broken(suffix, OSError(28, "No space left"), after=after))
    assert fetch(row) is False
    assert (row.status, last_event(row).kind, held()) == ("rendered", "fetch_failed", 5)
    assert "No space left" in row.error_message
    nothing_left(folders)


def test_a_storage_may_raise_anything(rendered, monkeypatch, folders):
    row = rendered()
    monkeypatch.setattr(fetching, "result_storage", lambda: Broken(".mp4", KeyError("bucket"), after=True))
    with pytest.raises(KeyError, match="bucket"):
        fetch(row)
    row.refresh_from_db()
    assert (row.status, row.lease_token, last_event(row).kind) == ("rendered", None, "fetch_failed")
    assert seconds_until(row.due_at) == about(5)
    nothing_left(folders)


def test_a_temporary_folder_that_is_gone(rendered, settings, folders):
    row = rendered()
    settings.FILE_UPLOAD_TEMP_DIR = str(folders / "nowhere")
    assert fetch(row) is False
    assert "could not be stored" in row.error_message
    nothing_left(folders)


def test_without_a_temporary_folder_of_the_site_the_systems_is_used(rendered, settings, tmp_path, monkeypatch):
    settings.FILE_UPLOAD_TEMP_DIR = None
    monkeypatch.setattr(fetching.tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))
    row = rendered()
    assert fetch(row)
    assert files(tmp_path / "temporary") == []


# -- workers that die of a video


class Killed(BaseException):
    """Nothing handles it, as nothing handles a kill."""


def test_a_video_that_kills_its_workers_is_stored_without_a_poster(rendered, monkeypatch, caplog):
    row = rendered()

    def kill(_path):
        raise Killed

    monkeypatch.setattr(fetching, "poster", kill)
    for _try in range(fetching.SILENT_ENDS):
        with pytest.raises(Killed):
            fetch(row)
        overdue(row)
    assert fetch(row) is True
    assert (row.status, row.charged_credits, row.poster.name) == ("succeeded", 5, "")
    assert content_of(row.video)
    assert "gets no poster" in caplog.text


def test_downloads_that_failed_with_a_word_kill_nobody(rendered, sandbox):
    row = rendered()
    sandbox.behave("media-500", times=3)
    for _try in range(3):
        assert fetch(row) is False
    assert fetch(row) is True
    assert row.poster.name


@pytest.mark.parametrize("word", ["", "media-500*2", "media-404*2"])
def test_workers_that_lost_their_lease_were_not_killed(word, rendered, at):
    """They were stopped for long, or a clock is wrong."""
    row = rendered(word)
    at("fetch.downloading", lambda: lose_lease(row))
    for _try in range(fetching.SILENT_ENDS):
        overdue(row)
        assert fetch(row) is False
        assert (row.status, last_event(row).kind) == ("rendered", "fetch_lost")
    at("fetch.downloading", lambda: None)
    overdue(row)
    assert fetch(row) is True
    assert row.poster.name


def test_a_storage_that_raises_under_a_lost_lease(rendered, monkeypatch, at):
    row = rendered()
    monkeypatch.setattr(fetching, "result_storage", lambda: Broken(".mp4", KeyError("bucket"), after=True))
    at("fetch.downloaded", lambda: monkeypatch.setattr(storing, "holds", lambda lease, now: lose_lease(row) or True))
    with pytest.raises(KeyError, match="bucket"):
        fetch(row)
    assert last_event(row).kind == "fetch_lost"


class Renaming(FileSystemStorage):
    def get_available_name(self, name, max_length=None):
        return f"{name.removesuffix(Path(name).suffix)}-renamed{Path(name).suffix}"


def test_another_name_is_planned_and_referred_to(rendered, monkeypatch, folders, at):
    row, seen = rendered(), []
    monkeypatch.setattr(fetching, "result_storage", Renaming)
    at("fetch.stored", lambda: seen.extend(PlannedFile.objects.order_by("pk").values_list("name", flat=True)))
    assert fetch(row) is True
    assert row.video.name.endswith("-renamed.mp4")
    assert row.poster.name.endswith("-renamed.jpg")
    assert {row.video.name, row.poster.name} <= set(seen)
    assert files(folders) == [f"media/{row.poster.name}", f"media/{row.video.name}"]
    assert not PlannedFile.objects.exists()
    assert content_of(row.video)


def test_another_name_that_is_of_no_use_is_deleted(rendered, monkeypatch, folders, at):
    row = rendered()
    monkeypatch.setattr(fetching, "result_storage", Renaming)
    at("fetch.stored", lambda: lose_lease(row))
    assert fetch(row) is False
    nothing_left(folders)


def test_a_poster_that_another_request_has_stays(rendered, editor, monkeypatch, folders, at):
    """A storage that keeps equal files once gives a name that is in use."""

    class Once(FileSystemStorage):
        def save(self, name, content, max_length=None):
            return "black.jpg" if name.endswith(".jpg") else super().save(name, content, max_length)

    Once()._save("black.jpg", ContentFile(b"black"))
    put(editor, Status.SUCCEEDED, poster="black.jpg")
    row = rendered()
    monkeypatch.setattr(fetching, "result_storage", Once)
    at("fetch.stored", lambda: lose_lease(row))
    assert fetch(row) is False
    assert files(folders) == ["media/black.jpg"]


class Clinging(FileSystemStorage):
    def delete(self, name):
        raise PermissionError("not now")


def test_a_file_that_cannot_be_deleted_stays_planned_for_the_sweep(rendered, monkeypatch, folders, at, caplog):
    row = rendered()
    monkeypatch.setattr(fetching, "result_storage", Clinging)
    at("fetch.stored", lambda: lose_lease(row))
    assert fetch(row) is False
    assert len(files(folders)) == 2
    assert PlannedFile.objects.filter(place="result").count() == 2
    assert "could not be deleted yet" in caplog.text
    sweep(timezone.now() + timedelta(minutes=6))
    nothing_left(folders)


# -- lost leases


def test_a_lease_that_was_lost_during_the_download_stores_nothing(rendered, folders, at):
    row = rendered()
    at("fetch.downloaded", lambda: lose_lease(row))
    assert fetch(row) is False
    assert (row.status, row.video.name, last_event(row).kind, held()) == ("rendered", "", "fetch_lost", 5)
    nothing_left(folders)


def test_a_lease_that_ran_out_during_the_download_stores_nothing(rendered, folders, at):
    row = rendered()
    at("fetch.downloaded", lambda: overdue(row))
    assert fetch(row) is False
    assert (row.status, held()) == ("rendered", 5)
    nothing_left(folders)


def test_a_lease_that_was_lost_while_storing_captures_nothing(rendered, folders, at):
    row = rendered()
    at("fetch.stored", lambda: lose_lease(row))
    assert fetch(row) is False
    assert (row.status, row.video.name, held()) == ("rendered", "", 5)
    nothing_left(folders)


def test_whoever_comes_back_after_the_sweep_refers_to_no_deleted_file(rendered, folders, at):
    """Stopped past its lease with everything stored: the sweep deletes the files and ends the lease."""
    row = rendered()

    def stopped():
        overdue(row)
        sweep(timezone.now() + timedelta(minutes=6))

    at("fetch.stored", stopped)
    assert fetch(row) is False
    assert (row.status, row.video.name, held()) == ("rendered", "", 5)
    nothing_left(folders)
    at("", lambda: None)
    assert fetch(row) is True
    assert content_of(row.video)


def test_a_connection_that_is_lost_at_the_commit_deletes_no_file_that_the_row_has(rendered, folders, monkeypatch):
    row = rendered()
    real = storing.succeed

    def lost(lease, stored):
        assert real(lease, stored)
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(storing, "succeed", lost)
    with pytest.raises(OperationalError):
        fetch(row)
    row.refresh_from_db()
    assert (row.status, row.charged_credits) == ("succeeded", 5)
    assert content_of(row.video)
    assert len(files(folders)) == 2
    assert not PlannedFile.objects.exists()
