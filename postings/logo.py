"""What may be a logo, decided by its bytes and never by its name: PNG, JPEG or WebP, small, one frame, whole."""

import re
import warnings
from io import BytesIO
from typing import Final

from PIL import Image, UnidentifiedImageError

MAX_BYTES: Final = 2 * 1024 * 1024
MAX_SIDE: Final = 4096  # pixels
FORMATS: Final = ("PNG", "JPEG", "WEBP")  # Pillow opens these and no other: each decoder is a surface of attack

_SIGNATURES: Final = re.compile(rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|RIFF....WEBP", re.DOTALL)
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, OverflowError, MemoryError)


class BadLogo(ValueError):
    """These bytes are refused as a logo; `code` for programs, the message for the customer."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def check(raw: bytes) -> None:
    """Raise BadLogo unless these bytes are a whole picture within the limits. Costs one decoding."""
    if len(raw) > MAX_BYTES:
        raise BadLogo("logo_too_large", "The logo is larger than 2 MiB: send a smaller one.")
    with warnings.catch_warnings():
        # Pillow's own alarm comes at 89 million pixels; ours below is stricter and comes before any decoding.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            with Image.open(BytesIO(raw), formats=FORMATS) as picture:
                _check_shape(picture)
                picture.load()
        except UnidentifiedImageError as error:
            raise _not_a_picture(raw) from error
        except Image.DecompressionBombError as error:
            raise _too_many_pixels() from error
        except _BROKEN as error:
            if isinstance(error, BadLogo):
                raise
            raise _unreadable() from error


def _check_shape(picture: Image.Image) -> None:
    if max(picture.size) > MAX_SIDE:
        raise _too_many_pixels()
    if min(picture.size) < 1:
        raise BadLogo("logo_unreadable", "The logo has no pixels: send another one.")
    if getattr(picture, "n_frames", 1) != 1:
        raise BadLogo("logo_animated", "The logo is animated: send a picture of one frame.")


def _too_many_pixels() -> BadLogo:
    return BadLogo("logo_dimensions", f"The logo is wider or higher than {MAX_SIDE} pixels: scale it down.")


def _unreadable() -> BadLogo:
    return BadLogo("logo_unreadable", "The logo is damaged or cut off: save it again and resend it.")


def _not_a_picture(raw: bytes) -> BadLogo:
    if _SIGNATURES.match(raw):
        return _unreadable()
    start = raw[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<svg", b"<?xml", b"<!doctype svg")) or b"<svg" in start:
        return BadLogo("logo_svg", "SVG is not accepted as a logo: send it as PNG, JPEG or WebP.")
    return BadLogo("logo_format", "The logo is none of PNG, JPEG and WebP, whatever its name says.")
