"""H.264 and AAC in an mp4 that browsers play: the pictures of ``pictures.py``, and a soft chord as sound."""

from __future__ import annotations

import hashlib
import math
from array import array
from typing import TYPE_CHECKING

import av

from grokvideo_django.sandbox.pictures import Scene, Sketch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from PIL import Image

    from grokvideo_django.sandbox.clips import Clip

FRAMES_A_SECOND = 24
SKETCHED_FRAMES_A_SECOND = 8
SAMPLES_A_SECOND = 44100
SAMPLES_A_FRAME = 1024
FADE_SECONDS = 0.25
CHORDS = ((220, 277, 330), (196, 247, 294), (175, 220, 262), (247, 311, 370), (165, 208, 247))
"""Whole numbers of hertz: one second of them can be repeated without a click."""


def shoot(clip: Clip, path: Path) -> None:
    """The clip as a person should see it: about a second of work for 5 s at 480p."""
    scene = Scene(clip)
    _write(clip, path, FRAMES_A_SECOND, scene.frame)


def sketch(clip: Clip, path: Path) -> None:
    """The same length and size with few, plain frames: for tests."""
    _write(clip, path, SKETCHED_FRAMES_A_SECOND, Sketch(clip).frame)


def _write(clip: Clip, path: Path, rate: int, frame: Callable[[float], Image.Image]) -> None:
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        options = {"preset": "ultrafast", "crf": "24", "tune": "zerolatency"}
        video = container.add_stream("libx264", rate=rate, options=options)
        video.width, video.height, video.pix_fmt = clip.width, clip.height, "yuv420p"
        video.codec_context.thread_count = 1
        audio = container.add_stream("aac", rate=SAMPLES_A_SECOND, layout="mono") if clip.sound else None
        for number in range(max(1, round(rate * clip.duration))):
            picture: av.VideoFrame = av.VideoFrame.from_image(frame(number / rate))  # type: ignore[no-untyped-call]
            picture = picture.reformat(format="yuv420p", interpolation="BILINEAR")
            picture.pts = number
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        if audio is not None:
            for sound in _sounds(clip):
                container.mux(audio.encode(sound))
            container.mux(audio.encode(None))


def _sounds(clip: Clip) -> Iterator[av.AudioFrame]:
    total = round(SAMPLES_A_SECOND * clip.duration)
    second = _second(clip.prompt)
    second += second[:SAMPLES_A_FRAME]
    fade = int(SAMPLES_A_SECOND * FADE_SECONDS)
    for start in range(0, total, SAMPLES_A_FRAME):
        count = min(SAMPLES_A_FRAME, total - start)
        offset = start % SAMPLES_A_SECOND
        samples = second[offset : offset + count]
        if start < fade or start + count > total - fade:
            for index in range(count):
                samples[index] *= min(1.0, (start + index) / fade, (total - start - index) / fade)
        sound = av.AudioFrame(format="fltp", layout="mono", samples=count)
        sound.sample_rate = SAMPLES_A_SECOND
        sound.pts = start
        plane = sound.planes[0]
        plane.update(samples.tobytes().ljust(plane.buffer_size, b"\0"))
        yield sound


def _second(prompt: str) -> array[float]:
    """One second of a quiet chord that breathes once; which one depends on the prompt."""
    chord = CHORDS[hashlib.sha256(prompt.encode(errors="replace")).digest()[0] % len(CHORDS)]
    turn = 2 * math.pi / SAMPLES_A_SECOND
    return array(
        "f",
        (
            (0.75 - 0.25 * math.cos(turn * n)) * 0.06 * sum(math.sin(turn * hertz * n) for hertz in chord)
            for n in range(SAMPLES_A_SECOND)
        ),
    )
