"""From a draft to a stored, attached, paid video, by the same functions that workers run."""

import hashlib

import pytest

from grokvideo_django import services
from grokvideo_django.models import PlannedFile
from tests.site.models import Article, Page

from .conftest import content_of, make_draft

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_video_is_stored_charged_and_attached(sandbox, editor, account, crank):
    article = Article.objects.create(title="Foxes")
    request = make_draft(editor, target=article, target_field="hero", duration_seconds=2)
    services.start(request, expected_credits=10)
    account.refresh_from_db()
    assert (request.status, request.quoted_credits, account.held) == ("queued", 10, 10)

    crank(request)

    assert request.status == "succeeded"
    assert (request.charged_credits, request.delivered_seconds) == (10, pytest.approx(2, abs=0.1))
    assert (request.width, request.height, request.has_audio) == (854, 480, True)
    content = content_of(request.video)
    assert request.sha256 == hashlib.sha256(content).hexdigest()
    assert request.size_bytes == len(content)
    assert request.poster.name.endswith(".jpg")
    article.refresh_from_db()
    assert article.hero.name.startswith("heroes/")
    assert content_of(article.hero) == content
    account.refresh_from_db()
    assert (account.posted, account.held, account.available) == (90, 0, 90)
    assert [event.kind for event in request.events.all()] == [
        "queued", "submitting", "submitted", "rendered", "succeeded", "attached",
    ]  # fmt: skip
    assert len(sandbox.accepted) == 1
    assert sandbox.accepted[0].idempotency_key == str(request.uuid)
    assert sandbox.leaked_keys == 0
    assert not PlannedFile.objects.exists()
    assert request.due_at is None


def test_a_url_field_gets_a_permanent_address_of_our_own(sandbox, editor, crank, settings):
    settings.GROKVIDEO = {**settings.GROKVIDEO, "SITE_URL": "https://www.example.com"}
    article = Article.objects.create(title="Foxes")
    request = make_draft(editor, target=article, target_field="hero_url")
    services.start(request)
    crank(request)
    article.refresh_from_db()
    assert article.hero_url == f"https://www.example.com{request.video.url}"
    assert request.result_url not in article.hero_url
    article.full_clean()


def test_a_foreign_key_gets_the_request(sandbox, editor, crank):
    article = Article.objects.create(title="Foxes")
    request = make_draft(editor, target=article, target_field="request")
    services.start(request)
    crank(request)
    article.refresh_from_db()
    assert article.request == request


def test_a_target_with_a_uuid_as_its_key(sandbox, editor, crank):
    page = Page.objects.create()
    request = make_draft(editor, target=page, target_field="clip")
    services.start(request)
    crank(request)
    page.refresh_from_db()
    assert content_of(page.clip) == content_of(request.video)
    assert page.clip.name != request.video.name
