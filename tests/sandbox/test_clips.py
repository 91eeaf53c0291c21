"""The clips are real: played back with PyAV, looked at, listened to."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import time
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image, ImageFont

from grokvideo_django.sandbox import Sandbox, film, pictures
from grokvideo_django.sandbox.clips import Clip, MissingExtraError, Studio
from grokvideo_django.sandbox.wire import Hangup
from tests.sandbox.conftest import Api


def frames(path: Path, *numbers: int) -> list[Image.Image]:
    with av.open(str(path)) as container:
        decoded = enumerate(container.decode(video=0))
        return [frame.to_image() for number, frame in decoded if number in numbers]


def red_png() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (90, 60), (250, 10, 10)).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize("make", [film.shoot, film.sketch])
@pytest.mark.parametrize(("size", "seconds"), [((854, 480), 2), ((480, 480), 1.5), ((720, 1280), 1)])
def test_what_a_player_sees(make: Any, size: tuple[int, int], seconds: float, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    make(Clip("A fox in the snow", seconds, *size), path)
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (video.width, video.height) == size
        assert audio.codec_context.name == "aac"
        for stream in (video, audio):
            assert float(stream.duration * stream.time_base) == pytest.approx(seconds, abs=0.1)
        assert container.duration / av.time_base == pytest.approx(seconds, abs=0.1)
        if make is film.shoot:
            assert video.average_rate == 24
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # faststart
    first, last = frames(path, 0, 7)
    assert first.tobytes() != last.tobytes()


def test_it_can_be_heard(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    film.shoot(Clip("A fox", 1, 480, 480), path)
    with av.open(str(path)) as container:
        # A plane may be larger than its samples, and old PyAV shows all of it.
        planes = [bytes(frame.planes[0])[: 4 * frame.samples] for frame in container.decode(audio=0)]
    samples = memoryview(b"".join(planes)).cast("f")
    assert 0.03 < max(samples) < 0.6


def test_silence(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    film.sketch(Clip("A fox", 1, 480, 480, sound=False), path)
    with av.open(str(path)) as container:
        assert not container.streams.audio


def test_an_image_is_the_background() -> None:
    clip = Clip("x", 2, 640, 480, red_png())
    red, green, blue = pictures.Scene(clip).frame(0).getpixel((320, 100))  # type: ignore[misc]
    assert red > 150 > 60 > max(green, blue)


def test_prompts_look_different() -> None:
    assert len({pictures.Scene(Clip(p, 2, 640, 480)).frame(0).tobytes() for p in ("a fox", "a wolf")}) == 2


@pytest.mark.parametrize(
    "prompt",
    [
        "word " * 600,
        "word " * 91,
        "x" * 900,
        "",
        "[sandbox:fail]",
        "雪の中を走る赤い狐。" * 40,
        "ثعلب في الثلج",
        "\ud800",
    ],
)
def test_any_prompt_can_be_drawn(prompt: str) -> None:
    for size in ((854, 480), (480, 854)):
        assert pictures.Scene(Clip(prompt, 1, *size)).frame(1).size == size


def test_without_a_font_on_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(ImageFont, "truetype", missing)
    monkeypatch.setattr(ImageFont, "load_default", lambda size: ImageFont.load_default_imagefont())
    assert pictures.Scene(Clip("A fox", 1, 640, 480)).frame(0)


class TestStudio:
    def test_a_hundred_equal_requests_cost_one_render(self, tmp_path: Path) -> None:
        made: list[Clip] = []

        def make(clip: Clip, path: Path) -> None:
            made.append(clip)
            path.write_bytes(b"x")

        studio = Studio(tmp_path, make)
        clips = [Clip("a fox", 5, 640, 480) for _ in range(100)]
        assert len({studio.prepare(clip) for clip in clips}) == 1
        studio.path(Clip("a wolf", 5, 640, 480))
        studio.close()
        assert len(made) == studio.rendered == 2
        again = Studio(tmp_path, make)
        again.path(clips[0])
        again.close()
        assert (len(made), again.rendered) == (2, 0)

    def test_fast_clips_are_the_same_for_every_prompt(self) -> None:
        with Sandbox(fast_clips=True, read_interval=0) as sandbox:
            api = Api(sandbox)
            contents = {hashlib.sha256(api.media(api.job(prompt)).content).digest() for prompt in ("fox", "wolf")}
            assert len(contents) == 1
            assert sandbox.state()["rendered_clips"] == 1
            api.close()

    def test_the_file_can_last_otherwise(self) -> None:
        with Sandbox(fast_clips=True) as sandbox:
            api = Api(sandbox)
            content = api.media(api.job("[sandbox:clip-duration=2 silent]", duration=1)).content
            with av.open(io.BytesIO(content)) as container:
                assert container.duration / av.time_base == pytest.approx(2, abs=0.1)
                assert not container.streams.audio
            api.close()

    def test_it_closes_with_a_queue(self, tmp_path: Path) -> None:
        def slow(clip: Clip, path: Path) -> None:
            time.sleep(0.05)
            path.write_bytes(b"x")

        studio = Studio(tmp_path, slow)
        futures = [studio.prepare(Clip(str(n), 1, 480, 480)) for n in range(50)]
        studio.cancel()
        with pytest.raises(Hangup):
            studio.path(Clip("new", 1, 480, 480))
        studio.close()
        assert sum(future.cancelled() for future in futures) > 40

    def test_who_waits_is_let_go(self, tmp_path: Path) -> None:
        studio = Studio(tmp_path, lambda clip, path: None)
        future = studio.prepare(Clip("a", 1, 480, 480))
        future.exception()  # done, since the file is missing
        studio._rendering = {name: type(future)() for name in studio._rendering}
        for waiting in studio._rendering.values():
            waiting.cancel()
        with pytest.raises(Hangup):
            studio.path(Clip("a", 1, 480, 480))
        studio.close()

    def test_a_missing_extra_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        with pytest.raises(MissingExtraError, match=r"grokvideo-django\[sandbox\]"):
            Sandbox()
        Studio(tmp_path, lambda clip, path: None).close()

    def test_a_clip_that_cannot_be_rendered(self, caplog: pytest.LogCaptureFixture) -> None:
        def broken(clip: Clip, path: Path) -> None:
            raise RuntimeError("no film")

        with Sandbox(clips=broken) as sandbox:
            api = Api(sandbox)
            answer = api.media(api.job())
            assert answer.status_code == 500
            assert "no film" in answer.json()["error"]["message"]
            api.close()
        assert "could not answer" in caplog.text
