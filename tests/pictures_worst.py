"""The costliest pictures that fit into 2 MiB: what is refused for its cost, and what is just taken."""

import random
import re
import zlib
from functools import cache

from PIL import Image

from tests.pictures import ADAM7, CHANNELS, chunk, png_file, saved, with_chunk

SIDE = 4096
MOST_BYTES = 2 * 1024 * 1024


@cache
def noise():
    """Detail everywhere, at the largest size."""
    small = Image.frombytes("RGB", (512, 512), random.Random(1).randbytes(512 * 512 * 3))
    return small.resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def photo(**options):
    """A JPEG of nearly 2 MiB at the largest size."""
    return saved(noise(), "JPEG", **({"quality": 15} | options))


def many_scans(scans, size=(SIDE, SIDE), mode="L"):
    """A valid progressive JPEG of that many scans, of some 40 bytes each: one a coefficient, and over again from the
    64th, which is what only a file of ill will has.
    """
    whole = saved(Image.new(mode, size, 77), "JPEG", progressive=True)
    starts = [found.start() for found in re.finditer(rb"\xff\xda", whole)]
    first, second, third = starts[:3]
    after = whole.index(b"\xff\xc4", second)  # the tables of the third scan
    assert second < after < third
    tables, (head, data) = whole[first:second], (whole[second : second + 7], whole[second + 10 : after])
    bands = b"".join(head + bytes([1 + number % 63] * 2 + [0]) + data for number in range(scans - 1))
    return whole[:first] + tables + bands + whole[whole.rindex(b"\xff\xd9") :]


def webp_bomb(mode="RGB"):
    """706 bytes that unfold to 64 MiB."""
    return saved(Image.new(mode, (SIDE, SIDE)), "WEBP", lossless=True)


def webp_gradient(side):
    """A lossless WebP of more colours than a palette has."""
    ramp = Image.linear_gradient("L").resize((side, side))
    turned = ramp.transpose(Image.Transpose.ROTATE_90)
    return saved(Image.merge("RGB", (ramp, turned, ramp)), "WEBP", lossless=True, method=0)


def webp_alpha():
    """A lossy WebP with detail in its alpha channel alone."""
    flat, detail = Image.new("L", (SIDE, SIDE), 90), noise().convert("L").resize((1024, 1024)).resize((SIDE, SIDE), 0)
    return saved(Image.merge("RGBA", (flat, flat, flat, detail)), "WEBP", quality=10, alpha_quality=50, method=0)


def webp_photo():
    """A lossy WebP of nearly 2 MiB."""
    return saved(noise(), "WEBP", quality=25, method=0)


def png_rows(colour, depth=8, side=SIDE, row_filter=4):
    """A PNG of some kilobytes whose rows take the slowest of the filters (Paeth)."""
    length = side * CHANNELS[colour] * depth // 8
    row = bytes([row_filter]) + (bytes(range(1, 9)) * length)[:length]
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    return png_file((side, side, depth, colour, 0, 0, 0), data)


def png_interlaced(colour, side):
    """A PNG of seven passes: all of them are kept until the last."""
    packer, data = zlib.compressobj(9), b""
    for left, top, across, down in ADAM7:
        length = -(-(side - left) // across) * CHANNELS[colour]
        row = b"\4" + (bytes(range(1, 9)) * length)[:length]
        data += b"".join(packer.compress(row) for _ in range(-(-(side - top) // down)))
    return png_file((side, side, 8, colour, 0, 0, 1), data + packer.flush())


def png_endless_rows(size):
    """A PNG of one pixel whose rows go on for `size` bytes."""
    return png_file((1, 1, 8, 0, 0, 0, 0), zlib.compress(b"\0" * size, 9))


def png_text(name, size):
    """A PNG with a text or profile that unfolds to `size` bytes."""
    heads = {b"zTXt": b"Comment\0\0", b"iCCP": b"profile\0\0", b"iTXt": b"Comment\0\1\0\0\0"}
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(bytes(1 << 20)) for _ in range(size >> 20)) + packer.flush()
    return with_chunk(saved(Image.new("RGB", (64, 32), "teal"), "PNG"), name, heads[name] + data)


def png_chunks(count):
    """A PNG of that many empty chunks."""
    whole = saved(Image.new("RGB", (8, 8)), "PNG")
    return whole[:33] + chunk(b"teXt", b"") * count + whole[33:]


def jpeg_segments(count):
    """A JPEG of that many empty comments."""
    whole = saved(Image.new("RGB", (8, 8)), "JPEG")
    return whole[:2] + b"\xff\xfe\0\2" * count + whole[2:]


# What is taken, by name: the benchmarks measure each of them.
TAKEN = {
    "JPEG of 4096 x 4096": photo,
    "progressive JPEG of 4096 x 4096": lambda: photo(progressive=True),
    "progressive JPEG of as many scans as are taken": lambda: many_scans(20),
    "lossless WebP of 706 bytes": webp_bomb,
    "lossless WebP of 3600 x 3600": lambda: webp_gradient(3600),
    "WebP of 4096 x 4096": webp_photo,
    "WebP with alpha": webp_alpha,
    "RGBA PNG of 4096 x 4096": lambda: png_rows(6),
    "16-bit RGBA PNG": lambda: png_rows(6, 16, 2500),
    "16-bit PNG of grey and alpha": lambda: png_rows(4, 16, 3540),
    "palette PNG of 4096 x 4096": lambda: saved(Image.new("P", (SIDE, SIDE)), "PNG", transparency=0),
    "interlaced RGB PNG": lambda: png_interlaced(2, 3400),
    "PNG of a pixel and 100 MB": lambda: png_endless_rows(10**8),
}
# What is refused, by name: so is each without being decoded.
REFUSED = {
    "JPEG of 400 scans": lambda: many_scans(400),
    "progressive JPEG of 4096 x 4096 with all its colours": lambda: saved(
        Image.new("RGB", (SIDE, SIDE)), "JPEG", progressive=True, subsampling=0
    ),
    "progressive CMYK JPEG of 4096 x 4096": lambda: saved(Image.new("CMYK", (SIDE, SIDE)), "JPEG", progressive=True),
    "lossless WebP of 4096 x 4096 and many colours": lambda: webp_gradient(SIDE),
    "interlaced RGBA PNG of 4096 x 4096": lambda: png_interlaced(6, SIDE),
    "small JPEG of 40 scans": lambda: many_scans(40, (8, 8)),
    "PNG of a text of 20 MiB": lambda: png_text(b"zTXt", 20 << 20),
    "PNG of a profile of 20 MiB": lambda: png_text(b"iCCP", 20 << 20),
    "PNG of an international text of 20 MiB": lambda: png_text(b"iTXt", 20 << 20),
    "16-bit RGBA PNG of 4096 x 4096": lambda: png_rows(6, 16),
    "PNG of 100,000 chunks": lambda: png_chunks(100_000),
    "JPEG of 500,000 segments": lambda: jpeg_segments(500_000),
}
