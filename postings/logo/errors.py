"""Why bytes are refused as a logo. Each message tells the customer what to do."""

from typing import Final

MAX_SIDE: Final = 4096  # pixels


class BadLogo(ValueError):
    """These bytes are refused as a logo; `code` for programs, the message for the customer."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def unreadable() -> BadLogo:
    """The bytes are not a whole picture of their kind."""
    return BadLogo("logo_unreadable", "The logo is damaged or cut off: save it again and resend it.")


def too_costly(why: str) -> BadLogo:
    """The picture is valid, and decoding it would take more time or memory than one request may."""
    return BadLogo("logo_too_complex", f"The logo {why}. Scale it down or save it as an ordinary PNG or JPEG.")


def animated() -> BadLogo:
    """More than one frame."""
    return BadLogo("logo_animated", "The logo is animated: send a picture of one frame.")


def check_size(width: int, height: int) -> None:
    """BadLogo unless both sides are 1 to 4096 pixels."""
    if min(width, height) < 1:
        raise BadLogo("logo_unreadable", "The logo has no pixels: send another one.")
    if max(width, height) > MAX_SIDE:
        raise BadLogo("logo_dimensions", f"The logo is wider or higher than {MAX_SIDE} pixels: scale it down.")
