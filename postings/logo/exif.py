"""The orientation in EXIF, which is a TIFF file (TIFF 6.0, section 2; EXIF 2.32, 4.6.4). Nothing else is read.

A general reader follows every entry's offset: 5,000 entries that point at the same 64 KiB take 320 MiB.
"""

import struct
from typing import Final

_PREFIX: Final = b"Exif\0\0"
_ORIENTATION: Final = 0x0112
_SHORT: Final = 3
_MAX_ENTRIES: Final = 1000  # cameras write about 20


def orientation(exif: bytes) -> int:
    """1 to 8; 1 (upright) when there is none or the data is damaged."""
    tiff = exif.removeprefix(_PREFIX)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, start)
        for number in range(min(count, _MAX_ENTRIES)):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", tiff, start + 2 + 12 * number)
            if tag == _ORIENTATION:
                return int(value) if kind == _SHORT and 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1
