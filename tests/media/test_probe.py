from __future__ import annotations

import random
import struct
import tracemalloc
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grokvideo_django.exceptions import MediaRefused
from grokvideo_django.media import boxes
from grokvideo_django.media import probe as module
from grokvideo_django.media.probe import VideoInfo, probe

# A film of boxes, written by hand: what encoders write seldom, and what only an attacker writes.


def box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full(kind: bytes, *numbers: int, version: int = 0, flags: int = 0, rest: bytes = b"") -> bytes:
    """A box with a version, flags and 32-bit numbers."""
    return box(kind, struct.pack(f">I{len(numbers)}I", version << 24 | flags, *numbers), rest)


FTYP = box(b"ftyp", b"isom\x00\x00\x02\x00isomavc1mp41")
MVHD = full(b"mvhd", 0, 0, 1_000, 2_000, rest=bytes(80))


def stsd(codec: bytes = b"avc1", width: int = 640, height: int = 480) -> bytes:
    entry = box(codec, bytes(24), struct.pack(">HH", width, height), bytes(50))
    return full(b"stsd", 1, rest=entry)


STSZ = full(b"stsz", 0, 3, 10, 10, 10)


def track(
    *,
    kind: bytes = b"vide",
    tkhd: bytes = full(b"tkhd", 0, 0, 1, 0, 0, rest=bytes(60)),
    mdhd: bytes = full(b"mdhd", 0, 0, 24, 48, rest=bytes(4)),
    sizes: bytes = STSZ,
    format: bytes = stsd(),  # noqa: A002
) -> bytes:
    hdlr = full(b"hdlr", 0, rest=kind + bytes(13))
    stbl = box(b"stbl", format, full(b"stts", 1, 3, 16), sizes)
    return box(b"trak", tkhd, box(b"mdia", mdhd, hdlr, box(b"minf", stbl)))


SOUND = track(kind=b"soun", tkhd=full(b"tkhd", 0, 0, 2, rest=bytes(68)), format=full(b"stsd", 0))
MDAT = box(b"mdat", bytes(100))


def film(*tracks: bytes, mvhd: bytes = MVHD, extra: bytes = b"", mdat: bytes = MDAT) -> bytes:
    return FTYP + box(b"moov", mvhd, *(tracks or (track(),)), extra) + mdat


def fragment(*runs: bytes, track_id: int = 1, tfhd: bytes = b"", tfdt: bytes = b"") -> bytes:
    return box(b"moof", full(b"mfhd", 1), box(b"traf", tfhd or full(b"tfhd", track_id), tfdt, *runs))


EMPTY = full(b"stsz", 0, 0)
TREX = full(b"trex", 1, 1, 12, 0, 0)


def fragmented(*parts: bytes, mvex: bytes = TREX, sizes: bytes = EMPTY, mvhd: bytes = MVHD) -> bytes:
    return FTYP + box(b"moov", mvhd, track(sizes=sizes), box(b"mvex", mvex)) + b"".join(parts)


def look(data: bytes) -> VideoInfo:
    return probe(BytesIO(data))


# Real films


@pytest.mark.parametrize(
    ("name", "has_audio", "codec"),
    [
        ("plain", True, "h264"),
        ("faststart", True, "h264"),
        ("silent", False, "h264"),
        ("quicktime", True, "h264"),
        ("fragmented", True, "h264"),
        ("every_frame", True, "h264"),
        ("half_fragmented", True, "h264"),
        ("mpeg4", False, "mpeg4"),
    ],
)
def test_real_films(films, name, has_audio, codec):
    info = look(films[name])
    assert info.duration_seconds == pytest.approx(2, abs=0.05)
    assert (info.width, info.height, info.has_audio, info.video_codec) == (320, 180, has_audio, codec)


def test_the_position_of_the_file_does_not_matter(films):
    file = BytesIO(films["plain"])
    file.seek(1_234)
    assert probe(file).width == 320


@pytest.mark.parametrize("name", ["plain", "faststart", "quicktime", "silent"])
def test_a_film_cut_anywhere_is_refused(films, name):
    data = films[name]
    for length in {*range(0, len(data), 97), *range(len(data) - 20, len(data)), *range(64)}:
        with pytest.raises(MediaRefused):
            look(data[:length])


@pytest.mark.parametrize("name", ["fragmented", "every_frame", "half_fragmented"])
def test_a_film_in_fragments_cut_anywhere_is_shorter_or_refused(films, name):
    data = films[name]
    seen = 0
    for length in range(0, len(data), 13):
        try:
            assert look(data[:length]).duration_seconds < 2.05
            seen += 1
        except MediaRefused:
            pass
    assert seen < 20


# Other files


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b" \r\n\t", "empty"),
        (b"<!DOCTYPE html><html><body>Not found</body></html>", "a web page"),
        (b"\xef\xbb\xbf\n<!doctype HTML>", "a web page"),
        (b"<HTML><head>", "a web page"),
        (b'<?xml version="1.0"?><!DOCTYPE x><html xmlns="x">', "a web page"),
        (b"<script>alert(1)</script>", "a web page"),
        (b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', "an SVG image"),
        (b'<?xml version="1.0"?><svg/>', "an SVG image"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "an XML document"),
        (b'{"error": {"message": "expired"}}', "a JSON answer"),
        (b"[]", "a JSON answer"),
        (b"\x1aE\xdf\xa3\x01\x00\x00\x00", "another kind"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "another kind"),
        (b"\x89PNG\r\n\x1a\n", "not in the MP4 format"),
        (b"\x1f\x8b\x08\x00", "not in the MP4 format"),
        (b"Not Found", "not in the MP4 format"),
        (bytes(1_000), "not in the MP4 format"),
        (b"ftyp", "not in the MP4 format"),
        (box(b"ftyp", b"avif\x00\x00\x00\x00avifmif1miaf") + MDAT, "another kind"),
        (box(b"ftyp", b"heic\x00\x00\x00\x00mif1heic") + MDAT, "another kind"),
        (box(b"ftyp") + MDAT, "another kind"),
        (box(b"ftyp", b"avif" + b"isom" + b"mif1") + MDAT, "another kind"),  # the second number is a version
        (b"\x00\x00\x00\x00ftypisom", "impossible size"),
        (b"\x00\x00\x00\x07ftypisom", "impossible size"),
        (b"\x7f\xff\xff\xffftypisom", "cut off"),
        (FTYP, "no table of contents"),
        (FTYP + MDAT, "no table of contents"),
        (film()[:-1], "mdat"),
        (film(mdat=b""), "no pictures"),
        (film(mdat=box(b"mdat")), "no pictures"),
        (film() + box(b"moov", MVHD, track()), "two tables"),
        (film() + b"\x00\x00", "cut off"),
        (film(SOUND), "no pictures"),
        (film(track(kind=b"text")), "no pictures"),
        (film(b"", mvhd=MVHD), "no pictures"),
    ],
)
def test_what_is_no_film_is_called_by_its_name(data, words):
    with pytest.raises(MediaRefused, match=f"^The file is not a video that can be used: .*{words}"):
        look(data)


def test_sound_alone_and_webm_are_refused(films):
    with pytest.raises(MediaRefused, match="no pictures"):
        look(films["sound_only"])
    with pytest.raises(MediaRefused, match="MP4 is needed"):
        look(films["webm"])


# Written by hand


def test_a_film_by_hand():
    assert look(film()) == VideoInfo(duration_seconds=2, width=640, height=480, has_audio=False, video_codec="h264")
    assert look(film(track(), SOUND)).has_audio
    assert not look(film(track(), track(kind=b"soun", sizes=EMPTY))).has_audio
    assert look(film(track(kind=b"tmcd"), track())).width == 640


LONG_MDHD = box(b"mdhd", struct.pack(">IQQIQ", 1 << 24, 0, 0, 24, 72), bytes(4))
LONG_TKHD = box(b"tkhd", struct.pack(">IQQI", 1 << 24, 0, 0, 1), bytes(60))
LONG_MVHD = box(b"mvhd", struct.pack(">IQQIQ", 1 << 24, 0, 0, 1_000, 3_000), bytes(80))


def test_boxes_with_long_numbers():
    data = film(track(mdhd=LONG_MDHD, tkhd=LONG_TKHD), mvhd=LONG_MVHD)
    assert look(data).duration_seconds == 3
    assert look(film(mdat=struct.pack(">I4sQ", 1, b"mdat", 116) + bytes(100))).duration_seconds == 2


def test_content_to_the_end_of_the_file():
    assert look(film(mdat=b"\x00\x00\x00\x00mdat" + bytes(30))).duration_seconds == 2
    with pytest.raises(MediaRefused, match="content is cut off"):
        look(film(mdat=b"\x00\x00\x00\x00mdat" + bytes(29)))


@pytest.mark.parametrize(
    ("sizes", "fits"),
    [
        (full(b"stsz", 33, 3), True),
        (full(b"stsz", 34, 3), False),
        (full(b"stsz", 1, module.MAX_SAMPLES + 1), False),
        (full(b"stsz", 0, 2_000_000, 1), False),
        (full(b"stsz", 0, 0xFFFF_FFFF), False),
        (full(b"stsz", 0), False),
        (full(b"stz2", 8, 3, rest=bytes(3)), True),
        (full(b"stz2", 8, 0xFFFF_FFFF), False),
        (full(b"free"), False),
    ],
)
def test_tables_of_sizes(sizes, fits):
    if fits:
        assert look(film(track(sizes=sizes))).duration_seconds == 2
    else:
        with pytest.raises(MediaRefused):
            look(film(track(sizes=sizes)))


def test_a_table_larger_than_a_piece():
    numbers = [index % 100 for index in range(40_000)]
    data = film(track(sizes=full(b"stsz", 0, 40_000, *numbers)), mdat=box(b"mdat", bytes(sum(numbers))))
    assert look(data).width == 640
    with pytest.raises(MediaRefused, match="content is cut off"):
        look(film(track(sizes=full(b"stsz", 0, 40_000, *numbers)), mdat=box(b"mdat", bytes(sum(numbers) - 1))))


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"mdhd": full(b"mdhd", 0, 0, 0, 48, rest=bytes(4))}, "clock"),
        ({"mdhd": full(b"mdhd", 0, 0, 24, 0, rest=bytes(4))}, "duration of 0 seconds"),
        ({"mdhd": full(b"mdhd", 0, 0, 24, 0xFFFF_FFFF, rest=bytes(4))}, "duration of 0 seconds"),
        ({"mdhd": full(b"mdhd", 0, 0, 1, 86_401, rest=bytes(4))}, "duration of 86401 seconds"),
        ({"mdhd": box(b"mdhd", struct.pack(">IQQIQ", 1 << 24, 0, 0, 1, 2**64 - 2))}, "duration"),
        ({"mdhd": box(b"mdhd", struct.pack(">IQQIQ", 1 << 24, 0, 0, 1, 2**64 - 1))}, "duration of 0 seconds"),
        ({"mdhd": full(b"mdhd", 0)}, "mdhd box is too short"),
        ({"mdhd": b""}, "mdhd box is missing"),
        ({"tkhd": full(b"tkhd")}, "tkhd box is too short"),
        ({"tkhd": b""}, "tkhd box is missing"),
        ({"format": stsd(width=0)}, "0 by 480 pixels"),
        ({"format": stsd(height=0)}, "640 by 0 pixels"),
        ({"format": stsd(width=65_535)}, "65535 by 480 pixels"),
        ({"format": stsd(height=16_385)}, "640 by 16385 pixels"),
        ({"format": stsd(codec=b"encv")}, "encrypted"),
        ({"format": full(b"stsd", 0)}, "stsd box is too short"),
        ({"format": b""}, "stsd box is missing"),
        ({"sizes": EMPTY}, "no pictures"),
    ],
)
def test_impossible_tracks(part, words):
    with pytest.raises(MediaRefused, match=words):
        look(film(track(**part)))


@pytest.mark.parametrize(
    ("codec", "name"), [(b"hvc1", "hevc"), (b"av01", "av1"), (b"vp09", "vp9"), (b"\x00<b>", "?<b>")]
)
def test_codecs(codec, name):
    assert look(film(track(format=stsd(codec=codec)))).video_codec == name


def nested(depth: int) -> bytes:
    sizes = [8 * level for level in range(depth, 0, -1)]
    return b"".join(struct.pack(">I4s", size, b"moov") for size in sizes)


@pytest.mark.parametrize(
    "content",
    [
        b"\x00\x00\x00\x00trak",  # to the end of the file, though inside another box
        b"\x00\x00\x00\x01trak" + struct.pack(">Q", 2**64 - 1),
        b"\x00\x00\x00\x01trak" + struct.pack(">Q", 15),
        b"\x00\x00\x00\x01trak" + struct.pack(">Q", 0),
        b"\x00\x00\x00\x01trak",
        b"\xff\xff\xff\xfftrak" + bytes(100),
        b"\x00\x00\x00\x04trak",
        b"\x00\x00\x00",
        box(b"trak"),
        box(b"trak", box(b"trak", box(b"trak", box(b"mdia")))),
        box(b"trak", full(b"tkhd"), box(b"mdia", full(b"hdlr", 0))),
        nested(5_000),
        box(b"free") * 60_000,
        box(b"trak", box(b"free") * 60_000),
        full(b"mvhd"),
        box(b"mvex", full(b"trex", 1)),
        MVHD + box(b"mvex", full(b"mehd")),
    ],
    ids=range(17),
)
def test_absurd_boxes(content):
    with pytest.raises(MediaRefused):
        look(FTYP + box(b"moov", content) + MDAT)


def test_too_many_boxes_on_top():
    with pytest.raises(MediaRefused, match="more than 50000 boxes"):
        look(film() + box(b"free") * boxes.MAX_BOXES)


def test_a_file_that_shrinks_meanwhile():
    class Shrinking(BytesIO):
        def read(self, size=-1):
            return super().read(size)[:-1]

    with pytest.raises(MediaRefused, match="cut off"):
        probe(Shrinking(film()))


# Fragments


def test_runs_of_samples_are_summed():
    with_durations = full(b"trun", 2, 7, 24, 100, 24, 100, flags=0x301, rest=b"")
    assert look(fragmented(fragment(with_durations), MDAT)).duration_seconds == 2
    by_track = full(b"trun", 4)
    assert look(fragmented(fragment(by_track), MDAT)).duration_seconds == 2
    by_fragment = fragment(by_track, tfhd=full(b"tfhd", 1, 0, 0, 1, 6, flags=0xB))
    assert look(fragmented(by_fragment, MDAT, by_fragment, MDAT)).duration_seconds == 2
    first_flags = full(b"trun", 1, 0, 0, 48, flags=0x105)
    assert look(fragmented(fragment(first_flags), MDAT)).duration_seconds == 2


def test_a_run_longer_than_a_piece():
    rows = [number for index in range(30_000) for number in (2, index, 0)]
    run = full(b"trun", 30_000, *rows, flags=0xB00)
    assert look(fragmented(fragment(run), MDAT)).duration_seconds == 60_000 / 24


def test_fragments_may_say_when_they_begin():
    run = full(b"trun", 2)
    late = fragment(run, tfdt=full(b"tfdt", 240))
    later = fragment(run, tfdt=box(b"tfdt", struct.pack(">IQ", 1 << 24, 288)))
    assert look(fragmented(late, MDAT, later, MDAT)).duration_seconds == 3
    after_the_first_part = fragment(run, tfdt=full(b"tfdt", 48))
    assert look(fragmented(after_the_first_part, MDAT, sizes=STSZ)).duration_seconds == 3


def test_a_promise_of_fragments_that_did_not_come():
    run = fragment(full(b"trun", 4))
    assert look(fragmented(run, MDAT, mvex=TREX + full(b"mehd", 2_500))).duration_seconds == 2
    for promise in (full(b"mehd", 20_000), box(b"mehd", struct.pack(">IQ", 1 << 24, 20_000))):
        with pytest.raises(MediaRefused, match="content is cut off"):
            look(fragmented(run, MDAT, mvex=TREX + promise))
        assert look(fragmented(run, MDAT, mvex=TREX + promise, mvhd=b"")).duration_seconds == 2  # in no known unit


@pytest.mark.parametrize(
    "part",
    [
        fragment(full(b"trun", 0xFFFF_FFFF)),
        fragment(full(b"trun", 0xFFFF_FFFF, flags=0xF00)),
        fragment(full(b"trun", 1_000_000, flags=0x100)),
        fragment(full(b"trun", 1_999_999)),  # a day, by the default of the track
        fragment(full(b"trun")),
        fragment(full(b"trun", 4), tfhd=full(b"tfhd")),
        fragment(full(b"trun", 4), tfhd=full(b"tfhd", 1, flags=0x8)),
        fragment(full(b"trun", 4), tfdt=full(b"tfdt")),
        fragment(full(b"trun", 4), track_id=9),
        box(b"moof", box(b"traf", full(b"tfdt", 1), full(b"trun", 4))),
        fragment(),
    ],
)
def test_absurd_fragments(part):
    with pytest.raises(MediaRefused):
        look(fragmented(part, MDAT))


def test_a_fragment_without_its_content():
    run = fragment(full(b"trun", 4))
    with pytest.raises(MediaRefused, match="no pictures"):
        look(fragmented(run, MDAT, run))


# Any bytes at all


def only_refuses(data: bytes) -> None:
    try:
        info = look(data)
    except MediaRefused:
        return
    assert 0 < info.duration_seconds <= module.MAX_DURATION_SECONDS
    assert info.video_codec.isprintable()


@settings(max_examples=300)
@given(st.binary(max_size=2_000), st.booleans())
def test_random_bytes(data, begins_well):
    only_refuses(FTYP + data if begins_well else data)


LEAVES = st.tuples(
    st.sampled_from([b"mvhd", b"mdhd", b"stsd", b"stsz", b"trun", b"tfhd", b"hdlr", b"mdat"]), st.binary(max_size=60)
)
BRANCHES = st.sampled_from([b"moov", b"trak", b"mdia", b"minf", b"stbl", b"mvex", b"moof", b"traf"])


@settings(max_examples=300)
@given(st.recursive(LEAVES, lambda inner: st.tuples(BRANCHES, st.lists(inner, max_size=5)), max_leaves=30))
def test_random_boxes(tree):
    def write(node):
        kind, content = node
        return box(kind, content if isinstance(content, bytes) else b"".join(map(write, content)))

    only_refuses(FTYP + write(tree) + film()[len(FTYP) :])
    only_refuses(film(extra=write(tree)))


@settings(max_examples=400)
@given(
    name=st.sampled_from(["plain", "faststart", "fragmented", "quicktime", "half_fragmented"]),
    seed=st.integers(0, 2**32),
    changes=st.integers(1, 12),
    value=st.sampled_from([0, 1, 0x7F, 0x80, 0xFF, None]),
)
def test_damaged_films(films, name, seed, changes, value):
    """Most changes go where the structure is, and not into the pictures."""
    rng = random.Random(seed)
    data = bytearray(films[name])
    places = [data.find(kind) for kind in (b"moov", b"trak", b"stbl", b"stsz", b"moof", b"trun", b"mvex", b"ftyp")]
    for _ in range(changes):
        at = rng.choice(places) + rng.randrange(-8, 200) if rng.random() < 0.9 else rng.randrange(len(data))
        if 0 <= at < len(data):
            data[at] = rng.randrange(256) if value is None else value
    if rng.random() < 0.2:
        at, length = rng.randrange(len(data)), rng.randrange(1, 64)
        del data[at : at + length]
    only_refuses(bytes(data))


def test_memory_stays_flat(tmp_path):
    path = tmp_path / "large.mp4"
    with path.open("wb") as file:
        file.write(film(track(sizes=full(b"stsz", 0, 1_000_000, rest=bytes(4_000_000))), mdat=b""))
        file.write(struct.pack(">I4sQ", 1, b"mdat", 16 + 3 * 1024**3))
        file.truncate(file.tell() + 3 * 1024**3)  # sparse
    tracemalloc.start()
    try:
        with path.open("rb") as file:
            assert probe(file).duration_seconds == 2
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * 1024 * 1024
