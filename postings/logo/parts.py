"""The parts of a picture file that a logo needs, found without decoding a pixel."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["PNG", "JPEG", "WEBP"]


@dataclass(frozen=True, slots=True)
class Parts:
    """`pixels` is the file without its metadata: decoders see nothing else.

    `memory` is what decoding takes at most, in bytes.
    """

    kind: Kind
    width: int
    height: int
    pixels: bytes
    memory: int
    profile: bytes = b""
    orientation: int = 1
    gamma: float | None = None
    is_plain: bool = False  # nothing but the pixels of a PNG of 8 bits a channel, as `encode` writes it
