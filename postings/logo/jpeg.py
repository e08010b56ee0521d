"""The segments of a JPEG (ITU-T T.81, annex B): one linear walk to the end of its first picture.

Decoding costs a visit to each block in each scan: a file of 46 kB can ask for 400 scans of 4096 x 4096 pixels. Blocks
and scans are counted here, before a decoder sees them. A second picture behind the first (phones append one: CIPA
DC-007, MPO) is not looked at.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from postings.logo.errors import BadLogo, check_size, too_costly, unreadable
from postings.logo.exif import orientation
from postings.logo.parts import Parts

SIGNATURE: Final = b"\xff\xd8\xff"
MAX_SEGMENTS: Final = 2000  # 2 MiB of metadata are 32; a scan has a handful
MAX_SCANS: Final = 32  # encoders write 1 to 4, or about 10 when progressive
MAX_VISITS: Final = 6_500_000  # of a block by a scan, 60 ns each; libjpeg's own script makes at most 6.3 million

# A marker is 0xFF and a code. 0xFF 0x00 is a data byte, 0xFF 0xFF is filling, D0 to D7 restart within a scan.
_MARKER: Final = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])", re.DOTALL)
_SOI, _EOI, _SOS, _TEM = 0xD8, 0xD9, 0xDA, 0x01
_FRAMES: Final = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended, progressive; all with Huffman codes
_OTHER_FRAMES: Final = frozenset({*range(0xC3, 0xD0)} - {0xC4, 0xC8, 0xCC})
_TABLES: Final = frozenset({0xC4, 0xDB, 0xDD})  # Huffman, quantisation, restart interval
_JFIF, _EXIF, _ICC, _ADOBE = 0xE0, 0xE1, 0xE2, 0xEE
_SOF_PROGRESSIVE: Final = 0xC2
_BLOCK_BYTES: Final = 64 * 2  # coefficients
_OUTPUT: Final = 12 * 1024 * 1024  # bytes of the rows that are scaled as they come: 2047 x 2047 took 11 MiB


@dataclass(slots=True)
class _Found:
    """What the walk has met so far. `blocks` has the number of blocks of each component, by its id."""

    kept: list[bytes] = field(default_factory=lambda: [b"\xff\xd8"])
    size: tuple[int, int] = (0, 0)
    blocks: dict[int, int] = field(default_factory=dict)
    is_progressive: bool = False
    scans: int = 0
    visits: int = 0
    orientation: int = 1
    profile: dict[int, bytes] = field(default_factory=dict)


def parse(raw: bytes) -> Parts:
    """The parts of a JPEG's first picture; BadLogo."""
    found = _Found()
    at = 2
    for _ in range(MAX_SEGMENTS):
        marker = _MARKER.search(raw, at)
        if marker is None:
            break  # cut off, perhaps within its last scan: the decoder knows
        code, at = marker[1][0], marker.end()
        if code == _EOI:
            found.kept.append(b"\xff\xd9")
            break
        if code == _SOI:
            raise unreadable()
        if code != _TEM:
            at = _segment(found, raw, code, at)
    else:
        raise too_costly(f"consists of more than {MAX_SEGMENTS} segments")
    if not found.scans:
        raise unreadable()
    return Parts(
        kind="JPEG",
        width=found.size[0],
        height=found.size[1],
        pixels=b"".join(found.kept),
        memory=_memory(found),
        profile=b"".join(found.profile[number] for number in sorted(found.profile)),
        orientation=found.orientation,
    )


def _segment(found: _Found, raw: bytes, code: int, start: int) -> int:
    """Take one segment; where the search for the next marker begins."""
    length = int.from_bytes(raw[start : start + 2])
    end = start + length
    if length < 2 or end > len(raw):
        raise unreadable()
    data = raw[start + 2 : end]
    if code in _FRAMES:
        _frame(found, code, data)
    elif code in _OTHER_FRAMES:
        raise BadLogo("logo_format", "The logo is a JPEG of a rare kind: save it as an ordinary JPEG or a PNG.")
    elif code == _SOS:
        _scan(found, data)
        following = _MARKER.search(raw, end)
        end = following.start() if following else len(raw)
    elif code == _EXIF and data.startswith(b"Exif\0\0") and found.orientation == 1:
        found.orientation = orientation(data)
    elif code == _ICC and data.startswith(b"ICC_PROFILE\0") and len(data) > 14:
        found.profile.setdefault(data[12], data[14:])
    if code in _FRAMES or code in _TABLES or code == _SOS or _names_colours(code, data):
        found.kept.append(b"\xff" + bytes([code]) + raw[start:end])
    return end


def _names_colours(code: int, data: bytes) -> bool:
    """Whether decoders need this application's segment to tell YCbCr from RGB, and CMYK from its inverse."""
    return (code == _JFIF and data.startswith(b"JFIF\0")) or (code == _ADOBE and data.startswith(b"Adobe"))


def _frame(found: _Found, code: int, data: bytes) -> None:
    if found.blocks or len(data) < 6 or data[0] != 8 or data[5] not in (1, 3, 4) or len(data) < 6 + 3 * data[5]:
        raise unreadable()
    height, width = int.from_bytes(data[1:3]), int.from_bytes(data[3:5])
    check_size(width, height)
    components = [(data[at], data[at + 1] >> 4, data[at + 1] & 15) for at in range(6, 6 + 3 * data[5], 3)]
    if not all(1 <= across <= 4 and 1 <= down <= 4 for _, across, down in components):
        raise unreadable()
    most_across, most_down = max(each[1] for each in components), max(each[2] for each in components)
    units = -(-width // (8 * most_across)) * -(-height // (8 * most_down))
    found.size = width, height
    found.blocks = {name: units * across * down for name, across, down in components}
    if len(found.blocks) != data[5]:
        raise unreadable()
    found.is_progressive = code == _SOF_PROGRESSIVE


def _scan(found: _Found, data: bytes) -> None:
    count = data[0] if data else 0
    names = data[1 : 1 + 2 * count : 2]
    if not names or len(names) != count or not set(names) <= found.blocks.keys():
        raise unreadable()
    found.scans += 1
    found.visits += sum(found.blocks[name] for name in names)
    if found.scans > MAX_SCANS or found.visits > MAX_VISITS:
        raise too_costly("is a progressive JPEG of too many scans")


def _memory(found: _Found) -> int:
    """With several scans the coefficients of all blocks are kept until the last one."""
    is_kept = found.is_progressive or found.scans > 1
    return (sum(found.blocks.values()) * _BLOCK_BYTES if is_kept else 0) + min(
        _OUTPUT, found.size[0] * found.size[1] * 4
    )
