"""The chunks of a WebP (RFC 9649): its size, profile and orientation, and the picture without them."""

import struct
from collections.abc import Iterator
from typing import Final

from postings.logo.errors import animated, check_size, too_costly, unreadable
from postings.logo.exif import orientation
from postings.logo.parts import Parts

MAX_CHUNKS: Final = 100  # a still picture has at most seven that are known
MAX_PROFILE: Final = 2 * 1024 * 1024
_ANIMATED: Final = 0x02  # in VP8X's flags
_ALPHA: Final = 0x10
_OUTPUT: Final = 12 * 1024 * 1024  # bytes: rows, and the picture at the scale that is asked for
_COLOUR_INDEXING: Final = 0b111  # the first transform is there, and is that of a palette


def parse(raw: bytes) -> Parts:
    """The parts of a WebP; BadLogo."""
    chunks: dict[bytes, bytes] = {}
    for name, data in _chunks(raw):
        if name in (b"ANIM", b"ANMF"):
            raise animated()
        chunks.setdefault(name, data)
    extended = chunks.get(b"VP8X", b"")
    if extended and extended[0] & _ANIMATED:
        raise animated()
    width, height = _size(chunks)
    check_size(width, height)
    if extended and _canvas(extended) != (width, height):
        raise unreadable()
    return Parts(
        kind="WEBP",
        width=width,
        height=height,
        pixels=_without_metadata(chunks, width, height),
        memory=width * height * _bytes_a_pixel(chunks) + min(_OUTPUT, width * height * 12),
        profile=chunks.get(b"ICCP", b"")[:MAX_PROFILE],
        orientation=orientation(chunks.get(b"EXIF", b"")),
    )


def _chunks(raw: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and data. Anything behind the end that the header names is ignored."""
    if len(raw) < 12:
        raise unreadable()
    end = 8 + int.from_bytes(raw[4:8], "little")
    if end > len(raw):
        raise unreadable()
    at = 12
    for _ in range(MAX_CHUNKS):
        if at + 8 > end:
            return
        name, length = raw[at : at + 4], int.from_bytes(raw[at + 4 : at + 8], "little")
        if at + 8 + length > end:
            raise unreadable()
        yield name, raw[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
    raise too_costly(f"consists of more than {MAX_CHUNKS} chunks")


def _size(chunks: dict[bytes, bytes]) -> tuple[int, int]:
    """As the pixels' own header says: the canvas of the extended header may say something else."""
    lossy, lossless = chunks.get(b"VP8 "), chunks.get(b"VP8L")
    if (lossy is None) == (lossless is None):
        raise unreadable()
    if lossless is not None:
        if len(lossless) < 5 or lossless[0] != 0x2F:
            raise unreadable()
        bits = int.from_bytes(lossless[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    assert lossy is not None
    if len(lossy) < 10 or lossy[0] & 1 or lossy[3:6] != b"\x9d\x01\x2a":
        raise unreadable()
    width, height = struct.unpack_from("<HH", lossy, 6)
    return width & 0x3FFF, height & 0x3FFF


def _bytes_a_pixel(chunks: dict[bytes, bytes]) -> int:
    """What the decoder keeps of the whole picture: nothing of lossy colours, everything of a lossless bit stream."""
    if b"VP8L" in chunks:
        return _bytes_a_lossless_pixel(chunks[b"VP8L"][5:])
    alpha = chunks.get(b"ALPH", b"")
    if not alpha:
        return 0
    is_compressed = alpha[0] & 0b11
    return 1 + (_bytes_a_lossless_pixel(alpha[1:]) if is_compressed else 0)


def _bytes_a_lossless_pixel(stream: bytes) -> int:
    """The indexes of a palette take one byte (in most files: libwebp reads a rare one as four as well)."""
    return 1 if stream and stream[0] & _COLOUR_INDEXING == _COLOUR_INDEXING else 4


def _canvas(extended: bytes) -> tuple[int, int]:
    if len(extended) < 10:
        raise unreadable()
    return int.from_bytes(extended[4:7], "little") + 1, int.from_bytes(extended[7:10], "little") + 1


def _without_metadata(chunks: dict[bytes, bytes], width: int, height: int) -> bytes:
    if b"VP8L" in chunks:
        return _riff(_chunk(b"VP8L", chunks[b"VP8L"]))
    pixels = _chunk(b"VP8 ", chunks[b"VP8 "])
    if b"ALPH" not in chunks:
        return _riff(pixels)
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return _riff(_chunk(b"VP8X", bytes([_ALPHA, 0, 0, 0]) + canvas) + _chunk(b"ALPH", chunks[b"ALPH"]) + pixels)


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + len(data).to_bytes(4, "little") + data + b"\0" * (len(data) % 2)


def _riff(chunks: bytes) -> bytes:
    return b"RIFF" + (len(chunks) + 4).to_bytes(4, "little") + b"WEBP" + chunks
