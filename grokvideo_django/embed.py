"""A ``<video>`` that plays a request, a stored file or an address: the same for pages and for the admin."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

from django.db.models.fields.files import FieldFile
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, reverse
from django.utils.safestring import SafeString

from .media.links import token
from .models import VideoRequest
from .validation import is_signed

TEMPLATE: Final = "grokvideo/video.html"
PRELOADS: Final = ("none", "metadata", "auto")
SCHEMES: Final = ("", "http", "https")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """What is to be played. Sizes are in pixels; without them the page jumps when the video arrives."""

    src: str = ""
    poster: str = ""
    width: int | None = None
    height: int | None = None
    is_waiting: bool = False
    """There will be a video, but there is none yet."""

    def sized(self, width: int | None, height: int | None) -> Clip:
        """With these sizes; one that is missing follows from the clip's own shape."""
        if width is None and height is None:
            return self
        shape = self.width / self.height if self.width and self.height else None
        if shape is not None and width is None and height is not None:
            width = math.floor(height * shape + 0.5)
        elif shape is not None and height is None and width is not None:
            height = math.floor(width / shape + 0.5)
        return replace(self, width=width, height=height)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How it is played."""

    autoplay: bool = False
    loop: bool = False
    muted: bool = False
    controls: bool = True
    preload: str = "metadata"
    css_class: str = ""
    title: str = ""
    label: bool = True
    placeholder: bool = False

    @property
    def is_muted(self) -> bool:
        """Browsers play by themselves only what is silent."""
        return self.muted or self.autoplay


def clip_of(thing: object) -> Clip:
    """The clip behind a request, a stored file or an address; one without ``src`` if there is nothing to play.

    Takes no query: a request has its sizes, and a file's address needs none.
    """
    match thing:
        case VideoRequest():
            return _clip_of_request(thing)
        case FieldFile():
            return Clip(src=file_url(thing))
        case str():
            return Clip(src=safe_url(thing))
        case _:
            return Clip()


def render(clip: Clip, options: Options) -> SafeString:
    """The markup; nothing for nothing."""
    if not clip.src and not (options.placeholder and clip.is_waiting):
        return SafeString("")
    preload = options.preload if options.preload in PRELOADS else "metadata"
    return render_to_string(TEMPLATE, {"clip": clip, "options": options, "preload": preload})


def _clip_of_request(request: VideoRequest) -> Clip:
    if request.status != VideoRequest.Status.SUCCEEDED or not request.video:
        return Clip(is_waiting=not request.is_ended)
    return Clip(
        src=video_url(request), poster=poster_url(request), width=request.width or None, height=request.height or None
    )


def video_url(request: VideoRequest) -> str:
    """Where a request's stored video is played from; empty if it is not on the web at all."""
    return _permanent(request, request.video, "media")


def poster_url(request: VideoRequest) -> str:
    """Where its poster is; empty if there is none."""
    return _permanent(request, request.poster, "poster")


def _permanent(request: VideoRequest, file: FieldFile, view: str) -> str:
    """The storage's address if it never expires, else the view's, else whatever the storage says."""
    if not file:
        return ""
    url = file_url(file)
    if url and not is_signed(url):
        return url
    try:
        return reverse(f"grokvideo:{view}", args=[token(request)])
    except NoReverseMatch:
        return url


def file_url(file: FieldFile) -> str:
    """A stored file's address; empty if there is no file, or its storage is not on the web."""
    try:
        return safe_url(file.url) if file else ""
    except (NotImplementedError, ValueError):
        return ""


def safe_url(text: str) -> str:
    """The address if it is relative or of http(s); empty if it could be a script, or is none."""
    text = text.strip()
    if not text.isprintable() or "\\" in text:  # browsers drop tabs and newlines, and read \ as /
        return ""
    try:
        scheme = urlsplit(text).scheme
    except ValueError:
        return ""
    return text if scheme in SCHEMES else ""
