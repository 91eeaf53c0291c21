"""Bodies that no client should swallow: endless, huge, dripping, cut, packed twice."""

from __future__ import annotations

import functools
import itertools
import zlib
from typing import TYPE_CHECKING

from grokvideo_django.sandbox.wire import Hangup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MP4_HEAD = b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41" + b"\0\0\0\0mdat"
"""What makes a file look like an mp4: its type, then a data box that goes on to the end."""
ZEROS = bytes(64 * 1024)


def endless() -> Iterator[bytes]:
    """Never ends."""
    return itertools.chain([MP4_HEAD], itertools.repeat(ZEROS))


def big(length: int) -> Iterator[bytes]:
    """*length* bytes, never more than 64 kB of them in memory."""
    yield MP4_HEAD[:length]
    length -= len(MP4_HEAD)
    while length > 0:
        yield ZEROS[:length]
        length -= len(ZEROS)


def drip(wait: Callable[[float], None], pieces: Iterator[bytes]) -> Iterator[bytes]:
    """One byte a second."""
    for piece in pieces:
        for index in range(len(piece)):
            yield piece[index : index + 1]
            wait(1)


def cut(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """All *pieces*, and then no connection."""
    yield from pieces
    raise Hangup


@functools.lru_cache(maxsize=4)
def double_gzip(megabytes: int) -> bytes:
    """So many MB of zeros behind an mp4's head, gzipped twice: some hundred bytes."""
    inner, outer = (zlib.compressobj(9, zlib.DEFLATED, 31) for _ in range(2))
    packed = [outer.compress(inner.compress(MP4_HEAD))]
    million = bytes(1_000_000)
    packed += [outer.compress(inner.compress(million)) for _ in range(megabytes)]
    packed += [outer.compress(inner.flush()), outer.flush()]
    return b"".join(packed)


def svg() -> bytes:
    """A picture that would run a script where it is shown."""
    return b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(document.domain)</script></svg>'
