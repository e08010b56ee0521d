"""Picture files, byte by byte: what Pillow does not write, or not to the letter."""

import struct
import zlib
from io import BytesIO

from PIL import Image, ImageCms

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a PNG's colour types: grey, RGB, palette, grey with alpha, RGBA
_WHOLE = ((0, 0, 1, 1),)
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def saved(picture, kind, **options):
    out = BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


# --- PNG -------------------------------------------------------------------------------------------


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_file(header, data, before=b""):
    """Of IHDR's seven values, compressed rows, and chunks before them."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", *header))
    return b"\x89PNG\r\n\x1a\n" + head + before + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def png(rows, depth, colour, before=b"", interlaced=False):
    """A PNG of rows of pixels, each a tuple of channels in units of `depth` bits."""
    width, height = len(rows[0]), len(rows)
    data = b""
    for left, top, across, down in ADAM7 if interlaced else _WHOLE:
        for row in rows[top::down]:
            if pixels := row[left::across]:
                data += b"\0" + _packed(pixels, depth)
    return png_file((width, height, depth, colour, 0, 0, int(interlaced)), zlib.compress(data), before)


def _packed(pixels, depth):
    bits = "".join(f"{value:0{depth}b}" for pixel in pixels for value in pixel)
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8)


def with_chunk(whole, name, data):
    """The PNG with one more chunk behind its header."""
    return whole[:33] + chunk(name, data) + whole[33:]


# --- ICC -------------------------------------------------------------------------------------------


def icc(space, tags, *, connection=b"XYZ ", device=b"mntr", version=b"\x02\x40\0\0"):
    """A profile of these tags, by name."""
    body, table, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, given in tags.items():
        data = given + b"\0" * (-len(given) % 4)
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data
    white = struct.pack(">iii", *(round(each * 65536) for each in (0.9642, 1.0, 0.8249)))
    head = b"\0\0\0\0lcms" + version + device + space + connection + b"\0" * 12 + b"acsp" + b"\0" * 28 + white
    whole = head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body
    return struct.pack(">I", len(whole)) + whole[4:]


def xyz(*values):
    return b"XYZ \0\0\0\0" + struct.pack(">iii", *(round(value * 65536) for value in values))


def gamma(value):
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256))


def rgb_profile(red, green, blue, curve=2.2):
    tags = {b"wtpt": xyz(0.9642, 1.0, 0.8249), b"rXYZ": xyz(*red), b"gXYZ": xyz(*green), b"bXYZ": xyz(*blue)}
    return icc(b"RGB ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), gamma(curve)))


RED, GREEN, BLUE = (0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)  # sRGB's, for D50
SWAPPED = rgb_profile(GREEN, RED, BLUE)  # what says red is green
DISPLAY_P3 = rgb_profile((0.5151, 0.2412, -0.0011), (0.2919, 0.6922, 0.0419), (0.1572, 0.0666, 0.7841))
LINEAR_GREY = icc(b"GRAY", {b"wtpt": xyz(0.9642, 1.0, 0.8249), b"kTRC": gamma(1.0)})


def table(inputs, outputs, grid, values, kind=b"mft1"):
    """A table from device to Lab: `values` are the grid's, the last input going fastest."""
    matrix = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    straight = bytes(range(256))
    return (
        kind + b"\0\0\0\0" + bytes([inputs, outputs, grid, 0]) + matrix
        + straight * inputs + bytes(values) + straight * outputs
    )  # fmt: skip


def _press():
    """Inks that print otherwise than the arithmetic says: cyan is nearly violet, yellow is dull."""
    values = []
    for number in range(16):
        cyan, magenta, yellow, black = (number >> shift & 1 for shift in (3, 2, 1, 0))
        light = max(8, 250 - 90 * cyan - 80 * magenta - 30 * yellow - 200 * black)
        values += [light, 128 + 25 * cyan + 60 * magenta - 10 * yellow, 128 - 70 * cyan + 45 * yellow]
    return icc(b"CMYK", {b"A2B0": table(4, 3, 2, values)}, connection=b"Lab ", device=b"prtr")


PRESS = _press()


def truth(mode, colour, profile):
    """The colour in sRGB, as LittleCMS says."""
    one = Image.new(mode, (1, 1), colour)
    source = ImageCms.ImageCmsProfile(BytesIO(profile))
    made = ImageCms.profileToProfile(one, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    return made.getpixel((0, 0))
