"""Permanent addresses of stored videos."""

from __future__ import annotations

import pytest
from django.core import signing
from django.core.files.storage import FileSystemStorage
from django.urls import include, path, reverse

from grokvideo_django.exceptions import MediaError
from grokvideo_django.media import links
from grokvideo_django.models import VideoRequest

VIDEO = VideoRequest._meta.get_field("video")


def view(request, token):
    raise NotImplementedError


def with_media_view():
    return (path("films/", include(([path("media/<str:token>", view, name="media")], "grokvideo"))),)


@pytest.fixture
def request_(settings):
    settings.ROOT_URLCONF = with_media_view()
    return VideoRequest(video="grokvideo/1 fox.mp4")


@pytest.fixture
def site(settings):
    settings.GROKVIDEO = {**settings.GROKVIDEO, "SITE_URL": "https://www.example.com/"}


class Signed(FileSystemStorage):
    def url(self, name):
        return f"https://bucket.example.com/{name}?X-Amz-Expires=3600"


class Public(FileSystemStorage):
    def url(self, name):
        return f"https://cdn.example.com/{name}"


class Offline(FileSystemStorage):
    def url(self, name):
        raise NotImplementedError("not on the web")


def test_a_token_is_unguessable_permanent_and_ours(request_):
    token = links.token(request_)
    assert token == links.token(request_)
    assert links.key_of(token) == request_.key
    for wrong in ("", "x", request_.key, token[:-1], signing.Signer(salt="other").sign_object(request_.key)):
        with pytest.raises(signing.BadSignature):
            links.key_of(wrong)


def test_a_storage_without_signatures_gives_its_own_address(request_, site):
    assert links.permanent_url(request_) == "https://www.example.com/media/grokvideo/1%20fox.mp4"


def test_an_address_on_another_host_stays_as_it_is(request_, site, monkeypatch):
    monkeypatch.setattr(VIDEO, "storage", Public())
    assert links.permanent_url(VideoRequest(video="1.mp4")) == "https://cdn.example.com/1.mp4"


@pytest.mark.parametrize("storage", [Signed, Offline])
def test_what_expires_or_is_not_on_the_web_gets_the_media_views_address(storage, request_, site, monkeypatch):
    monkeypatch.setattr(VIDEO, "storage", storage())
    row = VideoRequest(video="1.mp4")
    url = links.permanent_url(row)
    assert url == f"https://www.example.com{reverse('grokvideo:media', args=[links.token(row)])}"
    assert url.startswith("https://www.example.com/films/media/")
    assert "X-Amz" not in url


def test_without_the_media_view_it_says_what_to_do(settings, monkeypatch):
    settings.ROOT_URLCONF = ()
    monkeypatch.setattr(VIDEO, "storage", Signed())
    with pytest.raises(MediaError, match="Add path"):
        links.permanent_url(VideoRequest(video="1.mp4"))


def test_a_site_that_does_not_say_where_it_is(request_):
    with pytest.raises(MediaError, match="SITE_URL"):
        links.permanent_url(request_)


def test_what_expires_has_no_address_where_the_site_does_not_say_its_own(request_, monkeypatch):
    monkeypatch.setattr(VIDEO, "storage", Signed())
    with pytest.raises(MediaError, match="SITE_URL"):
        links.permanent_url(VideoRequest(video="1.mp4"))
