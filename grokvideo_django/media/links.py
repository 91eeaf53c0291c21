"""Permanent addresses of stored videos: never the provider's, and none that expires."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from django.core import signing
from django.urls import NoReverseMatch, reverse

from .. import conf
from ..exceptions import MediaError
from ..models import VideoRequest
from ..validation import is_signed

SALT = "grokvideo.media"


def token(request: VideoRequest) -> str:
    """An unguessable, permanent name of a request's media, for addresses that need no login."""
    return signing.Signer(salt=SALT).sign_object(request.key)


def key_of(text: str) -> str:
    """The request's key in a token.

    Raises:
        django.core.signing.BadSignature: it is none of ours.
    """
    return str(signing.Signer(salt=SALT).unsign_object(text))


def permanent_url(request: VideoRequest) -> str:
    """The stored video's address: the storage's if it never expires, else the media view's.

    Always absolute: nobody could save an object again whose URL field holds a path.

    Raises:
        MediaError: its storage's addresses expire and the media view is missing, or the site does not say where it is.
    """
    url = _storage_url(request)
    if url is None or is_signed(url):
        try:
            url = reverse("grokvideo:media", args=[token(request)])
        except NoReverseMatch as error:
            raise MediaError(
                "The storage gives no permanent address. Add path('grokvideo/', include('grokvideo_django.urls')) "
                "to the site's URLs, so that the media view can serve the video."
            ) from error
    address = urljoin(conf.site_url(), url)
    if not urlsplit(address).netloc:
        raise MediaError(
            'The video has no absolute address. Set GROKVIDEO["SITE_URL"] to where the site is, or install '
            "django.contrib.sites."
        )
    return address


def _storage_url(request: VideoRequest) -> str | None:
    try:
        return request.video.url
    except (NotImplementedError, ValueError):  # the storage is not on the web, or MEDIA_URL is not set
        return None
