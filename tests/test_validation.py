"""What a request must be before it may cost anything."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from typing import Any

import pytest
from django.contrib.contenttypes.models import ContentType
from django.core.files.base import ContentFile
from django.core.files.storage import InMemoryStorage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import models
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from grokvideo_django import validation
from grokvideo_django.exceptions import InvalidRequest
from grokvideo_django.models import CreditGrant, VideoRequest
from tests.site.models import Article

from .conftest import make_draft


def picture(kind: str = "PNG", size: tuple[int, int] = (64, 48), mode: str = "RGB", **options: Any) -> bytes:
    """A file that is such an image, with something in it."""
    content = io.BytesIO()
    image = Image.linear_gradient("L").resize(size).convert(mode)
    image.save(content, kind, **options)
    return content.getvalue()


def request(**values: Any) -> VideoRequest:
    return VideoRequest(**{"prompt": "A fox crosses a frozen lake", **values})


def fields(subject: VideoRequest) -> list[str]:
    """The fields that have a problem of content."""
    return [name for name, _sentence in validation.content_problems(subject)]


@pytest.fixture
def configure(settings):
    def change(**values):
        settings.GROKVIDEO = {**settings.GROKVIDEO, **values}

    return change


def test_a_plain_request_has_no_problem():
    assert list(validation.problems(request())) == []
    validation.check(request())


def test_all_problems_are_said_at_once_by_field(configure):
    configure(API_KEY="", BASE_URL="here")
    with pytest.raises(InvalidRequest) as refused:
        validation.check(request(prompt=" ", duration_seconds=0, resolution="8k", mode="rude", aspect_ratio="2:1"))
    assert set(refused.value.message_dict) == {
        "prompt", "duration_seconds", "resolution", "mode", "aspect_ratio", "__all__",
    }  # fmt: skip
    assert len(refused.value.message_dict["__all__"]) == 2
    assert "Describe the video" in str(refused.value)


@pytest.mark.parametrize("prompt", ["", " \n\t ", "a\0b"])
def test_prompts_that_cannot_be_sent(prompt):
    assert fields(request(prompt=prompt)) == ["prompt"]


def test_the_longest_prompt(configure):
    assert fields(request(prompt="x" * 4096)) == []
    [(name, sentence)] = validation.content_problems(request(prompt="x" * 4100))
    assert (name, "Shorten it by 4." in sentence) == ("prompt", True)
    configure(MAX_PROMPT_LENGTH=10)
    assert fields(request(prompt="x" * 11)) == ["prompt"]


@pytest.mark.parametrize("seconds", [0, -1, 16, 5.0, "5", None, True])
def test_durations_that_are_refused(seconds):
    assert fields(request(duration_seconds=seconds)) == ["duration_seconds"]


@pytest.mark.parametrize("seconds", [1, 15])
def test_durations_that_are_accepted(seconds):
    assert fields(request(duration_seconds=seconds)) == []


@pytest.mark.parametrize(
    ("name", "wrong", "right"),
    [
        ("aspect_ratio", ["", "16x9", "21:9"], VideoRequest.AspectRatio.values),
        ("resolution", ["", "480", "1080p"], VideoRequest.Resolution.values),
        ("mode", ["spicy", "NORMAL"], ["", *VideoRequest.Mode.values]),
        ("operation", ["", "extend", "edit", "dance"], ["text"]),
    ],
)
def test_choices(name, wrong, right):
    assert [fields(request(**{name: value})) for value in wrong] == [[name]] * len(wrong)
    assert [fields(request(**{name: value})) for value in right] == [[]] * len(right)


def test_a_video_from_an_image_needs_one_image():
    assert fields(request(operation="image")) == ["image"]
    assert fields(request(operation="image", image_url="https://example.com/fox.png")) == []
    upload = ContentFile(picture(), "fox.png")
    assert fields(request(operation="image", image=upload)) == []
    assert fields(request(operation="image", image=upload, image_url="https://example.com/fox.png")) == ["image_url"]


@pytest.mark.parametrize(
    "url",
    ["data:image/png;base64,AAAA", "ftp://example.com/a.png", "file:///etc/passwd", "javascript:alert(1)", "//a.b/c",
     "/a.png", "fox", "https://", "http://[::1"],
)  # fmt: skip
def test_addresses_that_are_refused(url):
    assert fields(request(image_url=url)) == ["image_url"]


@pytest.mark.parametrize("url", ["https://example.com/fox.png?x=1", "http://example.com/"])
def test_addresses_that_are_accepted(url):
    assert fields(request(image_url=url)) == []


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("JPEG", picture("JPEG")),
        ("JPEG", picture("JPEG", progressive=True)),
        ("JPEG", picture("JPEG", mode="CMYK")),
        ("JPEG", picture("MPO", save_all=True, append_images=[Image.new("RGB", (64, 48))])),
        ("PNG", picture("PNG")),
        ("PNG", picture("PNG", mode="RGBA")),
        ("WEBP", picture("WEBP")),
    ],
)
def test_images_that_are_accepted(kind, content):
    upload = SimpleUploadedFile("fox", content)
    upload.seek(7)
    assert validation.image_format(upload) == kind
    assert upload.read() == content  # rewound, and still open
    assert fields(request(image=upload)) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7 not an image",
        picture("GIF", mode="L"),
        picture("BMP"),
        picture("TIFF"),
        picture("PNG")[:-30],
        picture("PNG")[:40],
        picture("JPEG", size=(400, 300))[:-200],
        picture("JPEG", size=(400, 300))[:-1],
        picture("JPEG")[:30],
        picture("WEBP")[:-5],
        picture("PNG").replace(b"IDAT", b"IDAX"),
        b"\x89PNG\r\n\x1a\n" + b"\0" * 100,
    ],
    ids=lambda content: repr(content[:12]),
)
def test_images_that_are_refused(content):
    upload = SimpleUploadedFile("fox.png", content)
    assert validation.image_format(upload) is None
    assert fields(request(image=upload)) == ["image"] if content else True


@settings(max_examples=60)
@given(
    content=st.sampled_from([picture("JPEG"), picture("PNG"), picture("WEBP")]),
    at=st.floats(0, 1),
    bytes_=st.binary(min_size=1, max_size=8),
    cut=st.booleans(),
)
def test_a_broken_image_raises_nothing(content, at, bytes_, cut):
    place = int(at * len(content))
    broken = content[:place] + bytes_ + (b"" if cut else content[place + len(bytes_) :])
    assert validation.image_format(SimpleUploadedFile("fox", broken)) in {"JPEG", "PNG", "WEBP", None}


@pytest.mark.parametrize("size", [(9000, 9000), (10000, 9500), (20000, 20000)], ids=str)
@pytest.mark.parametrize("action", ["error", "ignore"])
def test_a_bomb_is_not_opened(size, action):
    content = picture("PNG")
    header = content[12:16] + struct.pack(">II", *size) + content[24:29]
    content = content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:]
    with warnings.catch_warnings():
        warnings.simplefilter(action)
        assert validation.image_format(SimpleUploadedFile("bomb.png", content)) is None


def test_an_image_that_is_too_big(configure):
    content = picture("PNG")
    configure(MAX_IMAGE_BYTES=len(content))
    assert fields(request(image=ContentFile(content, "fox.png"))) == []
    configure(MAX_IMAGE_BYTES=len(content) - 1)
    [(_name, sentence)] = validation.content_problems(request(image=ContentFile(content, "fox.png")))
    assert sentence == "The image is 0.0 MB; at most 0.0 MB can be sent. Use a smaller one."
    assert fields(request(image=ContentFile(content, "fox.png"))) == ["image"]


@pytest.mark.django_db
def test_a_stored_image_is_checked_and_closed_again(editor):
    draft = make_draft(editor, image=ContentFile(picture(), "fox.png"))
    saved = VideoRequest.objects.get(pk=draft.pk)
    assert fields(saved) == []
    assert saved.image.closed
    assert validation.image_format(saved.image) == "PNG"
    assert saved.image.closed


@pytest.mark.parametrize("name", ["grokvideo/images/gone.png", "../../etc/passwd", "/etc/passwd"])
def test_an_image_that_cannot_be_read(name):
    [(field, sentence)] = validation.content_problems(request(image=name))
    assert (field, "cannot be read any more" in sentence) == ("image", True)


@pytest.mark.parametrize(
    "url", ["", "api.aigateway.sh/v1", "ftp://a.b/v1", "https://", "http://[::1", "http://a:99999/"]
)
def test_a_wrong_base_url_is_the_sites_problem(configure, url):
    configure(BASE_URL=url)
    [(name, sentence)] = validation.problems(request())
    assert (name, "BASE_URL" in sentence) == ("", True)


@pytest.mark.parametrize("key", ["", "  ", None])
def test_a_missing_key_is_the_sites_problem(configure, monkeypatch, key):
    monkeypatch.delenv("AIGATEWAY_API_KEY", raising=False)
    configure(API_KEY=key)
    [(name, sentence)] = validation.problems(request())
    assert (name, "API_KEY" in sentence) == ("", True)
    assert fields(request()) == []  # nothing that an author could correct


class Addressed(InMemoryStorage):
    """A storage whose files have the one address, or none."""

    def __init__(self, address: str | None) -> None:
        super().__init__()
        self.address = address

    def url(self, name: str | None) -> str:
        if self.address is None:
            raise NotImplementedError
        return self.address


@pytest.mark.django_db
class TestTargets:
    def target(self, **values: Any) -> list[str]:
        return fields(request(**{"target_content_type": ContentType.objects.get_for_model(Article), **values}))

    @pytest.mark.parametrize("name", ["hero", "hero_url", "request"])
    def test_fields_that_take_a_video(self, name, configure):
        configure(SITE_URL="https://www.example.com")
        assert self.target(target_object_id="7", target_field=name) == []

    def test_a_url_field_needs_an_absolute_address(self):
        assert self.target(target_object_id="7", target_field="hero") == []
        assert self.target(target_object_id="7", target_field="hero_url") == ["target_field"]
        content_type = ContentType.objects.get_for_model(Article)
        draft = request(target_content_type=content_type, target_object_id="7", target_field="hero_url")
        [(_name, sentence)] = validation.problems(draft)
        assert 'GROKVIDEO["SITE_URL"]' in sentence
        assert "django.contrib.sites" in sentence

    @pytest.mark.parametrize(
        ("address", "expected"),
        [
            ("https://cdn.example.com/video.mp4", []),
            ("https://bucket.example.com/video.mp4?X-Amz-Expires=3600", ["target_field"]),
            ("/media/video.mp4", ["target_field"]),
            (None, ["target_field"]),
        ],
    )
    def test_the_storages_own_address_will_do_if_it_is_absolute_and_stays(self, address, expected, monkeypatch):
        monkeypatch.setattr(VideoRequest._meta.get_field("video"), "storage", Addressed(address))
        assert self.target(target_object_id="7", target_field="hero_url") == expected

    @pytest.mark.parametrize("name", ["title", "number", "id", "nothing", "__class__"])
    def test_fields_that_do_not(self, name):
        assert self.target(target_object_id="7", target_field=name) == ["target_field"]

    def test_a_target_is_whole_or_none(self):
        assert self.target(target_object_id="7") == ["target_field"]
        assert self.target(target_field="hero") == ["target_field"]
        assert fields(request(target_field="hero")) == ["target_field"]
        assert fields(request()) == []

    def test_a_kind_of_target_that_is_gone(self):
        gone = ContentType.objects.create(app_label="gone", model="thing")
        assert self.target(target_content_type=gone, target_object_id="7", target_field="x") == ["target_content_type"]


def test_what_can_be_attached_to():
    assert validation.is_attachable(VideoRequest, "source")
    assert validation.is_attachable(VideoRequest, "video")
    assert not validation.is_attachable(VideoRequest, "image")  # a picture's field
    assert not validation.is_attachable(VideoRequest, "owner")
    assert not validation.is_attachable(VideoRequest, "events")
    assert not validation.is_attachable(VideoRequest, "target")
    assert not validation.is_attachable(CreditGrant, "account")


def test_a_key_to_a_proxy_takes_a_request_and_one_to_a_child_does_not():
    class Proxy(VideoRequest):
        class Meta:
            app_label = "testsite"
            proxy = True

    class Child(VideoRequest):
        class Meta:
            app_label = "testsite"

    class Holder(models.Model):  # noqa: DJ008 - never shown
        proxy = models.ForeignKey(Proxy, models.CASCADE, related_name="+")
        child = models.ForeignKey(Child, models.CASCADE, related_name="+")

        class Meta:
            app_label = "testsite"

    try:
        assert validation.is_attachable(Holder, "proxy")
        assert not validation.is_attachable(Holder, "child")
    finally:
        for model in (Proxy, Child, Holder):
            del model._meta.apps.all_models["testsite"][model.__name__.lower()]
        VideoRequest._meta.apps.clear_cache()
