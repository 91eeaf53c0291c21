"""What a request must be before it may cost anything: the same sentences for the form and for ``services.start``."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from django.core.exceptions import FieldDoesNotExist, SuspiciousOperation, ValidationError
from django.core.validators import URLValidator
from django.db import models
from django.utils.translation import gettext as _
from PIL import Image, UnidentifiedImageError

from . import conf
from .exceptions import InvalidRequest
from .models import VideoRequest
from .models.requests import MAX_DURATION_SECONDS, MIN_DURATION_SECONDS

if TYPE_CHECKING:
    from django.core.files.base import File

Problem = tuple[str, str]
"""A field's name (empty: the site as a whole) and a sentence that says what to do."""

IMAGE_FORMATS: Final = ("JPEG", "PNG", "WEBP")
MAX_IMAGE_PIXELS: Final = 80_000_000
"""Below Pillow's own limit, so that its warning is never the only guard."""


def check(request: VideoRequest) -> None:
    """Refuse a request that cannot be sent.

    Raises:
        InvalidRequest: with a sentence for each problem, by field.
    """
    errors: dict[str, list[ValidationError]] = {}
    for name, sentence in problems(request):
        errors.setdefault(name or "__all__", []).append(ValidationError(sentence))
    if errors:
        raise InvalidRequest(errors)


def problems(request: VideoRequest) -> Iterator[Problem]:
    """All that is wrong with a request, and with the site for sending it."""
    yield from content_problems(request)
    yield from site_problems()


def content_problems(request: VideoRequest) -> Iterator[Problem]:
    """What its author can correct."""
    yield from _prompt(request.prompt)
    yield from _parameters(request)
    yield from _operation(request)
    yield from _image(request)
    yield from _target(request)


def site_problems() -> Iterator[Problem]:
    """What only the site's developer can correct."""
    settings = conf.current()
    if not settings.API_KEY.strip():
        yield (
            "",
            _(
                "This site has no key for the gateway, so nothing can be generated. Nothing was charged; its developer "
                'sets GROKVIDEO["API_KEY"] or the environment variable AIGATEWAY_API_KEY.'
            ),
        )
    if not _is_web_address(settings.BASE_URL):
        yield (
            "",
            _(
                "The gateway's address is not a web address, so nothing can be generated. Nothing was charged; the "
                'site\'s developer corrects GROKVIDEO["BASE_URL"], for example to https://api.aigateway.sh/v1.'
            ),
        )


def _is_web_address(address: str) -> bool:
    try:
        url = urlsplit(address)
        return url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:  # half an IPv6 address, or a port beyond all ports
        return False


def _prompt(prompt: str) -> Iterator[Problem]:
    limit = conf.current().MAX_PROMPT_LENGTH
    if not prompt.strip():
        yield "prompt", _("Describe the video: a subject, what happens, where, and how it is filmed.")
    elif "\0" in prompt:
        yield "prompt", _("The prompt has a character that cannot be sent (NUL). Remove it.")
    elif len(prompt) > limit:
        yield (
            "prompt",
            _("The prompt has %(length)d characters; at most %(limit)d can be sent. Shorten it by %(excess)d.")
            % {"length": len(prompt), "limit": limit, "excess": len(prompt) - limit},
        )


def _parameters(request: VideoRequest) -> Iterator[Problem]:
    seconds = request.duration_seconds
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        yield "duration_seconds", _("The duration is a whole number of seconds.")
    elif not MIN_DURATION_SECONDS <= seconds <= MAX_DURATION_SECONDS:
        yield (
            "duration_seconds",
            _("A video lasts %(low)d to %(high)d seconds; choose a duration between them.")
            % {"low": MIN_DURATION_SECONDS, "high": MAX_DURATION_SECONDS},
        )
    yield from _choice("aspect_ratio", request.aspect_ratio, VideoRequest.AspectRatio.values)
    yield from _choice("resolution", request.resolution, VideoRequest.Resolution.values)
    yield from _choice("mode", request.mode, ["", *VideoRequest.Mode.values])


def _choice(name: str, value: str, allowed: list[str]) -> Iterator[Problem]:
    if value not in allowed:
        yield (
            name,
            _("%(value)r is not offered; choose one of %(allowed)s.")
            % {"value": value, "allowed": ", ".join(filter(None, allowed))},
        )


def _operation(request: VideoRequest) -> Iterator[Problem]:
    operation = request.operation
    if operation in {VideoRequest.Operation.EXTEND, VideoRequest.Operation.EDIT}:
        yield "operation", _("This gateway makes videos from text or from an image only; it cannot extend or edit one.")
    elif operation == VideoRequest.Operation.IMAGE and not request.has_image:
        yield "image", _("A video from an image needs the image: upload one, or give its address.")
    else:
        yield from _choice("operation", operation, VideoRequest.Operation.values)


def _image(request: VideoRequest) -> Iterator[Problem]:
    if request.image and request.image_url:
        yield "image_url", _("Give either an image or an image's address, not both.")
    if request.image:
        yield from _image_file(request.image)
    if request.image_url:
        try:
            URLValidator(schemes=["http", "https"])(request.image_url)
        except ValidationError:
            yield "image_url", _("The image's address must be a full web address that begins with https://.")


def _image_file(image: File[bytes]) -> Iterator[Problem]:
    limit = conf.current().MAX_IMAGE_BYTES
    try:
        if image.size > limit:
            yield (
                "image",
                _("The image is %(size).1f MB; at most %(limit).1f MB can be sent. Use a smaller one.")
                % {"size": image.size / 1e6, "limit": limit / 1e6},
            )
            return
        kind = image_format(image)
    except (OSError, SuspiciousOperation):
        yield "image", _("The image's file cannot be read any more. Upload it again.")
        return
    if kind is None:
        yield "image", _("This file is not an image that can be sent. Use a JPEG, PNG or WebP file.")


def image_format(image: File[bytes]) -> str | None:
    """``JPEG``, ``PNG`` or ``WEBP`` if the bytes are such an image, else None.

    Raises:
        OSError: the file cannot be read.
    """
    was_closed = image.closed
    if was_closed:
        image.open("rb")
    image.seek(0)
    try:
        return _format_of(image)
    finally:
        if was_closed:
            image.close()
        else:
            image.seek(0)


def _format_of(image: File[bytes]) -> str | None:
    try:
        with Image.open(image, formats=IMAGE_FORMATS) as picture:
            if picture.width * picture.height > MAX_IMAGE_PIXELS:
                return None
            # A phone's JPEG may hold a second picture, and is a JPEG all the same.
            kind = "JPEG" if picture.format == "MPO" else picture.format
            if kind == "JPEG":  # verify() does not read on past its header
                picture.draft("RGB", (1, 1))
                picture.load()
            else:
                picture.verify()
    except (UnidentifiedImageError, Image.DecompressionBombError, Image.DecompressionBombWarning, SyntaxError):
        return None
    except (OSError, ValueError, IndexError, EOFError, struct.error, zlib.error):  # truncated or broken
        return None
    return kind


def _target(request: VideoRequest) -> Iterator[Problem]:
    content_type = request.target_content_type
    if content_type is None:
        if request.target_field:
            yield "target_field", _("A target field needs a target: choose the object that gets the video.")
        return
    model = content_type.model_class()
    if model is None:
        yield "target_content_type", _("This kind of target does not exist on this site any more. Choose another.")
    elif not request.target_object_id or not request.target_field:
        yield "target_field", _("A target needs its id and the name of the field that gets the video.")
    elif not is_attachable(model, request.target_field):
        yield (
            "target_field",
            _("%(model)s has no field %(field)s that can take a video: a file field, a URL field, or a foreign key to "
              "a video request.") % {"model": model._meta.verbose_name, "field": request.target_field},
        )  # fmt: skip
    elif isinstance(model._meta.get_field(request.target_field), models.URLField) and not _has_absolute_address():
        yield (
            "target_field",
            _(
                "This field takes an absolute web address, and the site does not say where it is. Choose another "
                'field; or the site\'s developer sets GROKVIDEO["SITE_URL"], or installs django.contrib.sites.'
            ),
        )


def _has_absolute_address() -> bool:
    """Whether a stored video will have an absolute and permanent address."""
    if conf.site_url():
        return True
    try:
        url = VideoRequest._meta.get_field("video").storage.url("video.mp4")
    except (NotImplementedError, ValueError):  # the storage is not on the web
        return False
    return bool(urlsplit(url).netloc) and not is_signed(url)


def is_signed(url: str) -> bool:
    """Whether an address expires: a query is a signature, and signatures do."""
    return bool(urlsplit(url).query)


def is_attachable(model: type[models.Model], name: str) -> bool:
    """Whether a video can be attached to this field."""
    try:
        field = model._meta.get_field(name)
    except FieldDoesNotExist:
        return False
    if isinstance(field, models.ForeignKey):
        return field.related_model._meta.concrete_model is VideoRequest
    return isinstance(field, models.FileField | models.URLField) and not isinstance(field, models.ImageField)
