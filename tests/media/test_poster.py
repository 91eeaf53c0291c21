from __future__ import annotations

import io
import random
import sys

import pytest
from PIL import Image, ImageStat

from grokvideo_django.media import poster as module
from grokvideo_django.media.poster import poster
from tests.media.conftest import render


def picture(data: bytes | None) -> Image.Image:
    assert data is not None
    image = Image.open(io.BytesIO(data))
    assert image.format == "JPEG"
    return image


def contrast(image: Image.Image) -> float:
    return ImageStat.Stat(image.convert("L")).stddev[0]


def test_a_frame_of_a_file_and_of_a_path(films, tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(films["plain"])
    with path.open("rb") as file:
        file.seek(100)
        first = poster(file)
        assert not file.closed
    assert picture(first).size == (320, 180)
    assert poster(path) == poster(str(path)) == first


def test_it_is_no_wider_than_asked(films):
    assert picture(poster(io.BytesIO(films["fragmented"]), max_width=160)).size == (160, 90)
    assert picture(poster(io.BytesIO(films["plain"]), max_width=1)).size == (1, 1)


def test_a_fade_from_black_is_waited_for(films):
    assert contrast(picture(poster(io.BytesIO(films["fade_in"])))) > 20


def test_a_black_film_has_a_black_poster(films):
    assert contrast(picture(poster(io.BytesIO(films["black"])))) < module.USEFUL_CONTRAST


@pytest.mark.parametrize("limit", ["MAX_FRAMES", "MAX_SECONDS"])
def test_the_search_is_limited(films, limit, monkeypatch):
    monkeypatch.setattr(module, limit, 1 if limit == "MAX_FRAMES" else -1.0)
    assert contrast(picture(poster(io.BytesIO(films["fade_in"])))) < module.USEFUL_CONTRAST


def test_huge_pictures_are_not_decoded(films, monkeypatch):
    monkeypatch.setattr(module, "MAX_PIXELS", 319 * 180)
    assert poster(io.BytesIO(films["plain"])) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html></html>",
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomavc1",
        bytes(100_000),
    ],
)
def test_other_files_have_none(data):
    assert poster(io.BytesIO(data)) is None


def test_sound_alone_and_webm_have_none(films):
    assert poster(io.BytesIO(films["sound_only"])) is None
    assert poster(io.BytesIO(films["webm"])) is None


def test_a_file_that_is_not_there_has_none(tmp_path):
    assert poster(tmp_path / "missing.mp4") is None


def test_damaged_films_never_raise(films):
    rng = random.Random(7)  # a fixed seed: what a decoder does with damage is not ours to explore
    for name in ("plain", "fragmented"):
        for _ in range(40):
            data = bytearray(films[name])
            for _ in range(20):
                data[rng.randrange(len(data))] = rng.randrange(256)
            result = poster(io.BytesIO(bytes(data[: rng.randrange(len(data))])))
            assert result is None or result.startswith(b"\xff\xd8")


def test_without_pyav_there_is_none(films, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    assert poster(io.BytesIO(films["plain"])) is None


def test_a_tall_film_keeps_its_shape():
    tall = render(width=180, height=320, sound=False, seconds=0.5)
    assert picture(poster(io.BytesIO(tall), max_width=90)).size == (90, 160)
