"""Permanent addresses of stored videos: never the provider's, and none that expires."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from django.apps import apps
from django.core import signing
from django.urls import NoReverseMatch, reverse

from .. import conf
from ..exceptions import MediaError
from ..models import VideoRequest

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

    Absolute if the site says how (SITE_URL, or django.contrib.sites).

    Raises:
        MediaError: the storage's addresses expire and the media view is not installed.
    """
    url = _storage_url(request)
    if url is None or urlsplit(url).query:  # a query is a signature, and signatures expire
        try:
            url = reverse("grokvideo:media", args=[token(request)])
        except NoReverseMatch as error:
            raise MediaError(
                "The storage gives no permanent address. Add path('grokvideo/', include('grokvideo_django.urls')) "
                "to the site's URLs, so that the media view can serve the video."
            ) from error
    return urljoin(site_url(), url)


def _storage_url(request: VideoRequest) -> str | None:
    try:
        return request.video.url
    except (NotImplementedError, ValueError):  # the storage is not on the web, or MEDIA_URL is not set
        return None


def site_url() -> str:
    """``https://www.example.com/``, or empty if the site does not say."""
    configured = conf.current().SITE_URL
    if configured:
        return configured.rstrip("/") + "/"
    if apps.is_installed("django.contrib.sites"):
        from django.contrib.sites.models import Site  # noqa: PLC0415 - importable only where it is installed

        return f"https://{Site.objects.get_current().domain}/"
    return ""
