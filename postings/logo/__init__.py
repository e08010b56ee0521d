"""A customer's logo: which files are taken, and the form in which they are stored.

`inspect` refuses by the bytes alone, without decoding. `stored_form` decodes once, within this process's room, and
gives the PNG that is kept: at most 512 x 512 pixels, upright, sRGB, without metadata.
"""

import re
from collections.abc import Callable
from typing import Final

from postings.logo import jpeg, png, webp
from postings.logo.decoder import SIDE
from postings.logo.errors import MAX_SIDE, BadLogo, too_costly
from postings.logo.parts import Parts
from postings.logo.pixels import normalise
from postings.logo.room import MIB, NoRoom, Room

__all__ = [
    "MAX_BYTES",
    "MAX_SIDE",
    "MOST_MEMORY",
    "ROOM",
    "SIDE",
    "BadLogo",
    "NoRoom",
    "Parts",
    "inspect",
    "is_plain",
    "stored_form",
]

MAX_BYTES: Final = 2 * MIB
MOST_MEMORY: Final = 64 * MIB
# Four of the costliest pictures, or eight ordinary large ones. Sixteen is as many as the web process has threads: an
# ordinary crowd waits its turn, and is not turned away.
ROOM: Final = Room(size=256 * MIB, seats=16)

_WEBP: Final = re.compile(rb"RIFF....WEBP", re.DOTALL)


def inspect(raw: bytes) -> Parts:
    """The parts of the file; BadLogo. Costs one walk over the bytes."""
    if len(raw) > MAX_BYTES:
        raise BadLogo("logo_too_large", "The logo is larger than 2 MiB: send a smaller one.")
    parts = _parser(raw)(raw)
    if parts.memory > MOST_MEMORY:
        raise too_costly("takes too much memory to decode, by its size and by the way it is saved")
    return parts


def stored_form(parts: Parts, patience: float) -> bytes:
    """The PNG to be kept. BadLogo when the pixels are damaged; NoRoom after `patience` seconds without room."""
    with ROOM.take(parts.memory, patience):
        return normalise(parts)


def is_plain(parts: Parts) -> bool:
    """Whether the file is such as `stored_form` gives: nothing is left to be done."""
    return parts.is_plain and max(parts.width, parts.height) <= SIDE


def _parser(raw: bytes) -> Callable[[bytes], Parts]:
    if raw.startswith(png.SIGNATURE):
        return png.parse
    if raw.startswith(jpeg.SIGNATURE):
        return jpeg.parse
    if _WEBP.match(raw):
        return webp.parse
    start = raw[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<svg", b"<?xml", b"<!doctype svg")) or b"<svg" in start:
        raise BadLogo("logo_svg", "SVG is not accepted as a logo: send it as PNG, JPEG or WebP.")
    raise BadLogo("logo_format", "The logo is none of PNG, JPEG and WebP, whatever its name says.")
