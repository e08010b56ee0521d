"""A customer's logo: which files are taken, and the form in which they are stored.

`inspect` refuses by the bytes alone, without decoding. `stored_form` decodes once, within this process's room, and
gives the PNG that is kept: at most 512 x 512 pixels, upright, sRGB, without metadata.
"""

import re
from collections.abc import Callable
from typing import Final

from postings.logo import jpeg, png, webp
from postings.logo.errors import MAX_SIDE, BadLogo
from postings.logo.parts import Parts
from postings.logo.pixels import SIDE, STRIP, normalise
from postings.logo.room import MIB, NoRoom, Room

__all__ = ["MAX_BYTES", "MAX_SIDE", "ROOM", "SIDE", "BadLogo", "NoRoom", "Parts", "inspect", "is_plain", "stored_form"]

MAX_BYTES: Final = 2 * MIB
# The costliest picture takes 256 MiB: a WebP of 4096 x 4096, four times four bytes a pixel. Sixteen is as many
# as the web process has threads: an ordinary crowd waits its turn, and is not turned away.
ROOM: Final = Room(size=256 * MIB, seats=16)

_WEBP: Final = re.compile(rb"RIFF....WEBP", re.DOTALL)


def inspect(raw: bytes) -> Parts:
    """The parts of the file; BadLogo. Costs one walk over the bytes."""
    if len(raw) > MAX_BYTES:
        raise BadLogo("logo_too_large", "The logo is larger than 2 MiB: send a smaller one.")
    return _parser(raw)(raw)


def stored_form(parts: Parts, patience: float) -> bytes:
    """The PNG to be kept. BadLogo when the pixels are damaged; NoRoom after `patience` seconds without room."""
    beside = min(STRIP, parts.width * parts.height) * 8  # while a strip is converted
    with ROOM.take(parts.memory + beside, patience):
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
