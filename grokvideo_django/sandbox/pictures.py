"""What a clip looks like: a drifting field of colour (or the input image), slow lights, the prompt, a running time."""

from __future__ import annotations

import colorsys
import hashlib
import io
import math
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from grokvideo_django.sandbox.faults import without_markers

if TYPE_CHECKING:
    from grokvideo_django.sandbox.clips import Clip

Colour = tuple[int, int, int]
Overlay = tuple[Image.Image, tuple[int, int]]
"""A picture with transparency, and where its upper left corner belongs."""
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

OVERSCAN = 1.12
"""The background is so much larger than the frame, which drifts over it."""
DRAWN_CHARACTERS = 1500
"""More than fits at the smallest size."""
FONTS = ("DejaVuSans-Bold.ttf", "Arial Bold.ttf", "arialbd.ttf")
"""Sought on the system, for scripts that Pillow's own font lacks; that one is used where none is found."""


class Scene:
    """All that is drawn once: background, lights, text. :meth:`frame` puts them together for one moment."""

    def __init__(self, clip: Clip) -> None:
        """Draw what does not move."""
        self.clip = clip
        self._seed = hashlib.sha256(clip.prompt.encode(errors="replace")).digest()
        self._unit = min(clip.width, clip.height) / 480
        self._palette = _palette(self._seed)
        wide = (round(clip.width * OVERSCAN), round(clip.height * OVERSCAN))
        self._background = _photograph(clip.image, wide) if clip.image else _colours(self._palette, self._seed, wide)
        self._lights = [_light(self._palette[-1], round(size * self._unit)) for size in (230, 150, 90)]
        self._overlays = [self._draw_prompt(), self._draw_label()]
        self._small = _font(round(17 * self._unit))

    def frame(self, second: float) -> Image.Image:
        """The picture at *second*."""
        clip, part = self.clip, second / self.clip.duration
        spare_x, spare_y = self._background.width - clip.width, self._background.height - clip.height
        left = round(spare_x * (0.5 - 0.5 * math.cos(math.pi * part)))
        top = round(spare_y * (0.5 - 0.5 * math.sin(math.pi * part)))
        picture = self._background.crop((left, top, left + clip.width, top + clip.height))
        for index, light in enumerate(self._lights):
            angle = 2 * math.pi * (part * (0.5 + 0.3 * index) + self._seed[index] / 256)
            x = clip.width * (0.5 + 0.46 * math.cos(angle)) - light.width / 2
            y = clip.height * (0.5 + 0.40 * math.sin(angle * 1.3 + index)) - light.height / 2
            picture.paste(light, (round(x), round(y)), light)
        for overlay, place in self._overlays:
            picture.paste(overlay, place, overlay)
        self._draw_time(picture, second)
        return picture

    def _draw_prompt(self) -> Overlay:
        """The prompt in the middle, as large as it fits, on a soft shadow."""
        clip, unit = self.clip, self._unit
        text = without_markers(clip.prompt)[:DRAWN_CHARACTERS] or "…"
        font, block = _fit(text, clip.width - round(84 * unit), round(clip.height * 0.6), unit)
        gap, middle = round(8 * unit), (clip.width / 2, clip.height / 2)

        def write(draw: ImageDraw.ImageDraw, colour: int | tuple[int, ...], stroke: int = 0) -> None:
            draw.multiline_text(middle, block, colour, font, "mm", gap, "center", stroke_width=stroke)

        shade = Image.new("L", (clip.width, clip.height), 0)
        write(ImageDraw.Draw(shade), 255, round(2 * unit))
        shade = shade.filter(ImageFilter.GaussianBlur(10 * unit)).point(lambda value: min(130, value * 0.9))
        overlay = Image.new("RGBA", (clip.width, clip.height), (0, 0, 0, 0))
        overlay.putalpha(shade)
        write(ImageDraw.Draw(overlay), (255, 255, 255, 255))
        return _trimmed(overlay)

    def _draw_label(self) -> Overlay:
        """A label that says that no model made this."""
        clip, margin = self.clip, round(28 * self._unit)
        overlay = Image.new("RGBA", (clip.width, clip.height), (0, 0, 0, 0))
        draw, font = ImageDraw.Draw(overlay), _font(round(15 * self._unit))
        text = f"SANDBOX  ·  {min(clip.width, clip.height)}p  ·  {clip.width}×{clip.height}"  # noqa: RUF001 - the sign of sizes
        left, top, right, bottom = draw.textbbox((margin, margin), text, font)
        pad = round(8 * self._unit)
        box = (left - pad, top - pad, right + pad, bottom + pad)
        draw.rounded_rectangle(box, radius=pad * 2, fill=(0, 0, 0, 120))
        draw.text((margin, margin), text, (255, 255, 255, 235), font)
        return _trimmed(overlay)

    def _draw_time(self, picture: Image.Image, second: float) -> None:
        clip, unit = self.clip, self._unit
        draw = ImageDraw.Draw(picture)
        margin, thick = round(28 * unit), max(2, round(4 * unit))
        line = clip.height - round(24 * unit)
        end = margin + (clip.width - 2 * margin) * second / clip.duration
        draw.rounded_rectangle((margin, line, clip.width - margin, line + thick), thick / 2, fill=(70, 70, 80))
        draw.rounded_rectangle((margin, line, max(end, margin + thick), line + thick), thick / 2, fill=(255, 255, 255))
        text = f"{second:.1f} / {clip.duration:g} s"
        where = (clip.width - margin, line - round(8 * unit))
        draw.text(where, text, (255, 255, 255), self._small, anchor="rs", stroke_width=1, stroke_fill=(20, 20, 30))


class Sketch:
    """A plain background and a bar that moves: quick to draw and to encode, and no two frames are the same."""

    def __init__(self, clip: Clip) -> None:
        """Nothing is drawn yet."""
        self._clip = clip
        self._background = Image.new("RGB", (clip.width, clip.height), (40, 60, 90))

    def frame(self, second: float) -> Image.Image:
        """The picture at *second*."""
        clip = self._clip
        picture = self._background.copy()
        left = round((clip.width - 48) * second / clip.duration)
        ImageDraw.Draw(picture).rectangle(
            (left, clip.height // 3, left + 47, clip.height * 2 // 3), fill=(240, 200, 90)
        )
        return picture


def _trimmed(overlay: Image.Image) -> Overlay:
    """Without the empty space around it: less to paste into each frame."""
    box = overlay.getbbox() or (0, 0, 1, 1)
    return overlay.crop(box), (box[0], box[1])


def _palette(seed: bytes) -> list[Colour]:
    """Four deep colours that go together, and a light one."""
    hue = seed[0] / 256
    shades = [(0.0, 0.72, 0.78), (0.08, 0.78, 0.62), (0.60, 0.65, 0.55), (0.68, 0.70, 0.28), (0.06, 0.30, 1.0)]
    return [_colour((hue + turn) % 1, saturation, value) for turn, saturation, value in shades]


def _colour(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def _colours(palette: list[Colour], seed: bytes, size: tuple[int, int]) -> Image.Image:
    """A soft mesh of the palette: each cell is nearest to the colour whose place is nearest."""
    across, down = 40, 24
    places = [(seed[2 * n + 1] / 256, seed[2 * n + 2] / 256) for n in range(4)]
    mesh = Image.new("RGB", (across, down))
    for index in range(across * down):
        x, y = index % across / across, index // across / down
        weights = [1 / (0.02 + (x - px) ** 2 + (y - py) ** 2) ** 1.6 for px, py in places]
        total = sum(weights)
        mixed = [sum(w * c[band] for w, c in zip(weights, palette, strict=False)) / total for band in range(3)]
        mesh.putpixel((index % across, index // across), (round(mixed[0]), round(mixed[1]), round(mixed[2])))
    return mesh.resize(size, Image.Resampling.BICUBIC)


def _photograph(image: bytes, size: tuple[int, int]) -> Image.Image:
    """The input image, filling the frame, a little darker so that text can be read on it."""
    with Image.open(io.BytesIO(image)) as opened:
        picture = ImageOps.exif_transpose(opened).convert("RGB")
    return ImageOps.fit(picture, size, Image.Resampling.LANCZOS).point(lambda value: value * 0.85)


def _light(colour: Colour, size: int) -> Image.Image:
    """A round glow with soft edges."""
    glow = Image.radial_gradient("L").resize((size, size)).point(lambda value: max(0, 150 - value) * 0.75)
    light = Image.new("RGBA", (size, size), (*colour, 0))
    light.putalpha(glow)
    return light


def _font(size: int) -> Font:
    for name in FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def _fit(text: str, width: int, height: int, unit: float) -> tuple[Font, str]:
    """The largest font in which *text* fits the box, and its lines; what is too long for the smallest ends with …."""
    for size in (44, 38, 32, 27, 23):
        font, lines, fitting = _try_size(text, width, height, size * unit)
        if len(lines) <= fitting:
            return font, "\n".join(lines)
    font, lines, fitting = _try_size(text, width, height, 20 * unit)
    if len(lines) > fitting:
        lines = [*lines[: fitting - 1], lines[fitting - 1].rstrip(" .,") + "…"]
    return font, "\n".join(lines)


def _try_size(text: str, width: int, height: int, size: float) -> tuple[Font, list[str], int]:
    """The font of *size*, the lines of *text* in it, and how many of them fit."""
    font = _font(round(size))
    return font, _wrap(text, font, width), int(height / (size * 1.35))


def _wrap(text: str, font: Font, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width:
            lines[-1] = longer
            continue
        if lines[-1]:
            lines.append("")
        for letter in word:  # a word wider than the box (or a script without spaces) is broken
            if font.getlength(lines[-1] + letter) > width:
                lines.append("")
            lines[-1] += letter
    return lines
