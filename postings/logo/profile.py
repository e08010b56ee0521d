"""Colours to sRGB by the picture's own ICC profile (ICC.1:2022), by LittleCMS.

A profile comes from strangers, and LittleCMS trusts it further than its length: it allocates a table as large as the
profile claims, and runs as many processing elements as the profile lists. Such a profile is ignored before it is
opened, like one that is broken or speaks of another colour space than the picture has.
"""

import struct
from collections.abc import Iterator
from io import BytesIO
from math import prod
from typing import Final

from PIL import Image, ImageCms

_HEADER: Final = 128  # bytes
_MAX_TAGS: Final = 100
_SPACES: Final = {"L": b"GRAY", "RGB": b"RGB ", "CMYK": b"CMYK"}
_CLASSES: Final = frozenset({b"scnr", b"mntr", b"prtr", b"spac"})
_CONNECTIONS: Final = frozenset({b"XYZ ", b"Lab "})
_TABLES: Final = frozenset({b"A2B0", b"A2B1", b"A2B2"})
_ELEMENTS: Final = b"D2B"  # lists of processing elements of any length; hardly any profile has them
_BROKEN: Final = (ImageCms.PyCMSError, OSError, ValueError, TypeError)


def to_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    """`L`, `RGB` or `CMYK` as sRGB (grey stays `L`). Without a usable profile the numbers are taken for sRGB's."""
    if is_usable(profile, picture.mode):
        try:
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            target = ImageCms.createProfile("sRGB")
            made = ImageCms.profileToProfile(picture, source, target, outputMode="RGB")
        except _BROKEN:
            made = None
        if made is not None:
            return made.convert("L") if picture.mode == "L" else made
    return picture.convert("RGB") if picture.mode == "CMYK" else picture


def is_usable(profile: bytes, mode: str) -> bool:
    """Whether it is of the picture's colour space and its tables are no larger than itself."""
    if len(profile) < _HEADER + 4 or profile[36:40] != b"acsp":
        return False
    space, connection, device = profile[16:20], profile[20:24], profile[12:16]
    if _SPACES.get(mode) != space or connection not in _CONNECTIONS or device not in _CLASSES:
        return False
    (count,) = struct.unpack_from(">I", profile, _HEADER)
    if count > _MAX_TAGS or len(profile) < _HEADER + 4 + 12 * count:
        return False
    return all(_is_sound(name, data) for name, data in _tags(profile, count))


def _tags(profile: bytes, count: int) -> Iterator[tuple[bytes, bytes]]:
    for number in range(count):
        name, start, size = struct.unpack_from(">4sII", profile, _HEADER + 4 + 12 * number)
        yield name, profile[start : start + size]


def _is_sound(name: bytes, data: bytes) -> bool:
    if name.startswith(_ELEMENTS):
        return False
    return name not in _TABLES or _table_bytes(data) <= len(data)


def _table_bytes(data: bytes) -> int:
    """What the colour table of an A2B tag claims to hold, in bytes; more than the tag has when it is cut off."""
    kind, too_many = data[:4], len(data) + 1
    if len(data) < 32:
        return too_many
    inputs, outputs, grid = data[8], data[9], data[10]
    if kind in (b"mft1", b"mft2"):
        return prod([grid] * inputs) * outputs * (1 if kind == b"mft1" else 2)
    if kind != b"mAB ":
        return too_many
    start = int.from_bytes(data[24:28])
    if not start:
        return 0
    if not 1 <= inputs <= 16 or len(data) < start + 20:
        return too_many
    return prod(data[start : start + inputs]) * outputs * max(1, data[start + 16])
