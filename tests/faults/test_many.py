"""Several crons and workers, rows that raise, and races: one POST, one hold, one ending each."""

import contextlib
import io
import os
import random
import threading
import time
from datetime import timedelta

import pytest
from django.core.files.base import ContentFile
from django.db import connection, transaction
from django.utils import timezone
from PIL import Image

from grokvideo_django import credits, services, transactions
from grokvideo_django.exceptions import InvalidTransition
from grokvideo_django.models import VideoRequest
from tests.site.models import Stubborn

from ..timing import PATIENCE

Status = VideoRequest.Status


def test_three_crons_and_two_workers(site):
    for _cron in range(3):
        site.fleet.cron()
    for _worker in range(2):
        site.fleet.worker()
    requests = [site.start(f"Fox {number}") for number in range(20)]
    for request in requests:
        site.wait_until_done(request)
    assert [site.posts(request) for request in requests] == [1] * 20
    assert len(site.sandbox.accepted) == 20
    for request in requests:
        site.assert_attached(request)
        kinds = [event.kind for event in request.events.all()]
        assert kinds == ["queued", "submitting", "submitted", "rendered", "succeeded", "attached"]
    site.assert_account(posted=900, held=0)
    site.assert_settled()


def test_rows_that_raise_do_not_stop_the_others(site):
    """One per stage, all before the good one in every queue."""
    site.sandbox.behave("result-url=http://[::1/x", match="garbage")
    site.sandbox.behave("result-url=file:///etc/passwd", match="forbidden")
    site.sandbox.behave("status=" + "%" * 90, match="odd words")
    stubborn = Stubborn.objects.create()
    site.start("garbage")
    forbidden = site.start("forbidden")
    odd = site.start("odd words [sandbox:delay=2]")
    unsaved = site.start("stubborn", target=stubborn, target_field="clip")
    picture = io.BytesIO()
    Image.new("RGB", (64, 64)).save(picture, "PNG")
    gone = site.start("no image", image=ContentFile(picture.getvalue(), name="gone.png"))
    gone.image.storage.delete(gone.image.name)
    unknown = site.start("unknown job")
    site.healthy()
    site.wait_until(unknown, Status.SUBMITTED, Status.RENDERED, Status.SUCCEEDED)
    VideoRequest.objects.filter(pk=unknown.pk, status=Status.SUBMITTED).update(gateway_job_id="job_\x7f/../..")

    good = [site.start(f"Good fox {number}") for number in range(5)]
    for request in good:
        site.wait_until_done(request)
    site.wait_until_done(odd)
    site.wait_until(gone, Status.FAILED)
    site.wait_until(unsaved, Status.SUCCEEDED)
    site.wait_for("attach_failed", lambda: unsaved.events.filter(kind="attach_failed").exists())
    site.wait_until(forbidden, Status.IN_DOUBT)
    assert all(site.posts(request) == 1 for request in good)


POISON = {
    "sqlite": ["""CREATE TRIGGER poison BEFORE UPDATE ON grokvideo_videorequest
        WHEN NEW.prompt LIKE 'poison%' AND (NEW.status = 'rendered' OR NEW.gateway_status = 'processing')
        BEGIN SELECT RAISE(ABORT, 'no, thank you'); END"""],
    "postgresql": [
        """CREATE FUNCTION poison() RETURNS trigger AS $$ BEGIN
        IF NEW.prompt LIKE 'poison%' AND (NEW.status = 'rendered' OR NEW.gateway_status = 'processing')
        THEN RAISE EXCEPTION 'no, thank you'; END IF; RETURN NEW; END $$ LANGUAGE plpgsql""",
        "CREATE TRIGGER poison BEFORE UPDATE ON grokvideo_videorequest FOR EACH ROW EXECUTE FUNCTION poison()",
    ],
    "mysql": ["""CREATE TRIGGER poison BEFORE UPDATE ON grokvideo_videorequest FOR EACH ROW
        IF NEW.prompt LIKE 'poison%' AND (NEW.status = 'rendered' OR NEW.gateway_status = 'processing')
        THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no, thank you'; END IF"""],
}  # fmt: skip
ANTIDOTE = {
    "sqlite": ["DROP TRIGGER poison"],
    "postgresql": ["DROP TRIGGER poison ON grokvideo_videorequest", "DROP FUNCTION poison"],
    "mysql": ["DROP TRIGGER poison"],
}


def run_sql(statements: dict[str, list[str]]) -> None:
    with connection.cursor() as cursor:
        for statement in statements[connection.vendor]:
            cursor.execute(statement)


@pytest.fixture
def poison(site):
    """The database itself refuses what the gateway says about some rows, in the statement that writes many."""
    run_sql(POISON)
    yield
    site.fleet.retire()
    run_sql(ANTIDOTE)


def test_a_row_that_cannot_be_written_does_not_stop_the_others(site, poison):
    done, pending = site.start("poison, done"), site.start("poison, pending [sandbox:never]")
    good = [site.start(f"Good fox {number}") for number in range(3)]
    site.healthy()
    for request in good:
        site.wait_until_done(request)
    for request in (done, pending):
        site.wait_for("words about it", lambda one=request: one.events.filter(kind="put_aside").exists())
        request.refresh_from_db()
        assert request.status == Status.SUBMITTED
        assert "no, thank you" in request.error_message
    site.wait_for("another try", lambda: site.hurry() or site.sandbox.jobs[done.gateway_job_id].reads > 3)
    assert done.events.filter(kind="put_aside").count() == 1
    assert {site.posts(request) for request in (done, pending, *good)} == {1}


def test_one_statement_over_many_rows_survives_a_deadlock(site):
    """Not on SQLite, where writers wait for each other."""
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one lock: no deadlocks")
    first, *others = [site.draft(f"Fox {number}") for number in range(8)]
    rows = VideoRequest.objects.filter(pk__in=[first.pk, others[0].pk])
    holds_others, waits_for_first = threading.Event(), 0.4

    def rival() -> None:
        with contextlib.closing(connection), transaction.atomic():
            if connection.vendor == "postgresql":  # whose victim is who looks for the deadlock first
                with connection.cursor() as cursor:
                    cursor.execute("SET LOCAL deadlock_timeout = '1min'")
            for other in others:  # the heavier of the two: MariaDB picks the other as its victim
                VideoRequest.objects.filter(pk=other.pk).update(reads=5)
            holds_others.set()
            time.sleep(waits_for_first)  # the statement has the first row now, and waits for the second
            VideoRequest.objects.filter(pk=first.pk).update(reads=5)

    thread = threading.Thread(target=rival)
    thread.start()
    assert holds_others.wait(PATIENCE)
    assert transactions.update(rows, reads=7) == 2
    thread.join()
    assert list(rows.values_list("reads", flat=True)) == [7, 7]


@pytest.mark.parametrize("seed", range(2))
def test_cancellation_against_completion_against_expiry(seed, site):
    """Whatever comes first wins, sticks, and is paid for once."""
    seed += int(os.environ.get("GROKVIDEO_FAULT_SEED", "0"))
    print(f"seed {seed}")
    dice = random.Random(seed)
    credits.grant(site.editor, 60, reason="soon over", expires_at=timezone.now() + timedelta(seconds=4), priority=1)
    site.healthy()
    site.fleet.worker()
    words = ["delay=0", "delay=1", "delay=2", "queued=1", "queued=3", "expired", "cancelled", "failed"]
    requests = [site.start(f"Fox {number} [sandbox:{dice.choice(words)}]") for number in range(16)]
    rush = [threading.Thread(target=cancel_later, args=(one, dice.uniform(0, 4))) for one in requests for _ in "12"]
    for thread in rush:
        thread.start()
    for request in dice.sample(requests, 4):  # never accepted in time
        VideoRequest.objects.filter(pk=request.pk).update(queue_expires_at=timezone.now())
    endings: dict[int, str] = {}

    def all_ended() -> bool:
        site.hurry()
        for pk, status in VideoRequest.objects.filter(status__in=VideoRequest.ENDED).values_list("pk", "status"):
            assert endings.setdefault(pk, status) == status, f"request {pk} was {endings[pk]} and is {status}"
        return len(endings) == len(requests)

    site.wait_for("all endings", all_ended)
    for thread in rush:
        thread.join()
    site.wait_for("all attached", lambda: site.hurry() or not VideoRequest.objects.in_flight().exists())
    time.sleep(0.5)
    assert all_ended()
    assert all(site.posts(request) <= 1 for request in requests)
    site.assert_settled()


def cancel_later(request: VideoRequest, seconds: float) -> None:
    time.sleep(seconds)
    with contextlib.suppress(InvalidTransition), contextlib.closing(connection):
        services.cancel(VideoRequest.objects.get(pk=request.pk), actor="a person")
