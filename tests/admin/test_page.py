"""The page of a request that was started: what is going on, the video, the history."""

import re
from datetime import timedelta

import pytest
from django.contrib.contenttypes.models import ContentType
from django.core.files.base import ContentFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from grokvideo_django import services
from grokvideo_django.admin import explaining
from grokvideo_django.lifecycle import site
from grokvideo_django.models import GatewayState, VideoRequest, VideoRequestEvent
from grokvideo_django.polling.history import kind_of
from tests.making import put
from tests.site.models import Article

from .conftest import as_, buttons_of, generate, page, said, text_of

pytestmark = pytest.mark.django_db


def body(client, request):
    return text_of(client.get(page(request)))


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("awaiting_approval", "It waits for approval. Nothing is held yet."),
        ("queued", "It has been waiting for a worker for 0 seconds."),
        ("submitting", "A worker is sending it to the gateway."),
        ("submitted", "The gateway accepted it 0 seconds ago and is making the video."),
        ("rendered", "The video is made and is being downloaded to this site."),
        ("succeeded", "The video is stored on this site."),
        ("failed", "It has ended without a video."),
        ("canceled", "It was canceled."),
        ("in_doubt", "Nobody knows what became of it."),
    ],
)
def test_every_state_is_explained(client, editor, status, words):
    text = body(client, put(editor, status)).replace("1 second ", "0 seconds ").replace("1 second.", "0 seconds.")
    assert words in text
    assert "View video request" in text
    assert "_save" not in text


def test_a_long_wait_says_whom_to_ask(client, editor):
    request = put(editor, "queued", queued_at=timezone.now() - timedelta(minutes=5))
    text = body(client, request).replace("\xa0", " ")
    assert "waiting for a worker for 5 minutes. That is long." in text
    VideoRequest.objects.update(submit_attempts=1)
    assert "The gateway did not take it yet; a worker tries again by itself." in body(client, request)


def test_one_second_is_not_spoken_of_as_many():
    now = timezone.now()
    request = VideoRequest(status="queued", queued_at=now - timedelta(seconds=1.5))
    (words,) = explaining.situation(request, GatewayState(), now)
    assert words == "It has been waiting for a worker for 1 second."


def test_a_row_without_times_is_explained_too(client, editor):
    assert "for a while" in body(client, put(editor, "queued", queued_at=None))


def test_a_pause_of_the_site_says_why_it_waits(client, editor):
    site.pause(timezone.now(), status=402, message="top up")
    text = body(client, put(editor, "queued"))
    assert re.search(r"submissions have been paused for \d seconds?: The site's wallet at the gateway is empty\.", text)
    assert "top up" not in text  # the gateway's own words are for those who can do something about it
    assert "you need not do anything" in text


def test_in_doubt_says_what_is_held_and_invites_nobody_to_pay_again(client, editor):
    request = put(editor, "in_doubt", error_message="The answer was lost.")
    response = client.get(page(request))
    text = text_of(response)
    assert "5 credits stay held until the gateway or a site manager says what became of it" in text
    assert "another try now could be paid for twice" in text
    assert "The answer was lost." in text
    assert "5 held, about $0.05" in text
    assert buttons_of(response) == []
    assert "Decide" not in text


def test_in_doubt_without_a_job_says_that_only_a_person_can_tell(client, editor):
    text = body(client, put(editor, "in_doubt", gateway_job_id=None, due_at=None))
    assert "5 credits stay held until a site manager says what became of it" in text


def test_it_says_when_the_gateway_is_asked_next_and_why(client, editor):
    request = put(editor, "submitted", due_at=timezone.now() + timedelta(seconds=30.9))
    text = body(client, request).replace("29 seconds", "30 seconds")
    assert "this site has seen none yet" in text
    assert "asked again in 30 seconds: sooner, the video would hardly be ready" in text
    VideoRequest.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    assert "asked again as soon as this site may ask it and a worker is free" in body(client, request)


def test_it_says_what_is_usual_for_such_videos(client, editor):
    request = put(editor, "submitted")
    usual = {"first_read": 18.1, "half": 44.6, "most": 81.0, "videos": 214}
    GatewayState.objects.ensure()
    GatewayState.objects.update(usual={"|".join(map(str, kind_of(request))): usual})
    text = body(client, request)
    assert "Half of such videos are ready after 45 seconds, nine of ten after 81; this site has seen 214." in text


def test_a_job_that_the_gateway_does_not_know_is_not_said_to_be_made(client, editor):
    due_at = timezone.now() + timedelta(seconds=30.9)
    request = put(editor, "submitted", failed_reads=2, gateway_status="unknown job", due_at=due_at)
    text = body(client, request).replace("29 seconds", "30 seconds")
    assert "The gateway does not know this job (HTTP 404)." in text
    assert "It is asked again in 30 seconds." in text
    assert "accepted it" not in text
    assert "Such a video" not in text
    VideoRequest.objects.update(due_at=None)
    assert "It is asked again as soon as a worker is free." in body(client, request)
    VideoRequest.objects.update(failed_reads=0)  # a person had it asked about once more
    assert "does not know this job" not in body(client, request)


def test_a_job_attached_by_hand_is_not_said_to_be_accepted_before_the_gateway_says_so(client, editor, manager):
    request = put(editor, "in_doubt", gateway_job_id=None, submitted_at=None)
    services.resolve(request, "attach", actor=manager, reason="seen there", gateway_job_id="job_7")
    text = body(client, request)
    assert "A site manager had the gateway asked about this job" in text
    assert "accepted it" not in text
    VideoRequest.objects.update(failed_reads=1)
    text = body(client, request)
    assert "did not say how it is when it was last asked" in text
    assert "accepted it" not in text
    VideoRequest.objects.update(failed_reads=0, last_read_at=timezone.now())
    assert "and is making the video" in body(client, request)


def test_a_video_that_could_not_be_stored_says_when_it_is_tried_again(client, editor):
    due_at = timezone.now() + timedelta(seconds=15.9)
    words = "The file is not a video that can be used: it is HTML."
    request = put(editor, "rendered", fetch_attempts=1, lease_token=None, due_at=due_at, error_message=words)
    text = body(client, request).replace("14 seconds", "15 seconds")
    assert words in text
    assert "The video is made, but could not be stored on this site yet. It is tried again in 15 seconds." in text
    assert "is being downloaded" not in text
    VideoRequest.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    assert "It is tried again as soon as a worker is free." in body(client, request)
    VideoRequest.objects.update(due_at=due_at, lease_token=request.uuid, fetch_attempts=2)
    assert "is being downloaded to this site" in body(client, request)


def test_cancelling_is_explained(client, editor):
    request = put(editor, "submitted", cancel_requested_at=timezone.now(), cancel_refused_at=timezone.now())
    assert "It can no longer be canceled: it will be finished, kept and charged." in body(client, request)


def stored(owner, **values):
    request = put(owner, "succeeded", **{"due_at": None, "charged_credits": 5, "error_message": "", **values})
    request.video.save("clip.mp4", ContentFile(b"film"), save=False)
    request.poster.save("clip.jpg", ContentFile(b"picture"), save=False)
    facts = {"width": 848, "height": 480, "delivered_seconds": 5.04, "size_bytes": 1_234_567, "has_audio": True}
    VideoRequest.objects.filter(pk=request.pk).update(video=request.video.name, poster=request.poster.name, **facts)
    request.refresh_from_db()
    return request


def test_the_video_plays_on_the_page(client, editor):
    request = stored(editor)
    html = client.get(page(request)).content.decode()
    assert (
        f'<video src="{request.video.url}" poster="{request.poster.url}" width="848" height="480" preload="metadata" '
        'controls playsinline aria-label="The video">'
    ) in html
    text = body(client, request)
    assert "5.0 s · 848 \N{MULTIPLICATION SIGN} 480 · 1.2 MB · with sound · Download" in text
    assert "5 charged, about $0.05" in text


def test_a_silent_video_of_unknown_size(client, editor):
    request = stored(editor)
    VideoRequest.objects.update(has_audio=False, width=None, size_bytes=None, delivered_seconds=None)
    assert "silent · Download" in body(client, request)


def test_where_it_went_is_linked(client, editor):
    article = Article.objects.create(title="Foxes")
    request = stored(editor, target=article, target_field="hero")
    assert f"article {article.pk}, field hero" in body(client, request)
    assert "Whether it was attached" in body(client, request)
    VideoRequest.objects.update(due_at=timezone.now())
    assert "It is being attached" in body(client, request)


def test_a_target_with_an_admin_of_its_own_is_a_link(manager):
    request = stored(manager, target=manager, target_field="x")
    assert f'<a href="/admin/auth/user/{manager.pk}/change/">' in as_(manager).get(page(request)).content.decode()


def test_a_kind_of_target_that_is_gone_breaks_nothing(client, editor):
    gone = ContentType.objects.create(app_label="gone", model="gone")
    request = stored(editor)
    VideoRequest.objects.update(target_content_type=gone, target_object_id="1", target_field="x")
    assert "object 1, field x" in body(client, request)


def test_the_input_image_is_linked(client, editor):
    request = put(editor, "queued", image_url="https://example.com/a.png")
    assert '<a href="https://example.com/a.png">' in client.get(page(request)).content.decode()
    VideoRequest.objects.update(image_url="", image="there.png")
    assert '<a href="/media/there.png">' in client.get(page(request)).content.decode()


def test_the_history_is_shown_and_cannot_be_edited(client, editor):
    request = put(editor, "submitted")
    VideoRequestEvent.objects.create(
        request=request, kind="cancel_refused", message="<b>no</b>", from_status="x", to_status="y"
    )
    response = client.get(page(request))
    text, html = text_of(response), response.content.decode()
    assert "queued draft → queued Started for 5 credits." in text
    assert "cancel refused x → y <b>no</b>" in text
    assert "&lt;b&gt;no" in html
    assert 'name="events-0-message"' not in html
    assert "Add another" not in text
    response = client.post(page(request), {"events-TOTAL_FORMS": 1, "events-0-message": "forged"}, follow=True)
    assert said(response)[0][0] == "info"
    assert not VideoRequestEvent.objects.filter(message="forged").exists()


def test_a_long_history_takes_no_query_per_event(client, editor):
    request = put(editor, "submitted")

    def queries():
        with CaptureQueriesContext(connection) as captured:
            assert client.get(page(request)).status_code == 200
        return len(captured)

    queries()
    few = queries()
    VideoRequestEvent.objects.bulk_create(VideoRequestEvent(request=request, kind="read") for _ in range(40))
    assert queries() == few


# Reloading


@pytest.mark.parametrize("status", VideoRequest.RUNNING)
def test_a_page_of_something_running_reloads_itself(client, editor, status):
    html = client.get(page(put(editor, status))).content.decode()
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in html
    assert '<script src="/static/grokvideo/reload.js" data-seconds="5" defer></script>' in html
    assert "This page reloads itself every 5 seconds until something has come of it." in html
    assert '<a href="?still=1">Stop reloading</a>' in html


@pytest.mark.parametrize("status", ["awaiting_approval", "succeeded", "failed", "canceled", "in_doubt"])
def test_other_pages_stay(client, editor, status):
    assert "http-equiv" not in client.get(page(put(editor, status))).content.decode()


def test_a_draft_stays(client, editor):
    draft = VideoRequest.objects.create(owner=editor, prompt="A fox")
    assert "http-equiv" not in client.get(page(draft)).content.decode()


def test_reloading_can_be_stopped(client, editor):
    assert "http-equiv" not in client.get(page(put(editor, "queued")) + "?still=1").content.decode()


@pytest.mark.parametrize(("minutes", "seconds"), [(1, 5), (10, 15), (60, 60)])
def test_it_slows_down(client, editor, minutes, seconds):
    request = put(editor, "queued", queued_at=timezone.now() - timedelta(minutes=minutes))
    assert f'content="{seconds}"' in client.get(page(request)).content.decode()


def test_bad_news_stay_on_the_page_and_good_ones_do_not_stop_it(client, editor):
    draft = VideoRequest.objects.create(owner=editor, prompt="A fox")
    response = generate(client, draft)
    assert said(response)[0][0] == "success"
    assert "http-equiv" in response.content.decode()
    response = client.post(page(draft, "retry"), {"expected_credits": 24}, follow=True)
    assert said(response)[0][0] == "warning"
    assert "http-equiv" not in response.content.decode()
    assert "http-equiv" in client.get(page(draft)).content.decode()


def test_pages_write_nothing(client, editor):
    request = put(editor, "queued")
    client.get(page(request))
    with CaptureQueriesContext(connection) as queries:
        client.get(page(request))
    assert not [query for query in queries if not query["sql"].startswith("SELECT")]
    assert not GatewayState.objects.exists()


def test_somebody_elses_page_is_not_there(client, colleague):
    response = client.get(page(put(colleague, "queued")), follow=True)
    assert response.redirect_chain[0] == ("/admin/", 302)
    assert "exist. Perhaps it was deleted" in said(response)[0][1]


def test_a_manager_sees_everybodys(manager, colleague):
    assert as_(manager).get(page(put(colleague, "queued"))).status_code == 200
