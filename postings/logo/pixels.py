"""From a file's pixels to the picture that is stored: at most 512 x 512, upright, sRGB, a plain PNG."""

from io import BytesIO
from typing import Final

from PIL import Image, ImageChops

from postings.logo.errors import unreadable
from postings.logo.parts import Parts
from postings.logo.profile import to_srgb

SIDE: Final = 512  # pixels, at most
STRIP: Final = 1 << 20  # pixels that are converted at once: 4 MiB beside the decoded picture

_BROKEN: Final = (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, OverflowError, MemoryError)
_PREMULTIPLIED: Final = {"LA": "La", "RGBA": "RGBa"}
_STRAIGHT: Final = {"La": "LA", "RGBa": "RGBA"}
_SRGB_GAMMA: Final = 1 / 2.2
# EXIF 2.32, 4.6.4: what brings a picture of this orientation upright.
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def normalise(parts: Parts) -> bytes:
    """The stored PNG: the same bytes for the same file. BadLogo when the pixels do not decode."""
    try:
        with Image.open(BytesIO(parts.pixels), formats=[parts.kind]) as picture:
            if picture.size != (parts.width, parts.height):
                raise unreadable()
            small = _shrink(picture, parts)
    except _BROKEN as error:
        raise unreadable() from error
    return encode(_turned(_opaque(_coloured(small, parts)), parts.orientation))


def encode(picture: Image.Image) -> bytes:
    """A PNG of pixels alone."""
    out = BytesIO()
    picture.info.clear()
    picture.save(out, "PNG")
    return out.getvalue()


def target(width: int, height: int) -> tuple[int, int]:
    """The size within 512 x 512; nothing is enlarged, and nothing becomes thinner than a pixel."""
    longest = max(width, height)
    if longest <= SIDE:
        return width, height
    return max(1, round(width * SIDE / longest)), max(1, round(height * SIDE / longest))


def _shrink(picture: Image.Image, parts: Parts) -> Image.Image:
    """The picture at its target's size, as L, LA, RGB, RGBA or CMYK of 8 bits.

    Averaging over whole pixels first (to twice the target's size) makes the filter's cost independent of the size.
    """
    goal = target(parts.width, parts.height)
    picture.draft(None, (2 * goal[0], 2 * goal[1]))  # a JPEG is decoded at a smaller scale; others ignore it
    picture.load()
    if picture.size == goal:
        return _simple(picture, parts)
    width, height = picture.size
    across, down = max(1, width // (2 * goal[0])), max(1, height // (2 * goal[1]))
    reduced = _reduced(picture, parts, across, down)
    resized = reduced.resize(goal, Image.Resampling.LANCZOS, box=(0, 0, width / across, height / down))
    return resized.convert(_STRAIGHT.get(resized.mode, resized.mode))


def _reduced(picture: Image.Image, parts: Parts, across: int, down: int) -> Image.Image:
    """Each `across` x `down` pixels as their average, strip by strip: a whole one of the largest takes 64 MiB more."""
    width, height = picture.size
    size = -(-width // across), -(-height // down)
    rows = max(1, STRIP // (width * down)) * down
    reduced: Image.Image | None = None
    for top in range(0, height, rows):
        strip = _simple(picture.crop((0, top, width, min(height, top + rows))), parts)
        strip = strip.convert(_PREMULTIPLIED.get(strip.mode, strip.mode)).reduce((across, down))
        if reduced is None:
            reduced = Image.new(strip.mode, size)
        reduced.paste(strip, (0, top // down))
    assert reduced is not None
    return reduced


def _simple(picture: Image.Image, parts: Parts) -> Image.Image:
    """Every mode that the three decoders give, as one of five; a transparent colour as an alpha channel."""
    if picture.mode == "P":
        return picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    if picture.mode == "I;16":
        return _from_16_bits(picture, parts.transparent)
    if picture.mode == "1":
        picture = picture.convert("L")
    if picture.mode not in ("L", "LA", "RGB", "RGBA", "CMYK"):
        raise unreadable()
    return _with_alpha(picture, tuple(_to_8_bits(value, parts.depth) for value in parts.transparent))


def _from_16_bits(picture: Image.Image, transparent: tuple[int, ...]) -> Image.Image:
    """The upper 8 of 16 bits; Pillow's own conversion makes white of everything above 255."""
    raw = picture.tobytes()  # little-endian
    upper = Image.frombytes("L", picture.size, raw[1::2])
    if not transparent:
        return upper
    lower = Image.frombytes("L", picture.size, raw[0::2])
    is_it = ImageChops.multiply(_equals(upper, transparent[0] >> 8), _equals(lower, transparent[0] & 255))
    return Image.merge("LA", (upper, ImageChops.invert(is_it)))


def _with_alpha(picture: Image.Image, transparent: tuple[int, ...]) -> Image.Image:
    bands = picture.split()
    if not transparent or len(bands) != len(transparent):
        return picture
    is_it = _equals(bands[0], transparent[0])
    for band, value in zip(bands[1:], transparent[1:], strict=True):
        is_it = ImageChops.multiply(is_it, _equals(band, value))
    return Image.merge(picture.mode + "A", (*bands, ImageChops.invert(is_it)))


def _equals(band: Image.Image, value: int) -> Image.Image:
    return band.point([255 if each == value else 0 for each in range(256)])


def _to_8_bits(value: int, depth: int) -> int:
    return value >> 8 if depth == 16 else value * 255 // (2**depth - 1)


def _coloured(picture: Image.Image, parts: Parts) -> Image.Image:
    """In sRGB, the alpha channel untouched."""
    if picture.mode in ("LA", "RGBA"):
        *_, alpha = picture.split()
        colours = picture.convert(picture.mode[:-1])
        converted = _to_srgb(colours, parts)
        return Image.merge(converted.mode + "A", (*converted.split(), alpha))
    return _to_srgb(picture, parts)


def _to_srgb(picture: Image.Image, parts: Parts) -> Image.Image:
    if parts.profile or parts.gamma is None:
        return to_srgb(picture, parts.profile)
    return _by_gamma(picture, parts.gamma)


def _by_gamma(picture: Image.Image, gamma: float) -> Image.Image:
    """PNG's older way of naming brightness: stored = light ** gamma. sRGB's own is about 1/2.2."""
    if not 0.2 <= gamma <= 5 or abs(gamma - _SRGB_GAMMA) < 0.02:
        return picture
    curve = [round(255 * (each / 255) ** (_SRGB_GAMMA / gamma)) for each in range(256)]
    return picture.point(curve * len(picture.getbands()))


def _opaque(picture: Image.Image) -> Image.Image:
    """Without an alpha channel that says nothing."""
    if picture.mode in ("LA", "RGBA") and picture.getchannel("A").getextrema() == (255, 255):
        return picture.convert(picture.mode[:-1])
    return picture


def _turned(picture: Image.Image, orientation: int) -> Image.Image:
    turn = _TURNS.get(orientation)
    return picture if turn is None else picture.transpose(turn)
