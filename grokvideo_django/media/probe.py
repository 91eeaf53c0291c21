"""What an MP4 file says about itself, read without a decoder.

The file is hostile input, so: only known paths from box to box are followed, the number of boxes and of samples is
limited, ``mdat`` is never read, tables are read in pieces, and all that is wrong raises MediaRefused. Source of
every offset: ISO/IEC 14496-12 (8.2 to 8.8); the names of boxes are its names.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

from .boxes import Box, Boxes, name, need, refuse

MAX_SAMPLES = 2_000_000
MAX_DURATION_SECONDS = 24 * 3600
MAX_SIDE_PIXELS = 16_384

# Brands of ISO files that hold films; those of still images (mif1, avif, heic) are absent.
_BRANDS = {
    *b"isom iso2 iso3 iso4 iso5 iso6 iso7 iso8 iso9 mp41 mp42 mp71 avc1 hvc1 av01 M4VH M4VP MSNV".split(),
    *b"dash msdh msix cmfc cmf2 3gp4 3gp5 3gp6 3gp7".split(),
    b"M4V ",
    b"qt  ",
}
# How other answers begin, in lower case.
_TEXTS = {
    b"<!doctype html": "a web page",
    b"<head": "a web page",
    b"<body": "a web page",
    b"<script": "a web page",
    b"<": "an XML document",
    b"{": "a JSON answer",
    b"[": "a JSON answer",
}
_CODECS = {
    "avc1": "h264",
    "avc3": "h264",
    "hvc1": "hevc",
    "hev1": "hevc",
    "av01": "av1",
    "vp08": "vp8",
    "vp09": "vp9",
    "mp4v": "mpeg4",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoInfo:
    """A video's first picture track. Sizes are in pixels, as encoded; a codec unknown here keeps its four letters."""

    duration_seconds: float
    width: int
    height: int
    has_audio: bool
    video_codec: str


def probe(file: BinaryIO) -> VideoInfo:
    """Read a seekable file from its beginning, whatever its position; where that is afterwards is not defined.

    Raises MediaRefused, with a sentence that says what the file is instead, for anything but a complete MP4 (or
    QuickTime) file with pictures; OSError only when the file itself cannot be read.
    """
    boxes = Boxes(file)
    layout = _read_layout(boxes)
    movie = _read_movie(boxes, layout.moov)
    for moof in layout.moofs:
        _read_fragment(boxes, moof, movie)
    _check_complete(movie, layout)
    return _describe(movie)


@dataclass(slots=True)
class _Layout:
    """What lies on the top level of the file."""

    moov: Box
    moofs: list[Box]
    mdat_bytes: int


@dataclass(slots=True)
class _Track:
    """Times are in units of the timescale."""

    kind: bytes
    timescale: int
    duration: int
    samples: int
    sample_bytes: int
    width: int = 0
    height: int = 0
    codec: str = ""
    clock: int = 0
    """Where the next sample of a fragment begins."""
    origin: int | None = None
    """What the fragments call the beginning of the track."""

    @property
    def duration_seconds(self) -> float:
        return self.duration / self.timescale

    def move_to(self, time: int) -> None:
        """A fragment says when it begins. The first may be late: a part of a stream is as long as the part."""
        if self.origin is None:
            self.origin = 0 if self.samples else time
        self.clock = time - self.origin

    def advance(self, units: int) -> None:
        self.clock += units
        self.duration = max(self.duration, self.clock)


@dataclass(slots=True)
class _Movie:
    tracks: dict[int, _Track]
    default_durations: dict[int, int]  # of a fragment's samples, by track
    promised_seconds: float  # what a fragmented file says its fragments last, or 0
    samples_left: int = MAX_SAMPLES

    def count(self, samples: int) -> None:
        self.samples_left -= samples
        if self.samples_left < 0:
            refuse(f"it holds more than {MAX_SAMPLES} samples")


def _read_layout(boxes: Boxes) -> _Layout:
    """The top level, in one pass. Raises MediaRefused for what is no MP4 at all, is cut off, or has no content."""
    _check_beginning(boxes)
    moovs: list[Box] = []
    moofs: list[Box] = []
    mdat_bytes, waiting = 0, False
    for box in boxes.within(0, boxes.file_size, top=True):
        if box.kind == b"moov":
            moovs.append(box)
        elif box.kind == b"moof":
            moofs.append(box)
            waiting = True
        elif box.kind == b"mdat":
            mdat_bytes += box.size
            waiting = False
    if len(moovs) != 1:
        refuse("it has no table of contents, as if it were cut off" if not moovs else "it has two tables of contents")
    if not mdat_bytes or waiting:
        refuse("it has no pictures in it, as if it were cut off")
    return _Layout(moovs[0], moofs, mdat_bytes)


def _check_beginning(boxes: Boxes) -> None:
    """The first box must be an ``ftyp`` that names a film's brand. What else it is, is said."""
    head = boxes.read(0, min(512, boxes.file_size))
    if head[4:8] != b"ftyp":
        refuse(f"it is {_guess(head)}")
    first = next(boxes.within(0, boxes.file_size))
    content = boxes.content(first, min(first.size, 1024))
    brands = {content[:4], *(content[at : at + 4] for at in range(8, len(content), 4))}
    if not brands & _BRANDS:
        refuse("it is an ISO media file of another kind, such as an image")


def _guess(head: bytes) -> str:
    """What a file that begins like this is, for a person."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not text:
        return "empty"
    if head.startswith((b"\x1aE\xdf\xa3", b"RIFF", b"OggS", b"FLV")):  # WebM and Matroska; AVI and WebP; Ogg; Flash
        return "a media file of another kind; MP4 is needed"
    if b"<html" in text:
        return "a web page"
    if b"<svg" in text:
        return "an SVG image"
    return next((name for start, name in _TEXTS.items() if text.startswith(start)), "not in the MP4 format")


def _read_movie(boxes: Boxes, moov: Box) -> _Movie:
    movie = _Movie({}, {}, 0.0)
    timescale, mvex = 0, None
    for box in boxes.within(moov.start, moov.end):
        if box.kind == b"mvhd":
            timescale, _ = _read_times(boxes, box)
        elif box.kind == b"mvex":
            mvex = box
        elif box.kind == b"trak":
            _read_track(boxes, box, movie)
    if mvex is not None:
        _read_fragment_defaults(boxes, mvex, timescale, movie)
    return movie


def _read_track(boxes: Boxes, trak: Box, movie: _Movie) -> None:
    """Add a track of pictures or sound; any other kind (subtitles, time codes) is passed over."""
    parts = boxes.children(trak)
    media = boxes.children(need(parts, b"mdia"))
    kind = boxes.content(need(media, b"hdlr"), 4, offset=8)
    if kind not in {b"vide", b"soun"}:
        return
    table = boxes.children(need(boxes.children(need(media, b"minf")), b"stbl"))
    timescale, duration = _read_times(boxes, need(media, b"mdhd"))
    samples, sample_bytes = _read_sizes(boxes, table, movie)
    # Some packagers write the whole duration into a track whose samples all come in fragments: those are summed.
    duration = duration if samples else 0
    track = _Track(kind, timescale, duration, samples, sample_bytes, clock=duration)
    if kind == b"vide":
        _read_picture_format(boxes, need(table, b"stsd"), track)
    movie.tracks.setdefault(_read_track_id(boxes, need(parts, b"tkhd")), track)


def _read_track_id(boxes: Boxes, tkhd: Box) -> int:
    (version,) = boxes.content(tkhd, 1)
    return _uint32(boxes.content(tkhd, 4, offset=20 if version == 1 else 12))


def _read_times(boxes: Boxes, header: Box) -> tuple[int, int]:
    """The timescale (units a second, above zero) and duration (0 when unknown) of an ``mvhd`` or ``mdhd``."""
    (version,) = boxes.content(header, 1)
    if version == 1:
        timescale, duration = struct.unpack(">IQ", boxes.content(header, 12, offset=20))
        unknown = 0xFFFF_FFFF_FFFF_FFFF
    else:
        timescale, duration = struct.unpack(">II", boxes.content(header, 8, offset=12))
        unknown = 0xFFFF_FFFF
    if timescale == 0:
        refuse("its clock stands still")
    return timescale, 0 if duration == unknown else duration


def _read_sizes(boxes: Boxes, table: dict[bytes, Box], movie: _Movie) -> tuple[int, int]:
    """How many samples a track has in its table, and their bytes together."""
    if b"stsz" in table:
        size, count = struct.unpack(">II", boxes.content(table[b"stsz"], 8, offset=4))
        movie.count(count)
        if size:
            return count, size * count
        pieces = boxes.pieces(table[b"stsz"], 12, 4 * count)
        return count, sum(sum(struct.unpack(f">{len(piece) // 4}I", piece)) for piece in pieces)
    # Compact sizes (stz2, of 4, 8 or 16 bits) are counted, not summed: no encoder of today writes them.
    count = _uint32(boxes.content(need(table, b"stz2"), 4, offset=8))
    movie.count(count)
    return count, count


def _read_picture_format(boxes: Boxes, stsd: Box, track: _Track) -> None:
    """The first VisualSampleEntry: its type is the codec, and width and height are at offset 32 of it."""
    entry = boxes.content(stsd, 36, offset=8)
    track.width, track.height = struct.unpack(">HH", entry[32:36])
    fourcc = name(entry[4:8])
    if fourcc == "encv":
        refuse("it is encrypted")
    track.codec = _CODECS.get(fourcc, fourcc)


def _read_fragment_defaults(boxes: Boxes, mvex: Box, timescale: int, movie: _Movie) -> None:
    for box in boxes.within(mvex.start, mvex.end):
        if box.kind == b"trex":
            track_id, _, duration = struct.unpack(">III", boxes.content(box, 12, offset=4))
            movie.default_durations[track_id] = duration
        elif box.kind == b"mehd" and timescale:
            movie.promised_seconds = _read_versioned(boxes, box) / timescale


def _read_fragment(boxes: Boxes, moof: Box, movie: _Movie) -> None:
    for traf in boxes.within(moof.start, moof.end):
        if traf.kind != b"traf":
            continue
        track: _Track | None = None
        default = 0
        for box in boxes.within(traf.start, traf.end):
            if box.kind == b"tfhd":
                track, default = _read_fragment_header(boxes, box, movie)
            elif box.kind == b"tfdt" and track is not None:
                track.move_to(_read_versioned(boxes, box))
            elif box.kind == b"trun" and track is not None:
                _read_run(boxes, box, track, default, movie)


def _read_fragment_header(boxes: Boxes, tfhd: Box, movie: _Movie) -> tuple[_Track | None, int]:
    """The track of a fragment, and how long its samples last unless they say it themselves."""
    flags, track_id = struct.unpack(">II", boxes.content(tfhd, 8))
    offset = 8 + (8 if flags & 0x1 else 0) + (4 if flags & 0x2 else 0)  # base data offset, description index
    default = movie.default_durations.get(track_id, 0)
    if flags & 0x8:
        default = _uint32(boxes.content(tfhd, 4, offset=offset))
    return movie.tracks.get(track_id), default


def _read_run(boxes: Boxes, trun: Box, track: _Track, default: int, movie: _Movie) -> None:
    """Add a run of samples to its track. A row has a field for each of the flags 0x100 (duration) to 0x800."""
    flags, count = struct.unpack(">II", boxes.content(trun, 8))
    movie.count(count)
    track.samples += count
    offset = 8 + (4 if flags & 0x1 else 0) + (4 if flags & 0x4 else 0)  # data offset, flags of the first sample
    columns = (flags & 0xF00).bit_count()
    if not flags & 0x100:
        track.advance(default * count)
        return
    position = 0  # of the next number, in columns: the first of each row is the duration
    for piece in boxes.pieces(trun, offset, 4 * columns * count):
        numbers = struct.unpack(f">{len(piece) // 4}I", piece)
        track.advance(sum(numbers[-position % columns :: columns]))
        position += len(numbers)


def _check_complete(movie: _Movie, layout: _Layout) -> None:
    """The samples must fit into the file's content, and the fragments last as long as they were said to."""
    if sum(track.sample_bytes for track in movie.tracks.values()) > layout.mdat_bytes:
        refuse("its content is cut off")
    longest = max((track.duration_seconds for track in movie.tracks.values()), default=0.0)
    if layout.moofs and longest + 1.0 < movie.promised_seconds:
        refuse("its content is cut off")


def _describe(movie: _Movie) -> VideoInfo:
    """The first track with pictures."""
    pictures = [track for track in movie.tracks.values() if track.kind == b"vide" and track.samples]
    if not pictures:
        refuse("it has no pictures in it")
    track = pictures[0]
    if not (0 < track.duration_seconds <= MAX_DURATION_SECONDS):
        refuse(f"its duration of {track.duration_seconds:g} seconds is not possible")
    if not (0 < track.width <= MAX_SIDE_PIXELS and 0 < track.height <= MAX_SIDE_PIXELS):
        refuse(f"its size of {track.width} by {track.height} pixels is not possible")
    return VideoInfo(
        duration_seconds=track.duration_seconds,
        width=track.width,
        height=track.height,
        has_audio=any(other.kind == b"soun" and other.samples for other in movie.tracks.values()),
        video_codec=track.codec,
    )


def _read_versioned(boxes: Boxes, box: Box) -> int:
    """A number that has 64 bits in version 1 of its box, and 32 in version 0."""
    (version,) = boxes.content(box, 1)
    return int.from_bytes(boxes.content(box, 8 if version == 1 else 4, offset=4))


def _uint32(data: bytes) -> int:
    return int.from_bytes(data)
