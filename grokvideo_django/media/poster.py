"""One frame of a video as a JPEG, decoded by PyAV (the extra ``posters``)."""

from __future__ import annotations

import io
import time
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from PIL import Image, ImageStat

if TYPE_CHECKING:
    from collections.abc import Iterator

    import av

MAX_PACKETS = 2_000
MAX_FRAMES = 48  # two seconds at 24 a second: a fade from black is over
MAX_PIXELS = 4096 * 4096
MAX_SECONDS = 10.0
USEFUL_CONTRAST = 8.0  # standard deviation of the brightness (0 to 255); black, white and grey frames have less
JPEG_QUALITY = 85


def poster(path_or_file: str | Path | BinaryIO, *, max_width: int = 1280) -> bytes | None:
    """The first frame with something in it, as a JPEG at most ``max_width`` pixels wide.

    None without PyAV, and for a file that cannot be decoded within the limits above. A file is read from its
    beginning and not closed. Only the MP4 demuxer is used, over a file that is already open: no playlist in it can
    make FFmpeg open another.
    """
    try:
        import av  # noqa: PLC0415 - optional, and 50 MB of libraries that only a worker needs
    except ImportError:
        return None
    try:
        with _opened(path_or_file) as file:
            file.seek(0)
            with av.open(file, "r", format="mp4", container_options={"enable_drefs": "0"}) as container:
                image = _first_useful(_frames(container))
        return None if image is None else _jpeg(image, max_width)
    except (av.FFmpegError, ArithmeticError, LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError):
        return None  # not Exception: a worker's time-out is one


def _opened(path_or_file: str | Path | BinaryIO) -> AbstractContextManager[BinaryIO]:
    """A path is opened and closed; an open file is left open."""
    return Path(path_or_file).open("rb") if isinstance(path_or_file, str | Path) else nullcontext(path_or_file)


def _frames(container: av.container.InputContainer) -> Iterator[Image.Image]:
    """The first frames, until a limit is reached."""
    if not container.streams.video:
        return
    stream = container.streams.video[0]
    end = time.monotonic() + MAX_SECONDS
    if stream.width * stream.height > MAX_PIXELS:
        return
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}  # a stream may change its size halfway
    frames = (frame for packet in islice(container.demux(stream), MAX_PACKETS) for frame in packet.decode())
    for frame in islice(frames, MAX_FRAMES):
        yield frame.to_image()  # type: ignore[no-untyped-call]
        if time.monotonic() > end:
            return


def _first_useful(images: Iterator[Image.Image]) -> Image.Image | None:
    """The first with enough contrast, else the first at all."""
    first: Image.Image | None = None
    for image in images:
        if _contrast(image) >= USEFUL_CONTRAST:
            return image
        first = first or image
    return first


def _contrast(image: Image.Image) -> float:
    return ImageStat.Stat(image.resize((64, 64)).convert("L")).stddev[0]


def _jpeg(image: Image.Image, max_width: int) -> bytes:
    if image.width > max_width:
        image = image.resize((max_width, max(1, round(image.height * max_width / image.width))))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
