"""A request's row: what ``save()`` may write, what may be deleted, what the database refuses."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser, Permission
from django.db import IntegrityError, transaction
from django.utils import timezone

from grokvideo_django import services
from grokvideo_django.exceptions import InvalidTransition
from grokvideo_django.models import GatewayState, PlannedFile, VideoRequest, VideoRequestEvent
from tests.conftest import make_draft

pytestmark = pytest.mark.django_db

Status = VideoRequest.Status


def test_every_other_field_has_a_default(editor):
    request = VideoRequest.objects.create(owner=editor, prompt="A fox")
    request.full_clean()
    assert (request.status, request.operation, request.mode) == ("draft", "text", "")
    assert (request.duration_seconds, request.aspect_ratio, request.resolution) == (5, "16:9", "480p")
    assert (request.owner_name, request.key, request.gateway_job_id) == ("editor", str(request.uuid), None)
    assert (request.due_at, request.quoted_credits, request.charged_credits) == (None, None, None)


def test_its_name_is_the_prompts_beginning():
    assert str(VideoRequest(prompt="A fox\n  runs")) == "A fox runs"
    assert str(VideoRequest(prompt="x" * 60)) == "x" * 60
    assert str(VideoRequest(prompt="x" * 61)) == "x" * 59 + "…"
    assert str(VideoRequestEvent(kind="queued")) == "queued"
    assert str(PlannedFile(name="a.mp4")) == "a.mp4"


def test_what_a_status_means():
    kinds = {
        status: (request.is_draft, request.is_running, request.is_ended)
        for status in Status
        for request in [VideoRequest(status=status)]
    }
    assert [status for status in Status if kinds[status] == (True, False, False)] == ["draft"]
    assert [status for status in Status if kinds[status] == (False, True, False)] == [
        "queued", "submitting", "submitted", "rendered",
    ]  # fmt: skip
    assert [status for status in Status if kinds[status] == (False, False, True)] == ["succeeded", "failed", "canceled"]
    assert kinds[Status.IN_DOUBT] == kinds[Status.AWAITING_APPROVAL] == (False, False, False)


def test_an_image_makes_it_a_video_from_an_image(editor):
    assert make_draft(editor, image_url="https://example.com/a.png").operation == "image"
    assert make_draft(editor, image="a.png").operation == "image"
    assert make_draft(editor, image="a.png", operation="edit").operation == "edit"


def test_files_are_kept_apart_by_request(settings):
    settings.GROKVIDEO = {"UPLOAD_TO": "clips"}
    request = VideoRequest(uuid=uuid.UUID(int=7))
    assert VideoRequest._meta.get_field("image").generate_filename(request, "a.png") == (
        "clips/images/00000000-0000-0000-0000-000000000007/a.png"
    )
    assert VideoRequest._meta.get_field("video").generate_filename(request, "a.mp4") == (
        "clips/00000000-0000-0000-0000-000000000007/a.mp4"
    )


class TestSave:
    def test_a_draft_keeps_what_is_written(self, draft):
        draft.prompt, draft.duration_seconds = "An owl", 9
        draft.save()
        saved = VideoRequest.objects.get(pk=draft.pk)
        assert (saved.prompt, saved.duration_seconds) == ("An owl", 9)

    def test_only_the_content_of_a_draft_is_written(self, draft):
        draft.status, draft.quoted_credits, draft.gateway_job_id = Status.SUCCEEDED, 1, "stolen"
        draft.uuid = uuid.uuid4()
        draft.save()
        saved = VideoRequest.objects.get(pk=draft.pk)
        assert (saved.status, saved.quoted_credits, saved.gateway_job_id) == ("draft", None, None)
        assert saved.uuid != draft.uuid

    @pytest.mark.parametrize("status", [status for status in Status if status != Status.DRAFT])
    def test_a_stale_instance_undoes_no_transition(self, draft, status):
        VideoRequest.objects.filter(pk=draft.pk).update(status=status)
        before = VideoRequest.objects.values().get(pk=draft.pk)
        draft.prompt = "An owl"
        with pytest.raises(InvalidTransition, match="Nothing was saved"):
            draft.save()
        assert VideoRequest.objects.values().get(pk=draft.pk) == before

    def test_a_new_instance_with_an_old_key_overwrites_no_row(self, draft):
        services.start(draft)
        before = VideoRequest.objects.values().get(pk=draft.pk)
        with pytest.raises(IntegrityError), transaction.atomic():
            VideoRequest(pk=draft.pk, prompt="An owl").save()
        assert VideoRequest.objects.values().get(pk=draft.pk) == before

    def test_named_fields_are_written_as_told(self, draft):
        services.start(draft)
        draft.error_message, draft.prompt = "noted", "not named"
        draft.save(update_fields=["error_message"])
        saved = VideoRequest.objects.get(pk=draft.pk)
        assert (saved.error_message, saved.prompt, saved.status) == (
            "noted", "A fox crosses a frozen lake", "queued",
        )  # fmt: skip

    def test_force_update_of_a_new_instance_is_djangos_affair(self, draft):
        copy = VideoRequest(pk=draft.pk, prompt="An owl", uuid=draft.uuid)
        copy.save(force_update=True)
        assert VideoRequest.objects.get(pk=draft.pk).prompt == "An owl"

    def test_the_owners_name_follows_the_owner(self, draft):
        draft.owner = get_user_model().objects.create_user("heir")
        draft.save()
        assert VideoRequest.objects.get(pk=draft.pk).owner_name == "heir"
        draft.owner.delete()
        draft.refresh_from_db()
        draft.prompt = "An owl"
        draft.save()
        assert (draft.owner, draft.owner_name) == (None, "heir")

    def test_every_content_field_is_saved_and_no_other(self):
        editable = {field.name for field in VideoRequest._meta.concrete_fields if field.editable} - {"id"}
        assert editable <= set(VideoRequest.CONTENT_FIELDS)
        assert set(VideoRequest.CONTENT_FIELDS) - editable == {"owner_name", "retry_of", "updated_at"} - editable


class TestDelete:
    @pytest.mark.parametrize("status", ["draft", "succeeded", "failed", "canceled"])
    def test_what_costs_nothing_any_more_can_go(self, draft, status):
        VideoRequest.objects.update(status=status)
        draft.events.create(kind="noted")
        draft.delete()
        assert not VideoRequest.objects.exists()
        assert not VideoRequestEvent.objects.exists()

    @pytest.mark.parametrize("status", VideoRequest.UNDELETABLE)
    def test_what_is_under_way_cannot(self, draft, editor, status):
        ended = make_draft(editor)
        VideoRequest.objects.filter(pk=draft.pk).update(status=status)
        before = list(VideoRequest.objects.values())
        for delete in (
            draft.delete,
            VideoRequest.objects.all().delete,
            VideoRequest.objects.filter(pk=draft.pk).delete,
        ):
            with pytest.raises(InvalidTransition, match="cannot be deleted"):
                delete()
        assert list(VideoRequest.objects.values()) == before
        ended.delete()

    def test_a_queryset_of_drafts(self, draft, editor):
        make_draft(editor)
        kept = make_draft(editor, prompt="An owl")
        assert VideoRequest.objects.filter(prompt__startswith="A fox").order_by("-pk").delete()[0] == 2
        assert list(VideoRequest.objects.all()) == [kept]

    def test_what_points_to_it_stays(self, draft, editor):
        other = make_draft(editor, source=draft, retry_of=draft)
        draft.delete()
        other.refresh_from_db()
        assert (other.source, other.retry_of) == (None, None)

    def test_a_manager_deletes_nothing_by_accident(self):
        assert not hasattr(VideoRequest.objects, "delete")

    def test_the_owner_goes_and_the_request_stays(self, draft):
        services.start(draft)
        draft.owner.delete()
        draft.refresh_from_db()
        assert (draft.owner, draft.owner_name, draft.status) == (None, "editor", "queued")


@pytest.mark.parametrize(
    "nonsense",
    [
        {"status": "lost"},
        {"status": "queued", "duration_seconds": 0},
        {"status": "queued", "duration_seconds": 16},
        {"status": "draft", "due_at": timezone.now()},
        {"status": "failed", "due_at": timezone.now()},
        {"status": "canceled", "due_at": timezone.now()},
        {"status": "awaiting_approval", "due_at": timezone.now()},
        {"quoted_credits": 5, "charged_credits": 6},
        {"quoted_credits": -1},
        {"charged_credits": -1},
    ],
    ids=str,
)
def test_the_database_refuses_nonsense(draft, nonsense):
    with pytest.raises(Exception, match=r"(?i)constraint|out of range") as refused, transaction.atomic():
        VideoRequest.objects.filter(pk=draft.pk).update(**nonsense)
    assert type(refused.value).__module__ == "django.db.utils"
    assert VideoRequest.objects.get(pk=draft.pk).status == "draft"


def test_a_draft_may_be_half_written(draft):
    VideoRequest.objects.update(duration_seconds=99)
    VideoRequest.objects.update(duration_seconds=5, status="succeeded", due_at=timezone.now())  # to be attached


def test_a_gateway_job_belongs_to_one_request_and_many_have_none(draft, editor):
    other = make_draft(editor)
    VideoRequest.objects.filter(pk=draft.pk).update(gateway_job_id="job-7")
    with pytest.raises(IntegrityError), transaction.atomic():
        VideoRequest.objects.filter(pk=other.pk).update(gateway_job_id="job-7")
    assert make_draft(editor).gateway_job_id is None


def test_what_is_due(draft, editor):
    now = timezone.now()
    first, second, later = (make_draft(editor) for _row in range(3))
    for request, hours in ((second, -1), (first, -2), (later, 1)):
        due_at = now + timedelta(hours=hours)
        VideoRequest.objects.filter(pk=request.pk).update(status="queued", due_at=due_at)
    assert list(VideoRequest.objects.due(now)) == [first, second]
    assert set(VideoRequest.objects.in_flight()) == {first, second, later}


def test_who_sees_what(draft, editor):
    users = get_user_model().objects
    stranger, manager = users.create_user("stranger"), users.create_user("manager")
    manager.user_permissions.add(Permission.objects.get(codename="change_all"))
    manager = users.get(pk=manager.pk)
    foreign = make_draft(stranger)
    ownerless = make_draft(None)

    def seen_by(user):
        return set(VideoRequest.objects.visible_to(user))

    assert seen_by(editor) == {draft}
    assert seen_by(stranger) == {foreign}
    assert seen_by(manager) == seen_by(users.create_superuser("root")) == {draft, foreign, ownerless}
    assert seen_by(AnonymousUser()) == set()
    manager.is_active = False
    assert seen_by(manager) == set()


def test_the_gateways_state_is_one_row(django_assert_num_queries):
    with django_assert_num_queries(1):
        state = GatewayState.objects.current()
    assert (state.is_paused, str(state), GatewayState.objects.count()) == (False, "running", 0)  # a read writes nothing
    for _twice in range(2):
        GatewayState.objects.ensure()
    GatewayState.objects.update(paused_since=timezone.now())
    state = GatewayState.objects.current()
    assert (state.is_paused, str(state), GatewayState.objects.count()) == (True, "paused", 1)
