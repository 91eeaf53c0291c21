"""Writing a draft, and saving it or generating from it."""

import io
import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from PIL import Image

from grokvideo_django import credits, services
from grokvideo_django.admin.forms import VideoRequestForm
from grokvideo_django.models import CreditAccount, VideoRequest
from tests.making import put
from tests.site.models import Article

from .conftest import ADD, LIST, allow, as_, form_of, generate, page, person, said, text_of

pytestmark = pytest.mark.django_db

PROMPT = "A fox crosses a frozen lake"


def picture(kind="PNG", size=(8, 8)):
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, kind)
    return buffer.getvalue()


def the_one():
    return VideoRequest.objects.get()


def test_the_form_begins_with_the_models_defaults_and_shows_price_and_balance(client):
    response = client.get(ADD)
    text = text_of(response)
    assert "25 credits, about $0.25" in text
    assert "Available to editor 100 credits" in text
    assert "480p 5 · 720p 7 · image 0.2" in text
    assert "Save and generate · 25 credits, about $0.25" in response.content.decode()
    form = response.context["adminform"].form
    assert (form["duration_seconds"].value(), form["aspect_ratio"].value(), form["resolution"].value()) == (
        5, "16:9", "480p",
    )  # fmt: skip
    assert 'name="expected_credits" value="25"' in response.content.decode()


def test_who_writes_for_another_sees_who_pays(manager, editor):
    draft = VideoRequest.objects.create(owner=editor, prompt=PROMPT)
    browser = as_(manager)
    label = "Save and generate · 25 credits, about $0.25 (paid by editor)"
    assert f'value="{label}"' in browser.get(page(draft)).content.decode()
    assert "paid by" not in browser.get(ADD).content.decode()
    words = said(generate(browser, draft))[-1][1]
    assert "Held until the video is stored: 25 credits, about $0.25 (paid by editor)." in words


def test_enter_saves_and_does_not_spend(client):
    html = client.get(ADD).content.decode()
    assert html.index('name="_save"') < html.index('name="_generate"')


def test_saving_costs_nothing(client, editor):
    response = client.post(ADD, form_of(client.get(ADD), prompt=PROMPT, _save=1), follow=True)
    assert response.redirect_chain[-1][0] == LIST
    request = the_one()
    assert (request.status, request.owner, request.owner_name, request.prompt) == ("draft", editor, "editor", PROMPT)
    assert CreditAccount.objects.for_user(editor).held == 0


def test_save_and_generate_holds_the_price_that_was_shown(client, editor):
    response = client.post(ADD, form_of(client.get(ADD), prompt=PROMPT, _generate=1), follow=True)
    request = the_one()
    assert response.redirect_chain == [(page(request), 302)]
    assert (request.status, request.quoted_credits) == ("queued", 25)
    assert request.events.get().actor == "editor"
    [(level, words)] = said(response)
    assert level == "success"
    assert words.startswith("Started. Held until the video is stored: 25 credits, about $0.25.")


def test_another_duration_than_the_page_was_priced_for_asks_again(client):
    response = client.post(ADD, form_of(client.get(ADD), prompt=PROMPT, duration_seconds=10, _generate=1), follow=True)
    request = the_one()
    assert (request.status, request.duration_seconds) == ("draft", 10)
    [(level, words)] = said(response)
    assert level == "warning"
    assert words == (
        "The draft is saved. The price is now 50 credits, about $0.50, not 25 as shown. Nothing was charged; "
        "press Generate to confirm the new price."
    )
    assert "Save and generate · 50 credits, about $0.50" in response.content.decode()


def test_without_a_price_on_the_page_nothing_is_spent(client):
    data = form_of(client.get(ADD), prompt=PROMPT, _generate=1)
    del data["expected_credits"]
    response = client.post(ADD, data, follow=True)
    assert the_one().status == "draft"
    [(_level, words)] = said(response)
    assert "It costs 25 credits, about $0.25. Nothing was charged yet" in words


@pytest.mark.parametrize("nonsense", ["", "-25", "2.5", "²", "9" * 30, "x"])
def test_a_price_that_is_no_number_counts_as_none(client, nonsense):
    client.post(ADD, form_of(client.get(ADD), prompt=PROMPT, expected_credits=nonsense, _generate=1))
    assert the_one().status == "draft"


def test_a_double_click_on_save_and_generate_makes_and_pays_one(client, editor):
    data = form_of(client.get(ADD), prompt=PROMPT, _generate=1)
    client.post(ADD, data)
    response = client.post(ADD, data, follow=True)
    request = the_one()
    assert response.redirect_chain == [(page(request), 302)]
    assert request.status == "queued"
    assert CreditAccount.objects.for_user(editor).held == 25
    assert said(response)[-1] == (
        "info", "This form was sent twice. It made one request, which is this one; nothing was charged again."
    )  # fmt: skip


def test_two_forms_at_the_very_same_time_make_one_request(client, editor, monkeypatch):
    """The other one was faster between this one's look and its INSERT."""
    data = form_of(client.get(ADD), prompt=PROMPT, _generate=1)
    client.post(ADD, data)

    def sees_nothing(form, commit=True):
        form.instance.uuid = data["form_key"]
        return form.instance

    monkeypatch.setattr(VideoRequestForm, "save", sees_nothing)
    response = client.post(ADD, data, follow=True)
    assert "This form was sent twice." in said(response)[-1][1]
    assert CreditAccount.objects.for_user(editor).held == 25


def test_another_fault_of_the_database_is_not_hidden(client, editor, colleague, monkeypatch):
    theirs = VideoRequest.objects.create(owner=colleague, prompt=PROMPT)
    monkeypatch.setattr(VideoRequestForm, "save", lambda form, commit: VideoRequest(uuid=theirs.uuid, prompt=PROMPT))
    with pytest.raises(IntegrityError):
        client.post(ADD, form_of(client.get(ADD), prompt=PROMPT, _save=1))


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer")
def test_clicks_of_several_threads_make_and_pay_one(editor):
    clients = [as_(editor) for _ in range(4)]
    data = form_of(clients[0].get(ADD), prompt=PROMPT, _generate=1)

    def post(client):
        try:
            return client.post(ADD, data).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(post, clients)) == [302] * 4
    assert the_one().status == "queued"
    assert CreditAccount.objects.for_user(editor).held == 25


def test_the_same_form_with_another_text_is_another_wish(client):
    data = form_of(client.get(ADD), prompt=PROMPT, _save=1)
    client.post(ADD, data)
    client.post(ADD, {**data, "prompt": "An owl"})
    assert sorted(VideoRequest.objects.values_list("prompt", flat=True)) == [PROMPT, "An owl"]


def again(client, **changes):
    """As after the browser's Back: a new form, with the same text in it."""
    return client.post(ADD, form_of(client.get(ADD), **{"prompt": PROMPT, "_generate": 1, **changes}), follow=True)


def test_the_same_wish_after_going_back_asks_before_it_is_paid_again(client, editor):
    again(client)
    first = the_one()
    with CaptureQueriesContext(connection) as queries:
        response = again(client)
    second = VideoRequest.objects.exclude(pk=first.pk).get()
    assert second.is_draft
    assert response.redirect_chain == [(page(second), 302)]
    [(level, words)] = said(response)
    assert level == "warning"
    link = f'<a href="{page(first)}">#{first.pk}</a>'
    assert re.sub(r"started .+? ago", "started 0 seconds ago", words) == (
        f"The same was started 0 seconds ago: {link} (25 held). So this one was not started, and nothing was charged "
        "for it; it is saved as a draft. To make and pay for another one, press “Save and generate” here."
    )
    assert link in response.content.decode()
    assert CreditAccount.objects.for_user(editor).held == 25
    assert (
        len([query for query in queries if '"queued_at" >=' in query["sql"] or "`queued_at` >=" in query["sql"]]) == 1
    )
    generate(client, second)
    second.refresh_from_db()
    assert second.status == "queued"
    assert CreditAccount.objects.for_user(editor).held == 50


def test_a_double_click_on_the_repeated_wish_makes_one_draft(client, editor):
    again(client)
    data = form_of(client.get(ADD), prompt=PROMPT, _generate=1)
    for _twice in range(2):
        client.post(ADD, data)
    assert sorted(VideoRequest.objects.values_list("status", flat=True)) == ["draft", "queued"]
    assert CreditAccount.objects.for_user(editor).held == 25


@pytest.mark.parametrize(
    "changes", [{"prompt": "An owl"}, {"duration_seconds": 4, "expected_credits": 20}, {"aspect_ratio": "1:1"}]
)
def test_another_wish_is_started_at_once(client, changes):
    again(client)
    again(client, **changes)
    assert VideoRequest.objects.filter(status="queued").count() == 2


def test_what_was_saved_only_is_started_at_once(client):
    client.post(ADD, form_of(client.get(ADD), prompt=PROMPT, _save=1))
    again(client)
    assert VideoRequest.objects.filter(status="queued").count() == 1


def test_what_cost_nothing_or_is_long_ago_or_anothers_is_started_at_once(client, editor, colleague):
    again(client)
    services.cancel(the_one())
    again(client)
    assert VideoRequest.objects.filter(status="queued").count() == 1
    VideoRequest.objects.filter(status="queued").update(queued_at=timezone.now() - timedelta(minutes=11))
    again(client)
    again(as_(colleague))
    assert VideoRequest.objects.filter(status="queued").count() == 3


def test_what_waits_for_approval_counts_as_started(client, settings):
    settings.GROKVIDEO = {**settings.GROKVIDEO, "APPROVAL_ABOVE": 20}
    again(client)
    assert "(25 if approved)" in said(again(client))[0][1]


def test_an_upload_is_the_same_by_its_name(client, editor):
    credits.grant(editor, 1000)
    names = ["fox.png", "fox.png", "hare.png", ""]
    for name in names:
        image = {"image": SimpleUploadedFile(name, picture())} if name else {}
        again(client, expected_credits=26 if name else 25, **image)
    states = list(VideoRequest.objects.order_by("pk").values_list("status", flat=True))
    assert states == ["queued", "draft", "queued", "queued"]


def test_the_key_of_somebody_elses_request_is_of_no_use(client, colleague):
    theirs = VideoRequest.objects.create(owner=colleague, prompt=PROMPT)
    response = client.post(ADD, form_of(client.get(ADD), prompt=PROMPT, form_key=str(theirs.uuid), _save=1))
    assert response.status_code == 302
    mine = VideoRequest.objects.exclude(pk=theirs.pk).get()
    assert mine.uuid != theirs.uuid


def test_a_key_that_is_none_does_no_harm(client):
    client.post(ADD, form_of(client.get(ADD), prompt=PROMPT, form_key="'", _save=1))
    assert the_one().prompt == PROMPT


def test_a_double_click_on_the_form_of_a_draft_costs_once(client, editor):
    draft = VideoRequest.objects.create(owner=editor, prompt=PROMPT)
    data = form_of(client.get(page(draft)), _generate=1)
    client.post(page(draft), data)
    response = client.post(page(draft), data, follow=True)
    draft.refresh_from_db()
    assert draft.status == "queued"
    assert CreditAccount.objects.for_user(editor).held == 25
    assert said(response)[-1] == (
        "info", "It was started before (queued), so nothing was saved, and nothing was charged again.",
    )  # fmt: skip


def test_a_draft_that_is_started_while_it_is_saved_says_so(client, editor, monkeypatch):
    draft = VideoRequest.objects.create(owner=editor, prompt=PROMPT)
    data = form_of(client.get(page(draft)), prompt="Another", _save=1)
    real = VideoRequest.save

    def started_just_before(self, *args, **kwargs):
        VideoRequest.objects.filter(pk=self.pk).update(status="queued")
        real(self, *args, **kwargs)

    monkeypatch.setattr(VideoRequest, "save", started_just_before)
    response = client.post(page(draft), data)
    assert response.status_code == 302
    monkeypatch.undo()
    assert "was started in the meantime" in said(client.get(page(draft)))[0][1]
    draft.refresh_from_db()
    assert draft.prompt == PROMPT


def test_too_few_credits_keep_the_draft_and_say_what_is_missing(client, editor):
    data = form_of(client.get(ADD), prompt=PROMPT, duration_seconds=15, resolution="720p", expected_credits=105)
    response = client.post(ADD, {**data, "_generate": 1}, follow=True)
    assert the_one().status == "draft"
    [(level, words)] = said(response)
    assert level == "error"
    assert "The draft is saved." in words
    assert "missing: 5" in words
    text = text_of(response)
    assert "5 credits are missing. Save a draft, and ask a site manager for a grant." in text
    assert "Traceback" not in text


def test_a_site_without_a_key_says_so_before_and_after(client, settings, monkeypatch):
    monkeypatch.delenv("AIGATEWAY_API_KEY", raising=False)
    settings.GROKVIDEO = {**settings.GROKVIDEO, "API_KEY": ""}
    response = client.get(ADD)
    assert "has no key for the gateway" in text_of(response)
    response = client.post(ADD, form_of(response, prompt=PROMPT, _generate=1), follow=True)
    assert the_one().status == "draft"
    [(level, words)] = said(response)
    assert level == "error"
    assert "has no key for the gateway" in words
    assert words.endswith("It was not started, and nothing was charged.")


def test_a_model_without_a_price_has_no_button(client, editor, settings):
    settings.GROKVIDEO = {**settings.GROKVIDEO, "PRICES": {}}
    draft = VideoRequest.objects.create(owner=editor, prompt=PROMPT)
    response = client.get(page(draft))
    assert response.context["grokvideo_buttons"] == []
    assert "no price" in text_of(client.get(LIST))
    response = client.post(page(draft), form_of(response, _generate=1), follow=True)
    [(level, words)] = said(response)
    assert (level, "There is no price" in words) == ("error", True)


BAD = [
    ({"prompt": ""}, "prompt", "Describe the video: a subject, what happens, where, and how it is filmed."),
    ({"prompt": " \n "}, "prompt", "Describe the video: a subject, what happens, where, and how it is filmed."),
    ({"prompt": "a\0b"}, "prompt", "The prompt has a character that cannot be sent (NUL). Remove it."),
    (
        {"prompt": "x" * 4100},
        "prompt",
        "The prompt has 4100 characters; at most 4096 can be sent. Shorten it by 4.",
    ),
    ({"duration_seconds": "0"}, "duration_seconds", "A video lasts 1 to 15 seconds; choose a duration between them."),
    ({"duration_seconds": "16"}, "duration_seconds", "A video lasts 1 to 15 seconds; choose a duration between them."),
    ({"duration_seconds": ""}, "duration_seconds", "The duration is a whole number of seconds."),
    ({"duration_seconds": "five"}, "duration_seconds", "Enter a whole number."),
    (
        {"aspect_ratio": "5:1"},
        "aspect_ratio",
        "'5:1' is not offered; choose one of 1:1, 16:9, 9:16, 4:3, 3:4, 3:2, 2:3.",
    ),
    ({"resolution": "8k"}, "resolution", "'8k' is not offered; choose one of 480p, 720p."),
    ({"mode": "wild"}, "mode", "'wild' is not offered; choose one of normal, fun, custom."),
    (
        {"image_url": "ftp://example.com/a.png"},
        "image_url",
        "The image's address must be a full web address that begins with https://.",
    ),
    (
        {"image_url": "https://example.com/" + "a" * 2000},
        "image_url",
        "Ensure this value has at most 2000 characters (it has 2020).",
    ),
]


@pytest.mark.parametrize(("changes", "field", "sentence"), BAD)
def test_bad_input_is_refused_with_the_sentence_of_the_gate(client, changes, field, sentence):
    response = client.post(ADD, form_of(client.get(ADD), **{"prompt": PROMPT, **changes, "_generate": 1}))
    assert response.status_code == 200
    assert sentence in response.context["adminform"].form.errors[field]
    assert "There is a price as soon as the form is complete." in text_of(response)
    assert not VideoRequest.objects.exists()


def test_a_file_that_is_no_image_is_refused(client):
    upload = SimpleUploadedFile("a.png", b"<html>no</html>", "image/png")
    response = client.post(ADD, form_of(client.get(ADD), prompt=PROMPT, image=upload, _save=1))
    assert response.context["adminform"].form.errors["image"] == [
        "This file is not an image that can be sent. Use a JPEG, PNG or WebP file."
    ]


def test_an_image_that_is_too_big_is_refused(client, settings):
    settings.GROKVIDEO = {**settings.GROKVIDEO, "MAX_IMAGE_BYTES": 20}
    upload = SimpleUploadedFile("a.png", picture(), "image/png")
    response = client.post(ADD, form_of(client.get(ADD), prompt=PROMPT, image=upload, _save=1))
    [sentence] = response.context["adminform"].form.errors["image"]
    assert "MB can be sent. Use a smaller one." in sentence


@pytest.mark.parametrize(
    ("name", "kind", "suffix"),
    [("evil.html", "PNG", ".png"), ("photo.jpeg", "JPEG", ".jpg"), ("x", "WEBP", ".webp"), (".png", "PNG", ".png")],
)
def test_an_image_is_kept_under_a_name_that_fits_its_bytes(client, name, kind, suffix):
    upload = SimpleUploadedFile(name, picture(kind), "text/html")
    client.post(ADD, form_of(client.get(ADD), prompt=PROMPT, image=upload, _save=1))
    request = the_one()
    assert request.operation == "image"
    assert re.fullmatch(r".+/images/[0-9a-f-]{36}/[^/.]*\.?[^/.]*" + re.escape(suffix), request.image.name)
    assert not request.image.name.endswith(".html")


def test_an_image_costs_and_can_be_taken_away_again(client, editor):
    upload = SimpleUploadedFile("a.png", picture(), "image/png")
    client.post(ADD, form_of(client.get(ADD), prompt=PROMPT, image=upload, _save=1))
    request = the_one()
    assert services.quote(request) == 26
    response = client.get(page(request))
    assert response.context["grokvideo_price"].credits == 26
    assert "collapse" not in response.context["adminform"].fieldsets[1][1]["classes"]
    client.post(page(request), {**form_of(response), "image-clear": "on", "image": "", "_save": 1})
    request.refresh_from_db()
    assert (request.operation, bool(request.image)) == ("text", False)


def test_an_image_and_an_address_are_one_too_many(client):
    upload = SimpleUploadedFile("a.png", picture(), "image/png")
    response = client.post(
        ADD, form_of(client.get(ADD), prompt=PROMPT, image=upload, image_url="https://example.com/a.png", _save=1)
    )
    assert response.context["adminform"].form.errors["image_url"] == [
        "Give either an image or an image's address, not both."
    ]


def test_an_address_without_a_scheme_is_https(client):
    data = form_of(client.get(ADD), prompt=PROMPT, image_url="example.com/a.png", _save=1)
    client.post(ADD, data)
    client.post(ADD, data)
    assert the_one().image_url == "https://example.com/a.png"


def test_a_draft_of_a_kind_that_cannot_be_made_says_so(client, editor):
    draft = VideoRequest.objects.create(owner=editor, prompt=PROMPT, operation="extend")
    response = client.post(page(draft), form_of(client.get(page(draft)), _save=1))
    assert "it cannot extend or edit one" in text_of(response)


# Owners


def test_an_editor_cannot_choose_the_owner(client, editor, colleague):
    response = client.get(ADD)
    assert "owner" not in response.context["adminform"].form.fields
    client.post(ADD, form_of(response, prompt=PROMPT, owner=colleague.pk, _generate=1))
    assert the_one().owner == editor
    assert CreditAccount.objects.for_user(colleague).held == 0


def test_a_manager_can_choose_the_owner_whose_credits_pay(manager, editor):
    client = as_(manager)
    response = client.get(ADD)
    assert response.context["adminform"].form["owner"].value() == manager.pk
    client.post(ADD, form_of(response, prompt=PROMPT, owner=editor.pk, _generate=1))
    request = the_one()
    assert (request.owner, request.events.get().actor) == (editor, "manager")
    assert CreditAccount.objects.for_user(editor).held == 25


def test_a_manager_must_choose_one(manager):
    client = as_(manager)
    response = client.post(ADD, form_of(client.get(ADD), prompt=PROMPT, owner="", _save=1))
    assert "owner" in response.context["adminform"].form.errors


def test_users_are_searched_as_one_types_where_their_admin_may_be_seen(manager):
    assert "admin-autocomplete" not in as_(manager).get(ADD).content.decode()
    allow(manager, "view_user")
    manager = type(manager).objects.get(pk=manager.pk)
    assert "admin-autocomplete" in as_(manager).get(ADD).content.decode()


def test_changing_a_draft_keeps_its_owner(manager, editor):
    draft = VideoRequest.objects.create(owner=editor, prompt=PROMPT)
    client = as_(manager)
    response = client.get(page(draft))
    assert response.context["grokvideo_price"].owner == "editor"
    client.post(page(draft), form_of(response, prompt="An owl", _save=1))
    draft.refresh_from_db()
    assert (draft.owner, draft.prompt) == (editor, "An owl")


# Targets


@pytest.fixture
def article(db):
    return Article.objects.create(title="Foxes")


def test_a_video_can_be_made_for_an_object_that_its_author_may_change(client, editor, article):
    allow(editor, "change_article")
    response = client.get(f"{ADD}?attach_to=testsite.article.hero&target_object_id={article.pk}")
    assert "collapse" not in response.context["adminform"].fieldsets[2][1]["classes"]
    client.post(ADD, form_of(response, prompt=PROMPT, _save=1))
    request = the_one()
    assert (request.target, request.target_field) == (article, "hero")
    response = client.get(page(request))
    assert response.context["adminform"].form["attach_to"].value() == "testsite.article.hero"
    client.post(page(request), form_of(response, attach_to="", _save=1))
    request.refresh_from_db()
    assert (request.target, request.target_field, request.target_object_id) == (None, "", "")


def test_fields_of_objects_that_one_may_not_change_are_not_offered(client, article):
    response = client.get(f"{ADD}?attach_to=testsite.article.hero&target_object_id={article.pk}")
    form = response.context["adminform"].form
    assert [value for value, _words in form.fields["attach_to"].choices] == [""]
    data = form_of(response, prompt=PROMPT, attach_to="testsite.article.hero", target_object_id=article.pk, _save=1)
    assert "attach_to" in client.post(ADD, data).context["adminform"].form.errors


def test_only_fields_that_can_take_a_video_are_offered(manager):
    allow(manager, "change_article", "change_creditgrant")
    response = as_(manager).get(ADD)
    offered = dict(response.context["adminform"].form.fields["attach_to"].choices)
    assert offered == {
        "": "nothing: it stays here",
        "testsite.article.hero": "Article: hero",
        "testsite.article.hero_url": "Article: hero url",
        "testsite.article.request": "Article: request",
    }


def test_an_object_that_is_not_there_is_refused(client, editor, article):
    allow(editor, "change_article")
    for key in ("999", "x", "9" * 40):
        data = form_of(client.get(ADD), prompt=PROMPT, attach_to="testsite.article.hero", target_object_id=key, _save=1)
        errors = client.post(ADD, data).context["adminform"].form.errors
        assert errors == {"target_object_id": ["There is no such object. Look up its id, or attach to nothing."]}


def test_a_field_without_an_object_is_refused(client, editor, article):
    allow(editor, "change_article")
    data = form_of(client.get(ADD), prompt=PROMPT, attach_to="testsite.article.hero", _save=1)
    assert client.post(ADD, data).context["adminform"].form.errors == {
        "attach_to": ["A target needs its id and the name of the field that gets the video."]
    }


def test_a_url_field_is_refused_where_the_site_does_not_say_its_address(client, editor, article, settings):
    allow(editor, "change_article")
    target = {"attach_to": "testsite.article.hero_url", "target_object_id": article.pk}
    data = form_of(client.get(ADD), prompt=PROMPT, **target, _save=1)
    (sentence,) = client.post(ADD, data).context["adminform"].form.errors["attach_to"]
    assert 'GROKVIDEO["SITE_URL"]' in sentence
    settings.GROKVIDEO = {**settings.GROKVIDEO, "SITE_URL": "https://www.example.com"}
    client.post(ADD, data)
    assert the_one().target_field == "hero_url"


def test_a_target_that_somebody_else_chose_may_stay(client, editor, article):
    draft = VideoRequest.objects.create(owner=editor, prompt=PROMPT, target=article, target_field="hero")
    client.post(page(draft), form_of(client.get(page(draft)), prompt="An owl", _save=1))
    draft.refresh_from_db()
    assert (draft.prompt, draft.target, draft.target_field) == ("An owl", article, "hero")
    other = Article.objects.create(title="Owls")
    response = client.post(page(draft), form_of(client.get(page(draft)), target_object_id=other.pk, _save=1))
    assert response.context["adminform"].form.errors == {
        "target_object_id": ["You may not change this object. Choose another."]
    }


# Popups, and people without permissions


def test_a_popup_saves_and_does_not_start(client):
    response = client.get(f"{ADD}?_popup=1")
    assert "_generate" not in response.content.decode()
    response = client.post(ADD, form_of(response, prompt=PROMPT, _popup=1, _generate=1))
    assert response.status_code == 200
    assert the_one().status == "draft"


def test_without_the_permission_to_add_nothing_is_started(db):
    user = person("reader", "view_videorequest", "change_videorequest", amount=100)
    client = as_(user)
    assert client.get(ADD).status_code == 403
    draft = VideoRequest.objects.create(owner=user, prompt=PROMPT)
    response = client.get(page(draft))
    assert "_generate" not in response.content.decode()
    client.post(page(draft), form_of(response, prompt="An owl", _generate=1))
    draft.refresh_from_db()
    assert (draft.status, draft.prompt) == ("draft", "An owl")


def test_somebody_who_may_only_look_sees_a_draft_as_facts(db):
    user = person("reader", "view_videorequest", amount=100)
    draft = VideoRequest.objects.create(owner=user, prompt=PROMPT)
    response = as_(user).get(page(draft))
    assert response.status_code == 200
    assert "A draft: nothing was sent, and nothing was charged." in text_of(response)
    assert as_(user).post(page(draft), {"prompt": "x"}).status_code == 403


def test_csrf_is_enforced(editor):
    client = as_(editor, enforce_csrf_checks=True)
    data = form_of(client.get(ADD), prompt=PROMPT, _generate=1)
    assert client.post(ADD, data).status_code == 403
    assert not VideoRequest.objects.exists()
    token = client.cookies["csrftoken"].value
    assert client.post(ADD, {**data, "csrfmiddlewaretoken": token}).status_code == 302
    assert the_one().status == "queued"


def test_a_started_request_cannot_be_edited(client, editor):
    request = put(editor, "queued")
    client.post(page(request), {"prompt": "An owl", "_save": 1})
    request.refresh_from_db()
    assert request.prompt == PROMPT


def test_a_request_that_is_not_there_leads_home(client):
    for method in (client.get, client.post):
        response = method(f"{LIST}999/change/", follow=True)
        assert "exist. Perhaps it was deleted" in said(response)[0][1]


def test_two_forms_have_two_keys(client):
    keys = {client.get(ADD).context["adminform"].form["form_key"].value() for _ in range(2)}
    assert len(keys) == 2
    assert all(uuid.UUID(str(key)) for key in keys)
