"""The public API: what it refuses, and that what it refuses leaves no trace."""

from __future__ import annotations

import io
from contextlib import contextmanager
from unittest import mock

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core.files.base import ContentFile
from django.db import transaction
from PIL import Image
from redis import Redis
from rq import Queue

from grokvideo_django import credits, queue, services
from grokvideo_django.exceptions import (
    BudgetExceeded,
    InsufficientCredits,
    InvalidRequest,
    InvalidTransition,
    NotAllowed,
    QuoteChanged,
    RefundExceedsCapture,
    UnknownPrice,
)
from grokvideo_django.lifecycle import money
from grokvideo_django.models import Budget, CreditAccount, CreditEntry, VideoRequest
from tests.site.models import Article

from .conftest import make_draft
from .making import put, turn_into
from .settings import free_port

Status = VideoRequest.Status

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def rung(monkeypatch):
    """What was rung for: the keys of submissions, and ``tick``."""
    bells: list[object] = []
    monkeypatch.setattr(queue, "submit", bells.append)
    monkeypatch.setattr(queue, "ring", lambda: bells.append("tick"))
    return bells


@pytest.fixture
def configure(settings):
    def change(**values):
        settings.GROKVIDEO = {**settings.GROKVIDEO, **values}

    return change


def books(account):
    account.refresh_from_db()
    return account.posted, account.held, account.entries.count()


def state(request):
    """The row and everything that hangs on it, as the database has it."""
    row = VideoRequest.objects.filter(pk=request.pk).values().first()
    return row, list(request.events.values())


@contextmanager
def refused(error, request, **matching):
    """The call raises this, and neither the row, nor the books, nor the instance in hand has changed."""
    before, in_hand = state(request), dict(request.__dict__)
    entries = list(CreditEntry.objects.order_by("pk").values_list())
    accounts = list(CreditAccount.objects.order_by("pk").values_list())
    with pytest.raises(error, **matching) as caught:
        yield caught
    assert state(request) == before
    assert list(CreditEntry.objects.order_by("pk").values_list()) == entries
    assert list(CreditAccount.objects.order_by("pk").values_list()) == accounts
    assert {name: request.__dict__[name] for name in in_hand if name != "_state"} == {
        name: value for name, value in in_hand.items() if name != "_state"
    }


def moved(request, status, **values):
    """The same row, as if workers had brought it there."""
    VideoRequest.objects.filter(pk=request.pk).update(status=status, **values)
    request.refresh_from_db()
    return request


def user(name, *permissions):
    someone = get_user_model().objects.create_user(name)
    someone.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return get_user_model().objects.get(pk=someone.pk)


class TestQuote:
    def test_the_price_of_what_is_asked_for(self, editor):
        assert services.quote(make_draft(editor, duration_seconds=10)) == 50
        assert services.quote(make_draft(editor, duration_seconds=10, resolution="720p")) == 70
        assert services.quote(make_draft(editor, image_url="https://example.com/fox.png")) == 6
        assert services.quote(VideoRequest(prompt="unsaved", duration_seconds=3)) == 15

    def test_an_unknown_price_refuses(self, draft, configure):
        configure(MODEL="somebody/else")
        with pytest.raises(UnknownPrice):
            services.quote(draft)

    def test_it_is_what_is_held(self, draft, account):
        quoted = services.quote(draft)
        services.start(draft, expected_credits=quoted)
        assert (draft.quoted_credits, books(account)) == (quoted, (100, quoted, 2))


class TestStart:
    def test_it_holds_queues_and_rings(self, draft, account, rung, django_capture_on_commit_callbacks):
        with django_capture_on_commit_callbacks(execute=True):
            assert services.start(draft, actor="a script", expected_credits=5) is None
            assert rung == []
        assert rung == [draft.pk]
        assert (draft.status, draft.quoted_credits, draft.model) == ("queued", 5, "xai/grok-imagine-video")
        assert None not in {draft.queued_at, draft.due_at, draft.queue_expires_at}
        assert books(account) == (100, 5, 2)
        held = CreditEntry.objects.get(kind="hold")
        assert (held.request_key, held.held_delta, held.actor) == (draft.key, 5, "a script")
        [event] = draft.events.all()
        assert (event.kind, event.from_status, event.to_status, event.actor) == (
            "queued", "draft", "queued", "a script",
        )  # fmt: skip

    def test_the_owner_is_the_actor_when_nobody_is_named(self, draft):
        services.start(draft)
        assert {draft.events.get().actor, CreditEntry.objects.get(kind="hold").actor} == {"editor"}

    @pytest.mark.parametrize("shown", [0, 4, 6])
    def test_another_price_than_the_one_shown_refuses(self, draft, shown, rung):
        with refused(QuoteChanged, draft) as caught:
            services.start(draft, expected_credits=shown)
        assert (caught.value.expected, caught.value.actual) == (shown, 5)
        assert f"now 5 credits, not {shown}" in str(caught.value)
        assert rung == []

    @pytest.mark.parametrize("status", [status for status in Status if status != Status.DRAFT])
    def test_only_a_draft_starts(self, draft, status):
        moved(draft, status)
        with refused(InvalidTransition, draft):
            services.start(draft)

    def test_twice_is_once(self, draft, account):
        stale = VideoRequest.objects.get(pk=draft.pk)
        services.start(draft)
        with refused(InvalidTransition, stale):
            services.start(stale)
        assert stale.status == "draft"
        assert books(account) == (100, 5, 2)

    def test_not_enough_credits(self, editor, account):
        credits.hold(editor, 96)
        draft = make_draft(editor)
        with refused(InsufficientCredits, draft) as caught:
            services.start(draft)
        assert (caught.value.needed, caught.value.missing) == (5, 1)
        credits.grant(editor, 1)
        services.start(draft)
        assert draft.status == "queued"

    def test_an_owner_without_an_account(self):
        draft = make_draft(user("poor"))
        with pytest.raises(InsufficientCredits) as caught:
            services.start(draft)
        assert (caught.value.missing, draft.status) == (5, "draft")
        assert state(draft)[0]["status"] == "draft"

    def test_nobody_owns_it(self, db):
        draft = make_draft(None)
        with refused(InvalidRequest, draft, match="needs an owner"):
            services.start(draft)

    def test_the_owner_left(self):
        leaver = user("leaver")
        draft = make_draft(leaver)
        leaver.delete()
        with pytest.raises(InvalidRequest, match="needs an owner"):
            services.start(draft)
        assert VideoRequest.objects.get(pk=draft.pk).owner_name == "leaver"

    @pytest.mark.parametrize(
        ("configured", "error"),
        [
            ({"PRICES": {}}, UnknownPrice),
            ({"PRICES": {"xai/grok-imagine-video": {"480p": "0"}}}, UnknownPrice),
            ({"API_KEY": ""}, InvalidRequest),
            ({"BASE_URL": "gateway"}, InvalidRequest),
        ],
        ids=str,
    )
    def test_a_site_that_is_not_set_up(self, draft, configure, configured, error, monkeypatch):
        monkeypatch.delenv("AIGATEWAY_API_KEY", raising=False)
        configure(**configured)
        with refused(error, draft):
            services.start(draft)

    @pytest.mark.parametrize(
        ("values", "field"),
        [
            ({"prompt": "  "}, "prompt"),
            ({"prompt": "x" * 5000}, "prompt"),
            ({"duration_seconds": 0}, "duration_seconds"),
            ({"duration_seconds": 16}, "duration_seconds"),
            ({"resolution": "1080p"}, "resolution"),
            ({"aspect_ratio": "5:4"}, "aspect_ratio"),
            ({"mode": "spicy"}, "mode"),
            ({"operation": "extend"}, "operation"),
            ({"operation": "image"}, "image"),
            ({"image_url": "ftp://example.com/fox.png"}, "image_url"),
            ({"image_url": "data:image/png;base64,AAAA"}, "image_url"),
            ({"image": "grokvideo/images/gone.png"}, "image"),
            ({"target_field": "hero"}, "target_field"),
        ],
        ids=str,
    )
    def test_what_cannot_be_sent_costs_nothing(self, editor, values, field):
        draft = make_draft(editor, **values)
        with refused(InvalidRequest, draft) as caught:
            services.start(draft)
        assert list(caught.value.message_dict) == [field]

    def test_an_upload_that_is_no_image(self, editor):
        draft = make_draft(editor, image=ContentFile(b"GIF89a but not quite", "fox.png"))
        with pytest.raises(InvalidRequest) as caught:
            services.start(draft)
        assert list(caught.value.message_dict) == ["image"]

    def test_a_url_field_where_the_site_does_not_say_its_address(self, editor):
        draft = make_draft(editor, target=Article.objects.create(title="Foxes"), target_field="hero_url")
        with pytest.raises(InvalidRequest, match="SITE_URL"):
            services.start(draft)
        assert (draft.status, CreditAccount.objects.for_user(editor).held) == ("draft", 0)

    def test_a_target_that_cannot_take_a_video(self, editor):
        draft = make_draft(editor, target=Article.objects.create(title="Foxes"), target_field="title")
        with pytest.raises(InvalidRequest) as caught:
            services.start(draft)
        assert list(caught.value.message_dict) == ["target_field"]

    def test_an_image_is_paid_for(self, editor, account):
        content = io.BytesIO()
        Image.new("RGB", (64, 48)).save(content, "PNG")
        draft = make_draft(editor, image=ContentFile(content.getvalue(), "fox.png"))
        services.start(draft)
        assert (draft.operation, draft.quoted_credits, books(account)) == ("image", 6, (100, 6, 2))

    def test_unsaved_or_deleted(self, editor, account):
        unsaved = VideoRequest(owner=editor, prompt="A fox")
        deleted = make_draft(editor)
        VideoRequest.objects.filter(pk=deleted.pk).delete()
        for request in (unsaved, deleted):
            with pytest.raises(InvalidTransition, match="not saved, or was deleted"):
                services.start(request)
        assert books(account) == (100, 0, 1)

    def test_what_is_saved_is_sent_whatever_the_instance_says(self, draft, account):
        draft.prompt, draft.duration_seconds, draft.resolution = "", 15, "720p"
        services.start(draft, expected_credits=5)
        assert (draft.prompt, draft.duration_seconds, draft.resolution) == ("A fox crosses a frozen lake", 1, "480p")
        assert books(account) == (100, 5, 2)

    @pytest.mark.parametrize(
        "edit",
        [
            {"duration_seconds": 15},
            {"resolution": "720p"},
            {"image_url": "https://example.com/fox.png"},
            {"prompt": ""},
            {"aspect_ratio": "nonsense"},
            {"owner": None},
        ],
        ids=str,
    )
    def test_a_draft_that_is_edited_between_the_quote_and_the_hold_is_refused(self, draft, account, edit):
        quote = services.quote

        def quote_and_edit(saved):
            quoted = quote(saved)
            other = VideoRequest.objects.get(pk=draft.pk)
            for name, value in edit.items():
                setattr(other, name, value)
            other.save()
            return quoted

        with mock.patch.object(services, "quote", quote_and_edit), pytest.raises(InvalidTransition, match="changed"):
            services.start(draft)
        assert (VideoRequest.objects.get(pk=draft.pk).status, draft.status) == ("draft", "draft")
        assert books(account) == (100, 0, 1)
        assert not draft.events.exists()

    def test_a_draft_that_changes_hands_meanwhile_without_a_save_is_refused(self, draft, account):
        quote, stranger = services.quote, user("stranger")

        def quote_and_give(saved):
            VideoRequest.objects.filter(pk=draft.pk).update(owner=stranger)
            return quote(saved)

        with mock.patch.object(services, "quote", quote_and_give), pytest.raises(InvalidTransition):
            services.start(draft)
        assert books(account) == (100, 0, 1)


@pytest.mark.django_db(transaction=True)
class TestTheCallersTransaction:
    def test_rolled_back_it_leaves_nothing_and_rings_for_nothing(self, draft, account, rung):
        with transaction.atomic():
            services.start(draft)
            assert draft.status == "queued"
            transaction.set_rollback(True)
        assert rung == []
        assert books(account) == (100, 0, 1)
        assert VideoRequest.objects.get(pk=draft.pk).status == "draft"
        assert not draft.events.exists()

    def test_committed_it_rings_then(self, draft, account, rung):
        with transaction.atomic():
            services.start(draft)
            assert rung == []
        assert rung == [draft.pk]
        assert books(account) == (100, 5, 2)

    def test_a_refusal_inside_it_does_not_break_it(self, editor, draft):
        credits.hold(editor, 100)
        with transaction.atomic():
            with pytest.raises(InsufficientCredits):
                services.start(draft)
            Article.objects.create(title="goes on")
        assert Article.objects.exists()

    def test_redis_is_down(self, draft, account, monkeypatch, caplog):
        monkeypatch.undo()  # the real doorbell, and nobody at the door
        with Redis(port=free_port(), retry=None) as nobody:
            monkeypatch.setattr("django_rq.get_queue", lambda _name, **_options: Queue("default", connection=nobody))
            services.start(draft)
        assert "Redis cannot be reached" in caplog.text
        assert (draft.status, books(account)) == ("queued", (100, 5, 2))
        assert draft.due_at is not None  # the sweep finds it


class TestCancel:
    def test_a_draft_costs_nothing(self, draft, account):
        services.cancel(draft, actor="boss")
        assert (draft.status, draft.charged_credits, draft.events.get().actor) == ("canceled", 0, "boss")
        assert books(account) == (100, 0, 1)

    def test_what_is_queued_is_released(self, draft, account, rung):
        services.start(draft)
        services.cancel(draft)
        assert (draft.status, draft.charged_credits, draft.due_at) == ("canceled", 0, None)
        assert draft.finished_at is not None
        assert books(account) == (100, 0, 3)

    @pytest.mark.parametrize("status", ["submitting", "submitted"])
    def test_the_gateway_is_asked_about_what_was_sent(
        self, draft, account, status, rung, django_capture_on_commit_callbacks
    ):
        services.start(draft)
        moved(draft, status)
        for _twice in range(2):
            with django_capture_on_commit_callbacks(execute=True):
                services.cancel(draft)
            assert (draft.status, draft.cancel_requested_at is not None) == (status, True)
        assert "tick" in rung
        assert draft.events.filter(kind="cancel_requested").count() == 1
        assert books(account) == (100, 5, 2)

    @pytest.mark.parametrize(
        ("status", "words"),
        [
            ("rendered", "finished and being downloaded"),
            ("in_doubt", "Nobody knows yet"),
            ("succeeded", "already ended"),
            ("failed", "already ended"),
            ("canceled", "already ended"),
        ],
    )
    def test_too_late(self, draft, status, words, rung):
        moved(draft, status)
        with refused(InvalidTransition, draft, match=words):
            services.cancel(draft)
        assert rung == []

    def test_what_is_not_there(self):
        with pytest.raises(InvalidTransition, match="does not exist"):
            services.cancel(VideoRequest(pk=987654))


class TestRetry:
    def test_a_new_request_that_points_back(self, editor, account, rung, django_capture_on_commit_callbacks):
        article = Article.objects.create(title="Foxes")
        old = make_draft(
            editor, mode="fun", resolution="720p", aspect_ratio="1:1", image_url="https://example.com/fox.png",
            target=article, target_field="hero",
        )  # fmt: skip
        services.start(old)
        services.cancel(old)
        with django_capture_on_commit_callbacks(execute=True):
            again = services.retry(old, actor="boss")
        assert again.pk != old.pk
        assert again.uuid != old.uuid
        assert again.retry_of == old
        for name in services.COPIED_FIELDS:
            assert getattr(again, name) == getattr(old, name), name
        assert (again.status, again.quoted_credits, again.charged_credits) == ("queued", 8, None)
        assert (again.target, again.gateway_job_id, again.finished_at) == (article, None, None)
        assert rung[-1] == again.pk
        assert books(account) == (100, 8, 4)
        old.refresh_from_db()
        assert old.status == "canceled"

    @pytest.mark.parametrize("status", ["succeeded", "failed", "canceled"])
    def test_what_has_ended_can_be_made_again(self, draft, status):
        assert services.retry(moved(draft, status)).status == "queued"

    @pytest.mark.parametrize(
        "status", ["draft", "awaiting_approval", "queued", "submitting", "submitted", "rendered", "in_doubt"]
    )
    def test_nobody_pays_twice_for_what_is_under_way(self, draft, status):
        moved(draft, status)
        with refused(InvalidTransition, draft, match="only one that has ended"):
            services.retry(draft)
        assert VideoRequest.objects.count() == 1

    def test_the_row_decides_and_not_the_instance(self, draft):
        stale = moved(draft, "failed")
        VideoRequest.objects.update(status="in_doubt")
        with pytest.raises(InvalidTransition):
            services.retry(stale)

    @pytest.mark.parametrize("why", ["credits", "price", "image", "owner"])
    def test_refused_no_row_remains(self, editor, draft, account, configure, why, rung):
        if why == "credits":
            credits.hold(editor, 96)
        elif why == "price":
            configure(PRICES={})
        elif why == "image":
            VideoRequest.objects.update(image="gone.png")
        else:
            VideoRequest.objects.update(owner=None)
        moved(draft, "failed")
        expected = {"credits": InsufficientCredits, "price": UnknownPrice}.get(why, InvalidRequest)
        with refused(expected, draft):
            services.retry(draft)
        assert VideoRequest.objects.count() == 1
        assert rung == []

    def test_unsaved(self):
        with pytest.raises(InvalidTransition):
            services.retry(VideoRequest(prompt="A fox", status="failed"))


class TestResolve:
    @pytest.fixture
    def doubtful(self, draft):
        services.start(draft)
        return moved(draft, "in_doubt", due_at=None, error_code="lost", error_message="The answer is lost.")

    def test_release(self, doubtful, account):
        services.resolve(doubtful, "release", actor="boss", reason="Not in the gateway's list")
        assert (doubtful.status, doubtful.charged_credits, doubtful.due_at) == ("failed", 0, None)
        assert books(account) == (100, 0, 3)
        event = doubtful.events.last()
        assert (event.kind, event.actor, "Not in the gateway's list" in event.message) == ("resolved", "boss", True)

    def test_charge(self, doubtful, account):
        services.resolve(doubtful, "charge", actor="boss", reason="The gateway charged us")
        assert (doubtful.status, doubtful.charged_credits) == ("failed", 5)
        assert books(account) == (95, 0, 3)
        assert CreditEntry.objects.get(kind="capture").actor == "boss"

    def test_attach(self, doubtful, account, rung, django_capture_on_commit_callbacks):
        with django_capture_on_commit_callbacks(execute=True):
            services.resolve(doubtful, "attach", actor="boss", reason="Found it", gateway_job_id=" job-7 ")
        assert (doubtful.status, doubtful.gateway_job_id, doubtful.error_code) == ("submitted", "job-7", "")
        assert doubtful.due_at is not None
        assert rung[-1] == "tick"
        assert books(account) == (100, 5, 2)

    def test_ask_again(self, doubtful):
        with refused(InvalidRequest, doubtful, match="never named a job"):
            services.resolve(doubtful, "ask_again", actor="boss", reason="Once more")
        moved(doubtful, "in_doubt", gateway_job_id="job-7")
        services.resolve(doubtful, "ask_again", actor="boss", reason="Once more")
        assert (doubtful.status, doubtful.gateway_job_id) == ("submitted", "job-7")

    @pytest.mark.parametrize("job_id", [None, "", "  ", "x" * 201, "a\0b"])
    def test_a_job_id_that_is_none(self, doubtful, job_id):
        with refused(InvalidRequest, doubtful):
            services.resolve(doubtful, "attach", actor="boss", reason="Found it", gateway_job_id=job_id)

    def test_somebody_elses_job(self, doubtful, editor):
        moved(make_draft(editor), "submitted", gateway_job_id="job-7")
        with refused(InvalidRequest, doubtful, match="another request"):
            services.resolve(doubtful, "attach", actor="boss", reason="Found it", gateway_job_id="job-7")

    @pytest.mark.parametrize(("outcome", "reason"), [("release", ""), ("charge", "  "), ("forget", "why not")])
    def test_nonsense(self, doubtful, outcome, reason):
        with refused(InvalidRequest, doubtful):
            services.resolve(doubtful, outcome, actor="boss", reason=reason)

    @pytest.mark.parametrize("status", [status for status in Status if status != Status.IN_DOUBT])
    @pytest.mark.parametrize("outcome", ["release", "charge", "attach", "ask_again"])
    def test_only_what_is_in_doubt(self, doubtful, status, outcome, rung):
        rung.clear()
        moved(doubtful, status, gateway_job_id="job-7")
        with refused(InvalidTransition, doubtful):
            services.resolve(doubtful, outcome, actor="boss", reason="why", gateway_job_id="job-8")
        assert rung == []


class TestApproval:
    @pytest.fixture
    def waiting(self, editor, configure):
        configure(APPROVAL_ABOVE=5)
        draft = make_draft(editor, duration_seconds=2)
        services.start(draft)
        return draft

    def test_above_the_limit_it_waits_and_holds_nothing(self, waiting, draft, account, rung):
        assert (waiting.status, waiting.quoted_credits, waiting.due_at) == ("awaiting_approval", 10, None)
        assert books(account) == (100, 0, 1)
        assert waiting.events.get().kind == "approval_asked"
        services.start(draft)  # five credits: not above it
        assert draft.status == "queued"

    def test_approved_it_holds_and_goes(self, waiting, account, rung, django_capture_on_commit_callbacks):
        with django_capture_on_commit_callbacks(execute=True):
            services.approve(waiting, actor=user("boss", "approve"), reason="Nice")
        assert (waiting.status, books(account), rung) == ("queued", (100, 10, 2), [waiting.pk])
        assert waiting.events.last().actor == "boss"

    def test_declined_it_cost_nothing(self, waiting, account):
        services.decline(waiting, actor=user("boss", "approve"), reason="Too dear")
        assert (waiting.status, waiting.charged_credits, books(account)) == ("canceled", 0, (100, 0, 1))

    @pytest.mark.parametrize("verb", [services.approve, services.decline])
    def test_only_by_somebody_who_may(self, waiting, editor, configure, verb):
        editor.user_permissions.add(Permission.objects.get(codename="approve"))
        editor = get_user_model().objects.get(pk=editor.pk)
        with refused(NotAllowed, waiting, match="may not approve"):
            verb(waiting, actor=user("nobody"))
        with refused(NotAllowed, waiting, match="their own"):
            verb(waiting, actor=editor)
        configure(APPROVE_OWN=True)
        verb(waiting, actor=editor)
        assert waiting.status in {"queued", "canceled"}

    @pytest.mark.parametrize("verb", [services.approve, services.decline])
    def test_only_what_waits(self, draft, verb):
        with refused(InvalidTransition, draft, match="does not await approval"):
            verb(draft, actor="boss")

    @pytest.mark.parametrize("verb", ["approve", "decline"])
    def test_somebody_else_was_faster(self, waiting, verb):
        meanwhile = mock.patch.object(
            services, "_check_approver", lambda _actor, saved: moved(saved, "canceled") and None
        )
        with meanwhile, pytest.raises(InvalidTransition, match="does not await approval"):
            getattr(services, verb)(waiting, actor="boss")

    def test_without_credits_it_goes_on_waiting(self, waiting, editor):
        credits.hold(editor, 95)
        with refused(InsufficientCredits, waiting):
            services.approve(waiting, actor="boss")

    def test_without_an_owner_it_goes_on_waiting(self, waiting):
        VideoRequest.objects.update(owner=None)
        waiting.refresh_from_db()
        with refused(InvalidRequest, waiting, match="needs an owner"):
            services.approve(waiting, actor="boss")

    def test_somebody_who_may_approve_does_not_wait(self, editor, configure):
        configure(APPROVAL_ABOVE=5)
        draft = make_draft(editor, duration_seconds=2)
        services.start(draft, actor=user("boss", "approve"))
        assert draft.status == "queued"


class TestBudgets:
    @pytest.fixture
    def budget(self):
        return Budget.objects.create(name="Site", limit_credits=7)

    def test_a_ceiling_refuses(self, budget, editor, draft):
        services.start(draft)
        second = make_draft(editor)
        with refused(BudgetExceeded, second) as caught:
            services.start(second)
        assert (caught.value.budget, caught.value.left) == (budget, 2)

    def test_with_the_permission_and_a_reason_it_is_passed(self, budget, editor, draft):
        services.start(draft)
        second = make_draft(editor)
        with refused(NotAllowed, second):
            services.start(second, exceed_reason="It is urgent")
        services.start(second, actor=user("boss", "exceed"), exceed_reason="It is urgent")
        assert second.status == "queued"
        assert "It is urgent" in second.events.get().message


def test_the_target_is_followed_by_its_text_key(editor):
    article = Article.objects.create(title="Foxes")
    draft = make_draft(editor, target=article, target_field="hero")
    assert draft.target_content_type == ContentType.objects.get_for_model(Article)
    services.start(draft)
    assert (draft.status, draft.target) == ("queued", article)


class TestRefund:
    @pytest.fixture
    def charged(self, editor):
        row = put(editor, "submitted", duration_seconds=2)
        money.capture(row, 10, reason="")
        return turn_into(row, "succeeded", due_at=None)

    def test_a_part_and_then_the_rest_never_more(self, charged, account):
        services.refund(charged, 4, actor="boss", reason="It flickers")
        services.refund(charged, 6, actor="boss", reason="And hums")
        account.refresh_from_db()
        assert account.posted == 110
        assert [event.message for event in charged.events.filter(kind="refunded")] == [
            "Refunded: 4 credits. Reason: “It flickers”.",
            "Refunded: 6 credits. Reason: “And hums”.",
        ]
        with pytest.raises(RefundExceedsCapture):
            services.refund(charged, actor="boss", reason="Again")
        assert charged.events.filter(kind="refunded").count() == 2

    def test_the_same_key_refunds_once_and_says_it_once(self, charged):
        entries = {services.refund(charged, actor="boss", reason="x", key="k").pk for _twice in range(2)}
        assert len(entries) == 1
        assert charged.events.filter(kind="refunded").count() == 1

    def test_what_the_site_charged_for_it_besides_is_the_sites_own_business(self, charged, editor):
        credits.capture(credits.hold(editor, 3, request_key=charged.key))
        assert services.refund(charged, actor="boss", reason="x").posted_delta == 10

    def test_what_was_not_charged_has_nothing_to_refund(self, draft):
        with pytest.raises(InvalidTransition, match="was not charged, so there is nothing to refund"):
            services.refund(draft, actor="boss", reason="x")


@pytest.mark.parametrize("grants", [1, 15])
def test_a_start_costs_so_many_queries(grants, django_assert_num_queries):
    """With its event, its hold on one or many grants, and one budget: what docs/credits.md says.

    Six of these are savepoints, which are fewer outside a test; a read of the counter after the commit is missing.
    """
    owner = get_user_model().objects.create_user("several")
    for _grant in range(grants + 1):
        credits.grant(owner, 5)
    Budget.objects.create(name="site", limit_credits=1000)
    services.start(make_draft(owner))  # opens the counter
    draft = make_draft(owner, duration_seconds=grants)
    with django_assert_num_queries(6 + 15):
        services.start(draft)
    assert CreditEntry.objects.get(request_key=draft.key).draws.count() == grants
