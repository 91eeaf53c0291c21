"""What a POST asks for: the documented parameters, checked as the gateway checks them."""

from __future__ import annotations

import base64
import binascii
import io
import json
import re
from dataclasses import dataclass
from typing import Any

from PIL import Image

MODEL = "xai/grok-imagine-video"
ROUTED_MODEL = "sandbox/cheapest-video"
"""What the gateway's router picks when ``model`` is left out: some other model, as in reality."""

ASPECT_RATIOS = ("1:1", "16:9", "9:16", "4:3", "3:4", "3:2", "2:3")
RESOLUTIONS = {"480p": 480, "720p": 720}
MILLS_A_SECOND = {"480p": 50, "720p": 70}
"""Tenths of a cent a second: xAI's list price ($0.05 and $0.07)."""
MILLS_AN_IMAGE = 2
MAX_PROMPT_CHARACTERS = 16384
MAX_IMAGE_PIXELS = 50_000_000


class Refused(Exception):  # noqa: N818 - an answer, not an error of this program
    """An HTTP error in the gateway's shape; ``param`` is the name of the parameter that is wrong."""

    def __init__(
        self, status: int, message: str, *, param: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        """Keep what the answer needs."""
        super().__init__(message)
        self.status = status
        self.param = param
        self.headers = headers or {}


@dataclass(slots=True, frozen=True)
class Order:
    """A valid request. ``duration`` is in seconds; ``image`` the bytes of a ``data:`` URL, if one was sent."""

    model: str
    prompt: str
    duration: float
    aspect_ratio: str
    resolution: str
    image_url: str
    image: bytes

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels: the short side is 480 or 720, both are even."""
        across, down = (int(part) for part in self.aspect_ratio.split(":"))
        short = RESOLUTIONS[self.resolution]
        long = round(short * max(across, down) / min(across, down) / 2) * 2
        return (long, short) if across >= down else (short, long)

    @property
    def mills(self) -> int:
        """The price in tenths of a cent, a broken second counted in proportion and rounded."""
        return round(self.duration * MILLS_A_SECOND[self.resolution]) + (MILLS_AN_IMAGE if self.image_url else 0)


def read_payload(body: bytes) -> dict[str, Any]:
    """The JSON object of a POST. Raises :class:`Refused`."""
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(400, "The request body is not valid JSON.") from None
    if not isinstance(payload, dict):
        raise Refused(400, "The request body must be a JSON object.")
    return payload


def read_order(payload: dict[str, Any]) -> Order:
    """The order in *payload*. Raises :class:`Refused` with 400, or 404 for a model that nobody knows."""
    for name in ("model", "image_url", "webhook_url"):
        if not isinstance(payload.get(name, ""), str):
            raise Refused(400, f"'{name}' must be a string.", param=name)
    model = payload.get("model") or "auto"
    if model in ("auto", "auto/video"):
        model = ROUTED_MODEL
    elif model != MODEL:
        raise Refused(404, f"The model {model!r} does not exist.", param="model")
    prompt = payload.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        raise Refused(400, "'prompt' is required and must not be empty.", param="prompt")
    if len(prompt) > MAX_PROMPT_CHARACTERS:
        raise Refused(400, f"'prompt' is longer than {MAX_PROMPT_CHARACTERS} characters.", param="prompt")
    image_url = payload.get("image_url") or ""
    return Order(
        model=model,
        prompt=prompt,
        duration=_duration(payload.get("duration", 8)),
        aspect_ratio=_one_of("aspect_ratio", payload.get("aspect_ratio", "16:9"), ASPECT_RATIOS),
        resolution=_one_of("resolution", payload.get("resolution", "480p"), tuple(RESOLUTIONS)),
        image_url=image_url,
        image=_image(image_url),
    )


def _duration(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= 15:
        raise Refused(400, "'duration' must be a number of seconds from 1 to 15.", param="duration")
    return value


def _one_of(name: str, value: object, known: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in known:
        raise Refused(400, f"'{name}' must be one of {', '.join(known)}.", param=name)
    return value


def _image(url: object) -> bytes:
    """The bytes of a ``data:`` URL; nothing for http(s), which the sandbox does not fetch."""
    if url == "":
        return b""
    if isinstance(url, str) and url.startswith("data:image/"):
        kind, comma, data = url.partition(",")
        if comma and kind.endswith(";base64"):
            return _readable(data)
    elif isinstance(url, str) and re.match(r"https?://[^/\s]+", url):
        return b""
    raise Refused(400, "'image_url' must be an http(s) URL or data:image/…;base64,….", param="image_url")


def _readable(data: str) -> bytes:
    try:
        image = base64.b64decode(data, validate=True)
        with Image.open(io.BytesIO(image)) as opened:
            if opened.width * opened.height > MAX_IMAGE_PIXELS:
                raise Refused(400, f"The image has more than {MAX_IMAGE_PIXELS} pixels.", param="image_url")
    except (binascii.Error, OSError, ValueError, SyntaxError, Warning, Image.DecompressionBombError):
        raise Refused(400, "The image in 'image_url' cannot be read.", param="image_url") from None
    return image
