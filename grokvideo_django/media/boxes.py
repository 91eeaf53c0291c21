"""The boxes of an ISO base media file (ISO/IEC 14496-12), walked over within limits.

A box is a 32-bit size, a type of four bytes and its content; size 1 means that a 64-bit size follows, and size 0
that the box runs to the end of the file. No size is trusted: every box must lie inside the one that holds it, and
all that is wrong raises MediaRefused. Nothing here is recursive, and nothing reads more than a piece at once.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, NoReturn

from ..exceptions import MediaRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BOXES = 50_000  # 15 s in fragments of one frame, with sound, have fewer than 10,000
PIECE_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Box:
    """``start`` and ``end`` are offsets of the content in the file."""

    kind: bytes
    start: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.start


class Boxes:
    """The boxes of a file, within limits."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        file.seek(0, os.SEEK_END)
        self.file_size = file.tell()
        self._boxes_left = MAX_BOXES

    def read(self, start: int, length: int) -> bytes:
        """Exactly these bytes. The caller keeps ``length`` small."""
        self._file.seek(start)
        data = self._file.read(length)
        if len(data) < length:
            refuse("it is cut off")
        return data

    def content(self, box: Box, length: int, offset: int = 0) -> bytes:
        """The bytes of a box's content from ``offset``; they must lie in the box."""
        if offset + length > box.size:
            refuse(f"its {name(box.kind)} box is too short")
        return self.read(box.start + offset, length)

    def pieces(self, box: Box, offset: int, length: int) -> Iterator[bytes]:
        """As ``content``, however long, in pieces that hold whole 32-bit numbers as long as ``length`` does."""
        if offset + length > box.size:
            refuse(f"its {name(box.kind)} box is too short")
        for position in range(offset, offset + length, PIECE_BYTES):
            yield self.read(box.start + position, min(PIECE_BYTES, offset + length - position))

    def within(self, start: int, end: int, *, top: bool = False) -> Iterator[Box]:
        """The boxes between two offsets, one after the other. Only on top may one run to the end of the file."""
        while start < end:
            box = self._box_at(start, end, top=top)
            yield box
            start = box.end

    def children(self, box: Box) -> dict[bytes, Box]:
        """The first box of each type inside another."""
        found: dict[bytes, Box] = {}
        for child in self.within(box.start, box.end):
            found.setdefault(child.kind, child)
        return found

    def _box_at(self, start: int, end: int, *, top: bool) -> Box:
        self._boxes_left -= 1
        if self._boxes_left < 0:
            refuse(f"it holds more than {MAX_BOXES} boxes")
        if end - start < 8:
            refuse("it is cut off or damaged")
        size, kind = struct.unpack(">I4s", self.read(start, 8))
        header = 8
        if size == 1:
            header = 16
            (size,) = struct.unpack(">Q", self.read(start + 8, 8))
        elif size == 0 and top:
            size = end - start
        if size < header:
            refuse(f"its {name(kind)} box has an impossible size")
        if start + size > end:
            refuse(f"it is cut off or damaged in its {name(kind)} box")
        return Box(kind, start + header, start + size)


def need(parts: dict[bytes, Box], kind: bytes) -> Box:
    if kind not in parts:
        refuse(f"its {name(kind)} box is missing")
    return parts[kind]


def name(kind: bytes) -> str:
    """Four bytes as letters; what is no visible ASCII becomes a question mark."""
    return "".join(chr(byte) if 32 <= byte < 127 else "?" for byte in kind)


def refuse(reason: str) -> NoReturn:
    raise MediaRefused(f"The file is not a video that can be used: {reason}.")
