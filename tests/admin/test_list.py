"""The list of requests."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from grokvideo_django.admin import actions
from grokvideo_django.models import VideoRequest
from tests.making import many, put

from .conftest import LIST, as_, page, person, said, text_of

pytestmark = pytest.mark.django_db


def queries_of(client, url=LIST):
    with CaptureQueriesContext(connection) as queries:
        response = client.get(url)
    assert response.status_code == 200
    return len(queries)


def shown(response):
    return sorted(str(row) for row in response.context["cl"].result_list)


def test_it_works_without_any_row(client):
    assert "0 video requests" in text_of(client.get(LIST))


@pytest.mark.parametrize("who", ["editor", "manager"])
def test_sixty_rows_take_as_many_queries_as_three(request, editor, manager, colleague, who):
    client = as_(request.getfixturevalue(who))
    everyone = [editor, manager, colleague]
    for owner in everyone:
        many(owner, 1, "queued")
    many(editor, 2, "succeeded", poster="p.jpg", video="v.mp4", charged_credits=5, due_at=None)
    queries_of(client)
    few = queries_of(client)
    for owner in everyone:
        many(owner, 20, "submitted")
        many(owner, 10, "succeeded", poster="p.jpg", video="v.mp4", charged_credits=5, due_at=None)
    assert queries_of(client) == few
    assert few <= 12


def test_a_list_of_requests_shows_state_cost_poster_and_age(client, editor):
    put(editor, "queued", duration_seconds=5)
    put(editor, "succeeded", duration_seconds=5, charged_credits=20, poster="there.jpg", due_at=None)
    put(editor, "failed", charged_credits=0)
    put(editor, "canceled", charged_credits=None)
    put(editor, "awaiting_approval")
    draft = VideoRequest.objects.create(owner=editor, prompt="", created_at=timezone.now() - timedelta(days=3))
    response = client.get(LIST)
    text, html = text_of(response), response.content.decode()
    for words in ("25 held", "20 charged", "nothing", "25 if generated", "5 if approved", "3 days", "(no prompt)"):
        assert words in text.replace("\xa0", " ")
    for status in ("queued", "succeeded", "failed", "draft"):
        assert f"grokvideo-badge-{status}" in html
    assert '<span aria-hidden="true">✓</span> ready' in html
    assert 'src="/media/there.jpg"' in html
    assert html.count("grokvideo-icon") == 5
    assert html.count(f'href="{page(draft)}') == 1  # the picture is no second link to it


def test_an_editor_sees_their_own_only_and_no_owners_filter(client, editor, colleague):
    many(editor, 1)
    VideoRequest.objects.create(owner=colleague, prompt="Secret")
    response = client.get(LIST)
    assert len(response.context["cl"].result_list) == 1
    assert "Secret" not in text_of(response)
    assert "By owner" not in text_of(response)
    assert not client.get(f"{LIST}?owner__id__exact={colleague.pk}", follow=True).context["cl"].result_list


def test_with_change_all_everybodys_with_a_filter(manager, editor, colleague):
    many(editor, 1)
    many(colleague, 2)
    client = as_(manager)
    response = client.get(LIST)
    assert len(response.context["cl"].result_list) == 3
    assert "By owner" in text_of(response)
    assert len(client.get(f"{LIST}?owner__id__exact={colleague.pk}").context["cl"].result_list) == 2


def test_filters(client, editor):
    many(editor, 1, "queued")
    many(editor, 2, "failed", resolution="720p", due_at=None)
    for query, count in {"status__exact=failed": 2, "status__exact=in_doubt": 0, "resolution__exact=480p": 1}.items():
        assert len(client.get(f"{LIST}?{query}").context["cl"].result_list) == count
    tomorrow = timezone.now() + timedelta(days=1)
    assert not client.get(LIST, {"created_at__gte": tomorrow.isoformat()}).context["cl"].result_list


def test_search_looks_at_prompt_job_and_owner(manager, editor, colleague):
    VideoRequest.objects.create(owner=editor, prompt="Foxes on ice", gateway_job_id="job_123")
    VideoRequest.objects.create(owner=colleague, prompt="Owls at night")
    VideoRequest.objects.create(owner_name="gone", prompt="Orphan")
    client = as_(manager)
    for words, found in {
        "foxes": ["Foxes on ice"],
        "job_123": ["Foxes on ice"],
        "colleague": ["Owls at night"],
        "gone": ["Orphan"],
        "nothing": [],
    }.items():
        assert shown(client.get(LIST, {"q": words})) == found
    editor.username = "renamed"
    editor.save()
    assert shown(client.get(LIST, {"q": "renamed"})) == ["Foxes on ice"]


def test_markup_in_a_prompt_stays_text(client, editor):
    nasty = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    request = put(editor, "queued", prompt=nasty)
    draft = VideoRequest.objects.create(owner=editor, prompt=nasty)
    for url in (LIST, page(request), page(draft), page(draft, "delete"), page(draft, "history")):
        html = client.get(url).content.decode()
        assert "<script>alert" not in html
        assert "<img src=x" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in client.get(page(request)).content.decode()


def test_no_page_has_an_inline_script_or_style_of_ours(client, editor):
    request = put(editor, "succeeded", video="v.mp4", poster="p.jpg", width=848, height=480, due_at=None)
    draft = VideoRequest.objects.create(owner=editor, prompt="A fox")
    for url in (LIST, page(request), page(draft)):
        html = client.get(url).content.decode()
        assert " style=" not in html
        assert " onclick=" not in html
        assert "<style" not in html
        assert "<script>" not in html


# Deleting


def selected(*requests, **more):
    return {"action": "delete_selected", "_selected_action": [request.pk for request in requests], **more}


def test_drafts_and_ended_ones_can_be_deleted_together(client, editor):
    rows = [VideoRequest.objects.create(owner=editor, prompt="A fox"), put(editor, "failed"), put(editor, "succeeded")]
    assert "Are you sure" in text_of(client.post(LIST, selected(*rows)))
    response = client.post(LIST, selected(*rows, post="yes"), follow=True)
    assert said(response) == [("success", "Successfully deleted 3 video requests.")]
    assert not VideoRequest.objects.exists()


@pytest.mark.parametrize("status", VideoRequest.UNDELETABLE)
def test_one_that_is_under_way_stops_the_whole_deletion(client, editor, status):
    rows = [VideoRequest.objects.create(owner=editor, prompt="A fox"), put(editor, status)]
    for more in ({}, {"post": "yes"}):
        response = client.post(LIST, selected(*rows, **more), follow=True)
        [(level, words)] = said(response)
        assert level == "error"
        assert words.endswith("Nothing was changed; cancel it, or wait until it has ended.")
    assert VideoRequest.objects.count() == 2


def test_one_that_is_started_meanwhile_stops_the_whole_deletion(client, editor, monkeypatch):
    rows = [VideoRequest.objects.create(owner=editor, prompt="A fox") for _ in range(2)]
    real = actions.django_delete_selected

    def just_before(modeladmin, request, queryset):
        modeladmin.get_deleted_objects = lambda *_: ([], {}, set(), [])
        VideoRequest.objects.filter(pk=rows[0].pk).update(status="queued")
        try:
            return real(modeladmin, request, queryset)
        finally:
            del modeladmin.get_deleted_objects

    monkeypatch.setattr(actions, "django_delete_selected", just_before)
    response = client.post(LIST, selected(*rows, post="yes"), follow=True)
    assert said(response)[0][0] == "error"
    assert VideoRequest.objects.count() == 2


def test_others_rows_cannot_be_deleted(client, colleague):
    theirs = VideoRequest.objects.create(owner=colleague, prompt="A fox")
    client.post(LIST, selected(theirs, post="yes"))
    client.post(page(theirs, "delete"), {"post": "yes"})
    assert VideoRequest.objects.filter(pk=theirs.pk).exists()


def test_one_draft_can_be_deleted_on_its_page(client, editor):
    draft = VideoRequest.objects.create(owner=editor, prompt="A fox")
    assert client.get(page(draft, "delete")).status_code == 200
    client.post(page(draft, "delete"), {"post": "yes"})
    assert not VideoRequest.objects.exists()


@pytest.mark.parametrize("status", VideoRequest.UNDELETABLE)
def test_one_that_is_under_way_says_why_it_stays(client, editor, status):
    request = put(editor, status)
    for response in (
        client.get(page(request, "delete"), follow=True),
        client.post(page(request, "delete"), follow=True),
    ):
        assert response.redirect_chain == [(page(request), 302)]
        assert "cannot be deleted" in said(response)[0][1]
    assert VideoRequest.objects.exists()


def test_one_that_is_started_while_it_is_deleted_stays(client, editor, monkeypatch):
    draft = VideoRequest.objects.create(owner=editor, prompt="A fox")
    real = VideoRequest.delete

    def just_before(self, *args, **kwargs):
        VideoRequest.objects.filter(pk=self.pk).update(status="queued")
        return real(self, *args, **kwargs)

    monkeypatch.setattr(VideoRequest, "delete", just_before)
    response = client.post(page(draft, "delete"), {"post": "yes"}, follow=True)
    assert "cannot be deleted" in said(response)[0][1]
    assert VideoRequest.objects.exists()


# Generating several


def generate(*requests, **more):
    return {**selected(*requests, **more), "action": "generate_selected"}


def test_several_drafts_are_started_for_the_total_that_was_shown(client, editor):
    rows = [VideoRequest.objects.create(owner=editor, prompt=f"Fox {n}") for n in (1, 2)]
    running = put(editor, "queued")
    response = client.post(LIST, generate(*rows, running))
    text = text_of(response)
    assert "Together 50 credits, about $0.50." in text
    assert "1 selected request is no draft and is left alone." in text
    assert VideoRequest.objects.filter(status="draft").count() == 2
    prices = {f"expected_{row.pk}": 25 for row in rows}
    response = client.post(LIST, generate(*rows, confirmed=1, **prices), follow=True)
    assert VideoRequest.objects.filter(status="queued").count() == 3
    assert said(response) == [
        ("success", "“Fox 2” was started."),
        ("success", "“Fox 1” was started."),
        ("info", "2 requests were started. Held: 50 credits, about $0.50."),
    ]


def test_each_row_says_what_came_of_it(client, editor):
    rows = [
        VideoRequest.objects.create(owner=editor, prompt=f"Fox {n}", duration_seconds=15, created_at=timezone.now())
        for n in (1, 2)
    ]
    changed = VideoRequest.objects.create(owner=editor, prompt="Changed")
    unseen = VideoRequest.objects.create(owner=editor, prompt="Unseen")
    prices = {f"expected_{rows[0].pk}": 75, f"expected_{rows[1].pk}": 75, f"expected_{changed.pk}": 24}
    response = client.post(LIST, generate(*rows, changed, unseen, confirmed=1, **prices), follow=True)
    words = said(response)
    assert [level for level, _words in words] == ["info", "warning", "success", "error", "info"]
    assert words[0][1] == "“Unseen”: Its price was not on the page. Nothing was charged."
    assert words[1][1].startswith("“Changed”: The price is now 25 credits")
    assert "missing: 50" in words[3][1]
    assert words[4][1] == "1 request was started. Held: 75 credits, about $0.75."


@pytest.mark.parametrize("nonsense", ["9" * 5000, "-25", "\0", "²", "٢٥"])
def test_a_price_that_is_no_number_starts_nothing(client, editor, nonsense):
    draft = VideoRequest.objects.create(owner=editor, prompt="Fox")
    response = client.post(LIST, generate(draft, confirmed=1, **{f"expected_{draft.pk}": nonsense}), follow=True)
    assert said(response)[0] == ("info", "“Fox”: Its price was not on the page. Nothing was charged.")
    draft.refresh_from_db()
    assert draft.is_draft


def test_no_draft_among_them(client, editor):
    response = client.post(LIST, generate(put(editor, "queued")), follow=True)
    assert said(response)[0][0] == "warning"


def test_too_many_at_once(client, editor):
    many(editor, 51, "draft", submitted_at=None, due_at=None)
    response = client.post(LIST, {**generate(), "select_across": 1, "_selected_action": [1], "index": 0}, follow=True)
    assert said(response) == [
        ("error", "At most 50 requests can be started at once. Nothing was started; choose fewer.")
    ]


def test_a_draft_without_a_price_is_left_out(client, editor, settings):
    settings.GROKVIDEO = {**settings.GROKVIDEO, "PRICES": {"xai/grok-imagine-video": {"480p": "5"}}}
    rows = [VideoRequest.objects.create(owner=editor, prompt="A", resolution=name) for name in ("480p", "720p")]
    response = client.post(LIST, generate(*rows))
    assert "no price: it stays a draft" in text_of(response)
    assert "Together 25 credits" in text_of(response)


def test_who_may_not_add_is_not_offered_the_action(db):
    client = as_(person("reader", "view_videorequest", "change_videorequest", amount=10))
    VideoRequest.objects.create(prompt="x")
    assert "generate_selected" not in client.get(LIST).content.decode()
