"""From a file's pixels to a small picture: at most 512 x 512, of 8 bits a channel.

libvips decodes row by row and scales as it goes, so the whole picture is never in memory where its format allows that.
Only the three loaders named here are ever used.
"""

import os
from typing import Final

os.environ.setdefault("VIPS_WARNING", "0")  # a damaged picture is its sender's affair, and fills no log of ours

import pyvips
from PIL import Image

from postings.logo.errors import unreadable
from postings.logo.parts import Kind, Parts

SIDE: Final = 512  # pixels, at most

_LOADERS: Final[dict[Kind, str]] = {"PNG": "pngload_buffer", "JPEG": "jpegload_buffer", "WEBP": "webpload_buffer"}
_JPEG_SCALES: Final = (8, 4, 2)  # that a JPEG is decoded at, while it is computed from its coefficients
_MODES: Final = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}

pyvips.cache_set_max(0)  # no picture is decoded twice
pyvips.vips_lib.vips_concurrency_set(1)  # one thread a picture: the web process bounds the pictures


def decode(parts: Parts) -> Image.Image:
    """The picture at its `target` size: L, LA, RGB, RGBA or CMYK. BadLogo when the pixels are damaged."""
    goal = target(parts.width, parts.height)
    try:
        picture = _resized(_straight(_load(parts, goal)), goal)
        pixels = picture.write_to_memory()
    except pyvips.Error as error:
        raise unreadable() from error
    mode = "CMYK" if picture.interpretation == "cmyk" else _MODES.get(picture.bands)
    if mode is None:
        raise unreadable()
    return Image.frombytes(mode, (picture.width, picture.height), pixels)


def target(width: int, height: int) -> tuple[int, int]:
    """The size within 512 x 512; nothing is enlarged, and nothing becomes thinner than a pixel."""
    longest = max(width, height)
    if longest <= SIDE:
        return width, height
    return max(1, round(width * SIDE / longest)), max(1, round(height * SIDE / longest))


def _load(parts: Parts, goal: tuple[int, int]) -> pyvips.Image:
    """The picture as it is read, with at least twice the goal's pixels where the decoder itself scales."""
    picture = _open(parts)
    if (picture.width, picture.height) != (parts.width, parts.height):
        raise unreadable()
    excess = min(parts.width / goal[0], parts.height / goal[1]) / 2
    if parts.kind == "JPEG":
        shrink = next((each for each in _JPEG_SCALES if each <= excess), 1)
        return _open(parts, shrink=shrink) if shrink > 1 else picture
    if parts.kind == "WEBP" and excess > 1:
        return _open(parts, scale=1 / excess)
    return picture


def _open(parts: Parts, **options: float) -> pyvips.Image:
    return pyvips.Operation.call(
        _LOADERS[parts.kind], parts.pixels, access="sequential", fail_on="truncated", **options
    )


def _straight(picture: pyvips.Image) -> pyvips.Image:
    """With the upper 8 bits of a channel of 16."""
    return picture.cast("uchar", shift=True) if picture.format == "ushort" else picture


def _resized(picture: pyvips.Image, goal: tuple[int, int]) -> pyvips.Image:
    """At the goal's size. What is transparent does not shine through."""
    if (picture.width, picture.height) == goal:
        return picture
    scale, vscale = goal[0] / picture.width, goal[1] / picture.height
    if not picture.hasalpha():
        return picture.resize(scale, vscale=vscale)
    weighted = picture.premultiply().cast("uchar")  # of 8 bits at once: scaling floats takes twice as long
    return weighted.resize(scale, vscale=vscale).unpremultiply().cast("uchar")
