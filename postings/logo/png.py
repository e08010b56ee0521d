"""The chunks of a PNG (W3C PNG, third edition): a walk over all of them that decodes no pixel."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from postings.logo.errors import MAX_SIDE, animated, check_size, too_costly, unreadable
from postings.logo.exif import orientation
from postings.logo.parts import Parts

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
MAX_CHUNKS: Final = 10_000  # the smallest that encoders write hold some kilobytes, and a logo has at most 2 MiB
MAX_METADATA: Final = 4 * 1024 * 1024  # bytes of all compressed texts and profiles, unfolded
MOST_UNFOLDING: Final = 1032  # bytes that zlib makes of one, at most
# Bytes of filtered rows: 8-bit RGBA of the largest size. One of 16 bits costs about a third more to scale.
MAX_UNFOLDED: Final = MAX_SIDE * (MAX_SIDE * 4 + 1)
MAX_UNFOLDED_16: Final = MAX_UNFOLDED * 3 // 4

_ROWS: Final = 2200  # rows of four bytes a pixel: scaling 4096 x 4096 took 34 MiB

_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS: Final = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_PALETTE: Final = 3
_CRITICAL: Final = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS"})
# Adam7: first column, first row, column step, row step of each pass.
_PASSES: Final = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


@dataclass(slots=True)
class _Found:
    """What the walk has met so far; `metadata_left` is the budget of unfolded bytes."""

    header: tuple[int, ...] = ()
    kept: list[bytes] = field(default_factory=list)
    has_pixels: bool = False
    is_keyed: bool = False  # one colour, or a palette's entries, are transparent: tRNS
    profile: bytes = b""
    orientation: int = 1
    gamma: float | None = None
    metadata_left: int = MAX_METADATA


def parse(raw: bytes) -> Parts:
    """The parts of a PNG; BadLogo."""
    found = _Found()
    for name, data, whole in _chunks(raw):
        if not found.header and name != b"IHDR":
            raise unreadable()
        _take(found, name, data, whole)
    if not found.has_pixels:
        raise unreadable()
    width, height, depth, colour, interlace = found.header
    pixels = SIGNATURE + b"".join(found.kept)
    return Parts(
        kind="PNG",
        width=width,
        height=height,
        pixels=pixels,
        memory=_memory(width, height, depth * _CHANNELS[colour], interlace),
        profile=found.profile,
        orientation=found.orientation,
        gamma=found.gamma,
        is_plain=pixels == raw and depth == 8 and colour != _PALETTE and not found.is_keyed and not interlace,
    )


def _chunks(raw: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Name, data, and the whole chunk, up to IEND. Anything behind the end is ignored, as the format says."""
    at = len(SIGNATURE)
    for _ in range(MAX_CHUNKS):
        if len(raw) < at + 12:
            raise unreadable()
        (length,) = struct.unpack_from(">I", raw, at)
        name, end = raw[at + 4 : at + 8], at + 12 + length
        if end > len(raw):
            raise unreadable()
        whole = raw[at:end]
        if name in _CRITICAL and zlib.crc32(whole[4:-4]) != int.from_bytes(whole[-4:]):
            raise unreadable()
        yield name, whole[8:-4], whole
        if name == b"IEND":
            return
        at = end
    raise too_costly(f"consists of more than {MAX_CHUNKS} chunks")


def _take(found: _Found, name: bytes, data: bytes, whole: bytes) -> None:
    if name == b"IHDR":
        if found.header:
            raise unreadable()
        found.header = _header(data)
    if name in _CRITICAL:
        found.kept.append(whole)
    found.has_pixels |= name == b"IDAT"
    found.is_keyed |= name == b"tRNS"
    _take_metadata(found, name, data)


def _take_metadata(found: _Found, name: bytes, data: bytes) -> None:
    match name:
        case b"acTL":
            if int.from_bytes(data[:4]) != 1:
                raise animated()
        case b"gAMA":
            found.gamma = int.from_bytes(data) / 100_000 if len(data) == 4 else None
        case b"eXIf":
            found.orientation = orientation(data)
        case b"iCCP" | b"zTXt" | b"iTXt":
            _take_compressed(found, name, data)


def _header(data: bytes) -> tuple[int, ...]:
    """Width, height, depth, colour type, interlace method."""
    if len(data) != 13:
        raise unreadable()
    width, height, depth, colour, compression, filtering, interlace = struct.unpack(">IIBBBBB", data)
    check_size(width, height)
    if depth not in _DEPTHS.get(colour, ()) or compression or filtering or interlace > 1:
        raise unreadable()
    bits = depth * _CHANNELS[colour]
    passes = _PASSES if interlace else ((0, 0, 1, 1),)
    limit = (MAX_UNFOLDED_16 if depth == 16 else MAX_UNFOLDED) + 4 * MAX_SIDE
    if sum(_unfolded(width, height, bits, *each) for each in passes) > limit:
        raise too_costly("has 16 bits a channel and too many pixels for that")
    return width, height, depth, colour, interlace


def _unfolded(width: int, height: int, bits: int, left: int, top: int, across: int, down: int) -> int:
    """Bytes of one pass: each row has a byte for its filter."""
    columns, rows = -(-(width - left) // across), -(-(height - top) // down)
    return rows * (1 + -(-columns * bits // 8)) if columns > 0 and rows > 0 else 0


def _take_compressed(found: _Found, name: bytes, data: bytes) -> None:
    """A profile, or a text. A text is not read, but one that unfolds to too much is refused too."""
    keyword, _, rest = data.partition(b"\0")
    if name == b"iTXt":
        is_compressed, rest = rest[:1] == b"\1", rest[2:].partition(b"\0")[2].partition(b"\0")[2]
        if not is_compressed:
            return
    else:
        rest = rest[1:]
    unfolded, cost = _unfold(rest, found.metadata_left)
    found.metadata_left -= cost
    if name == b"iCCP" and keyword:
        found.profile = unfolded


def _unfold(data: bytes, limit: int) -> tuple[bytes, int]:
    """At most `limit` bytes, and how many count: of a damaged stream nothing, and as many as it may have come to."""
    stream = zlib.decompressobj()
    try:
        unfolded = stream.decompress(data, limit + 1)
    except zlib.error:
        return b"", min(limit, MOST_UNFOLDING * len(data))
    if len(unfolded) > limit:
        raise unreadable()
    return unfolded, len(unfolded)


def _memory(width: int, height: int, bits: int, interlace: int) -> int:
    """Rows are scaled as they come; of an interlaced picture all are kept until the last pass."""
    kept = width * height * -(-bits // 8) if interlace else 0
    return kept + min(height, _ROWS) * width * 4
