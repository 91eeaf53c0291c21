"""``{% load grokvideo %}{% grokvideo thing %}``: a correct ``<video>`` for a request, a stored file or an address."""

from __future__ import annotations

from dataclasses import replace

from django import template
from django.db.models.fields.files import FieldFile
from django.template import TemplateSyntaxError
from django.utils.safestring import SafeString

from .. import embed
from ..models import VideoRequest

register = template.Library()


@register.simple_tag
def grokvideo(
    thing: VideoRequest | FieldFile | str | None,
    *,
    autoplay: bool = False,
    loop: bool = False,
    muted: bool = False,
    controls: bool = True,
    preload: str = "metadata",
    poster: FieldFile | str | None = None,
    width: int | str | None = None,
    height: int | str | None = None,
    title: str = "",
    label: bool = True,
    placeholder: bool = False,
    css_class: str = "",
    **attributes: str,
) -> SafeString:
    """A ``<figure>`` with the video; nothing if there is none. No query, and nothing is written.

    Args:
        thing: a request, the value of a file field, or an http(s) or relative address.
        autoplay: plays by itself, and is therefore muted.
        loop: begins again at its end.
        muted: begins silent.
        controls: the browser's buttons; without them nobody can pause it.
        preload: ``none``, ``metadata`` or ``auto``.
        poster: a picture until it plays; a request brings its own.
        width: in pixels; a request brings its own.
        height: in pixels; follows from the width for a request.
        title: what a screen reader says it is.
        label: the visible words "AI-generated".
        placeholder: a neutral sentence while a request has no video yet.
        css_class: of the figure; also as ``class=…``.
        attributes: nothing but ``class``.
    """
    if unknown := attributes.keys() - {"class"}:
        raise TemplateSyntaxError(f"grokvideo knows no option {', '.join(sorted(unknown))}.")
    clip = embed.clip_of(thing).sized(_pixels(width), _pixels(height))
    if picture := _address(poster):
        clip = replace(clip, poster=picture)
    options = embed.Options(
        autoplay=bool(autoplay),
        loop=bool(loop),
        muted=bool(muted),
        controls=bool(controls),
        preload=preload,
        css_class=css_class or attributes.get("class", ""),
        title=title,
        label=bool(label),
        placeholder=bool(placeholder),
    )
    return embed.render(clip, options)


def _address(poster: FieldFile | str | None) -> str:
    return embed.file_url(poster) if isinstance(poster, FieldFile) else embed.safe_url(poster or "")


def _pixels(value: int | str | None) -> int | None:
    """A whole number above zero, or nothing: a template's typing error must not break a page."""
    try:
        number = int(value or 0)
    except (TypeError, ValueError):
        return None
    return number if number > 0 else None
