"""What is stored of a logo, looked at pixel by pixel: upright, in sRGB, small, and of nothing but pixels."""

from io import BytesIO

import pytest
from PIL import Image

from postings import logo
from postings.logo.profile import is_usable
from tests import pictures
from tests.pictures import png, saved

KINDS = {
    "PNG": {},
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True},
}
T = Image.Transpose
# How a camera that is held so stores an upright picture (EXIF 2.32, 4.6.4).
HELD = {
    1: None, 2: T.FLIP_LEFT_RIGHT, 3: T.ROTATE_180, 4: T.FLIP_TOP_BOTTOM,
    5: T.TRANSPOSE, 6: T.ROTATE_90, 7: T.TRANSVERSE, 8: T.ROTATE_270,
}  # fmt: skip
CORNERS = {(4, 4): (255, 0, 0), (59, 4): (0, 255, 0), (4, 27): (0, 0, 255), (59, 27): (255, 255, 0)}


def stored(raw):
    """The stored picture. Its bytes hold pixels and nothing else, and are stored as they are a second time."""
    made = logo.stored_form(logo.inspect(raw), 0)
    assert logo.is_plain(logo.inspect(made))
    assert logo.stored_form(logo.inspect(made), 0) == made
    picture = Image.open(BytesIO(made), formats=["PNG"])
    picture.load()
    assert picture.info == {}
    assert max(picture.size) <= 512
    return picture


def near(found, expected, tolerance=2):
    return all(abs(one - other) <= tolerance for one, other in zip(found, expected, strict=True))


def four_corners():
    picture = Image.new("RGB", (64, 32))
    for (left, top), colour in CORNERS.items():
        picture.paste(colour, (left // 32 * 32, top // 16 * 16, left // 32 * 32 + 32, top // 16 * 16 + 16))
    return picture


# --- upright ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", HELD)
@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_is_turned_upright_before_its_metadata_is_dropped(kind, orientation):
    held = HELD[orientation]
    picture = four_corners() if held is None else four_corners().transpose(held)
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = "a secret place"
    upright = stored(saved(picture, kind, exif=exif, **KINDS[kind]))
    assert upright.size == (64, 32)
    for corner, colour in CORNERS.items():
        assert near(upright.getpixel(corner), colour, 12), corner


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_of_exif_are_read(order):
    exif = Image.Exif()
    exif.endian = order
    exif[0x0112] = 6
    assert stored(saved(four_corners().transpose(T.ROTATE_90), "PNG", exif=exif)).size == (64, 32)


@pytest.mark.parametrize(
    "exif",
    [
        b"",
        b"Exif\0\0",
        b"nonsense",
        b"II*\0",
        b"II*\0\xff\xff\xff\xff",
        b"MM\0*\0\0\0\x08\xff\xff",
        b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x09\0\0",  # orientation 9
        b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x01\0\x06\0\0",  # a text
        b"II*\0\x08\0\0\0" + b"\xff\xff" + b"\1\1\7\0\xff\xff\0\0\0\0\0\0" * 5000,
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_exif_turns_nothing(kind, exif):
    raw = saved(four_corners(), kind, exif=exif, **KINDS[kind])
    assert near(stored(raw).getpixel((4, 4)), (255, 0, 0), 12)


# --- the first picture -----------------------------------------------------------------------------


def test_of_a_phones_two_pictures_the_first_is_taken():
    two = saved(four_corners(), "MPO", save_all=True, append_images=[Image.new("RGB", (64, 32))], quality=95)
    assert Image.open(BytesIO(two)).n_frames == 2
    assert near(stored(two).getpixel((4, 4)), (255, 0, 0), 12)


@pytest.mark.parametrize("behind", [b"\0" * 1000, b"\xff\xd8\xff" + b"x" * 100, b"trailer\xff\xda\0\2" * 100])
@pytest.mark.parametrize("kind", KINDS)
def test_what_follows_the_picture_is_ignored(kind, behind):
    whole = saved(four_corners(), kind, **KINDS[kind])
    assert logo.stored_form(logo.inspect(whole + behind), 0) == logo.stored_form(logo.inspect(whole), 0)


def test_a_jpeg_with_restart_markers_and_a_progressive_one_are_whole():
    for options in ({"restart_marker_blocks": 1}, {"progressive": True}, {"progressive": True, "subsampling": 2}):
        assert near(stored(saved(four_corners(), "JPEG", quality=95, **options)).getpixel((59, 27)), (255, 255, 0), 12)


# --- every mode ------------------------------------------------------------------------------------


def scaled(value, depth):
    return value * 255 // (2**depth - 1)


GREYS = [(depth, interlaced) for depth in (1, 2, 4, 8, 16) for interlaced in (False, True)]


@pytest.mark.parametrize(("depth", "interlaced"), GREYS)
def test_a_ramp_of_grey_stays_a_ramp(depth, interlaced):
    ramp = [round(each * (2**depth - 1) / 63) for each in range(64)]
    picture = stored(png([[(value,) for value in ramp]] * 9, depth, 0, interlaced=interlaced))
    assert picture.mode == "L"
    for place, value in enumerate(ramp):
        assert abs(picture.getpixel((place, 5)) - scaled(value, depth)) <= 1


@pytest.mark.parametrize(("depth", "interlaced"), GREYS)
def test_the_one_transparent_grey_is_transparent(depth, interlaced):
    most = 2**depth - 1
    rows = [[(most,), (0,), (most,), (0,)]] * 9
    raw = png(rows, depth, 0, pictures.chunk(b"tRNS", most.to_bytes(2)), interlaced)
    picture = stored(raw)
    assert picture.mode == "LA"
    assert picture.getpixel((0, 0))[1] == 0
    assert picture.getpixel((1, 0)) == (0, 255)


def test_of_16_bits_both_bytes_decide_what_is_transparent():
    picture = stored(png([[(0x1234,), (0x1235,), (0x1334,)]], 16, 0, pictures.chunk(b"tRNS", b"\x12\x34")))
    assert [picture.getpixel((place, 0))[1] for place in range(3)] == [0, 255, 255]


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("colour", [2, 4, 6])
def test_colours_and_alpha_of_both_depths_are_kept(colour, depth, interlaced):
    one = 2**depth // 256
    pixel = {2: (200, 100, 50), 4: (200, 128), 6: (200, 100, 50, 128)}[colour]
    picture = stored(png([[tuple(value * one for value in pixel)] * 9] * 9, depth, colour, interlaced=interlaced))
    expected = (200, 200, 200, 128) if colour == 4 else (*pixel, 255)[:4]
    assert near(picture.convert("RGBA").getpixel((8, 8)), expected, 1)


@pytest.mark.parametrize("depth", [8, 16])
def test_the_one_transparent_colour_is_transparent(depth):
    one = 2**depth // 256
    there, here = tuple(value * one for value in (9, 8, 7)), tuple(value * one for value in (9, 8, 6))
    key = b"".join(value.to_bytes(2) for value in there)
    picture = stored(png([[there, here]], depth, 2, pictures.chunk(b"tRNS", key)))
    assert picture.getpixel((0, 0))[3] == 0
    assert picture.getpixel((1, 0)) == (9, 8, 6, 255)


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_a_palette_keeps_its_colours_and_its_transparency(depth, interlaced):
    colours = pictures.chunk(b"PLTE", bytes([250, 10, 20, 30, 240, 40]))
    rows = [[(0,), (1,)] * 4] * 9
    picture = stored(png(rows, depth, 3, colours, interlaced))
    assert (picture.getpixel((0, 0)), picture.getpixel((1, 0))) == ((250, 10, 20), (30, 240, 40))
    picture = stored(png(rows, depth, 3, colours + pictures.chunk(b"tRNS", b"\x40"), interlaced))
    assert (picture.getpixel((0, 0)), picture.getpixel((1, 0))) == ((250, 10, 20, 64), (30, 240, 40, 255))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_mode_that_pillow_writes_as_png_is_taken(mode):
    assert stored(saved(Image.new(mode, (600, 8)), "PNG")).size == (512, 7)


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "CMYK", "YCbCr"])
def test_every_mode_that_pillow_writes_as_jpeg_is_taken(mode):
    assert stored(saved(Image.new(mode, (600, 8)), "JPEG")).size == (512, 7)


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_every_webp_is_taken(mode, lossless):
    picture = stored(saved(Image.new(mode, (600, 8), 77), "WEBP", lossless=lossless))
    assert picture.size == (512, 7)
    assert picture.mode == ("RGBA" if mode == "RGBA" else "RGB")


def test_alpha_of_a_lossy_webp_is_kept():
    picture = stored(saved(Image.new("RGBA", (64, 64), (200, 10, 10, 90)), "WEBP", quality=90))
    assert near(picture.getpixel((30, 30)), (200, 10, 10, 90), 8)


# --- colours ---------------------------------------------------------------------------------------

PROFILES = {"swapped": pictures.SWAPPED, "Display P3": pictures.DISPLAY_P3}
BRAND = {"swapped": (220, 30, 40), "Display P3": (200, 60, 60)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", PROFILES)
def test_colours_are_converted_by_the_pictures_profile(name, kind):
    brand, profile = BRAND[name], PROFILES[name]
    expected = pictures.truth("RGB", brand, profile)
    assert not near(expected, brand, 10)
    picture = stored(saved(Image.new("RGB", (700, 20), brand), kind, icc_profile=profile, **KINDS[kind]))
    assert near(picture.getpixel((300, 5)), expected, 6 if kind == "JPEG" else 1)


def test_a_profile_that_swaps_channels_turns_red_to_green():
    red, green, _ = stored(saved(Image.new("RGB", (8, 8), "red"), "PNG", icc_profile=pictures.SWAPPED)).getpixel((1, 1))
    assert (red, green) == (0, 255)


@pytest.mark.parametrize("mode", ["RGBA", "P"])
def test_a_profile_leaves_alpha_and_serves_palettes(mode):
    source = Image.new("RGBA", (8, 8), (220, 30, 40, 99))
    source = source.quantize(4) if mode == "P" else source
    picture = stored(saved(source, "PNG", icc_profile=pictures.SWAPPED))
    assert near(picture.getpixel((1, 1)), (*pictures.truth("RGB", (220, 30, 40), pictures.SWAPPED), 99), 2)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("ink", [(200, 50, 0, 0), (0, 255, 0, 0), (0, 0, 0, 255), (0, 0, 0, 0), (30, 60, 200, 20)])
def test_inks_are_converted_by_their_press_profile(ink, progressive):
    raw = saved(
        Image.new("CMYK", (700, 32), ink), "JPEG", quality=95, icc_profile=pictures.PRESS, progressive=progressive
    )
    assert near(stored(raw).getpixel((300, 10)), pictures.truth("CMYK", ink, pictures.PRESS), 4)


def test_inks_without_a_profile_are_converted_by_arithmetic():
    picture = stored(saved(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "JPEG", quality=95))
    assert near(picture.getpixel((1, 1)), (0, 255, 255), 3)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_grey_is_converted_by_a_grey_profile_and_stays_grey(kind):
    picture = stored(saved(Image.new("L", (8, 8), 60), kind, icc_profile=pictures.LINEAR_GREY))
    assert picture.mode == "L"
    assert abs(picture.getpixel((1, 1)) - pictures.truth("L", 60, pictures.LINEAR_GREY)[0]) <= 2
    assert picture.getpixel((1, 1)) > 100


def test_grey_with_alpha_too():
    source = Image.new("LA", (8, 8), (60, 77))
    grey, alpha = stored(saved(source, "PNG", icc_profile=pictures.LINEAR_GREY)).getpixel((1, 1))
    assert (grey > 100, alpha) == (True, 77)


HUGE = pictures.icc(b"RGB ", {b"A2B0": pictures.table(3, 3, 255, b"\0" * 24, kind=b"mft2")}, connection=b"Lab ")
GRID = pictures.icc(
    b"RGB ",
    {
        b"A2B0": b"mAB \0\0\0\0\3\3\0\0"
        + b"\0\0\0\0" * 3
        + b"\0\0\0\x20\0\0\0\0"
        + b"\xff\xff\xff"
        + b"\0" * 13
        + b"\2\0\0\0"
    },
    connection=b"Lab ",
)
ELEMENTS = pictures.icc(b"RGB ", {b"D2B0": b"mpet" + b"\0" * 60, b"wtpt": pictures.xyz(1, 1, 1)})
UNUSABLE = {
    "nothing": b"",
    "nonsense": b"nonsense" * 100,
    "cut off": pictures.SWAPPED[:200],
    "a header alone": pictures.SWAPPED[:128] + b"\xff\xff\xff\xff",
    "of another colour space": pictures.PRESS,
    "of grey": pictures.LINEAR_GREY,
    "a link between devices": pictures.SWAPPED[:12] + b"link" + pictures.SWAPPED[16:],
    "of named colours": pictures.SWAPPED[:12] + b"nmcl" + pictures.SWAPPED[16:],
    "a table of 99 MB in 1 kB": HUGE,
    "a grid of 99 MB in 1 kB": GRID,
    "a list of processing elements": ELEMENTS,
}


@pytest.mark.parametrize("name", UNUSABLE)
@pytest.mark.parametrize("kind", KINDS)
def test_a_profile_that_is_of_no_use_is_ignored(kind, name):
    picture = stored(saved(Image.new("RGB", (8, 8), (220, 30, 40)), kind, icc_profile=UNUSABLE[name], **KINDS[kind]))
    assert near(picture.getpixel((1, 1)), (220, 30, 40), 6)


@pytest.mark.parametrize("name", UNUSABLE)
def test_such_a_profile_is_not_even_opened(name):
    assert not is_usable(UNUSABLE[name], "RGB")


def test_a_profile_without_its_tables_is_ignored_too():
    empty = pictures.icc(b"CMYK", {b"wtpt": pictures.xyz(1, 1, 1)}, connection=b"Lab ")
    picture = stored(saved(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "JPEG", quality=95, icc_profile=empty))
    assert near(picture.getpixel((1, 1)), (0, 255, 255), 3)


@pytest.mark.parametrize(("stated", "expected"), [(45455, 60), (100000, 132), (0, 60), (1, 60)])
def test_a_pngs_gamma_counts_where_there_is_no_profile(stated, expected):
    raw = pictures.with_chunk(saved(Image.new("RGB", (8, 8), (60, 60, 60)), "PNG"), b"gAMA", stated.to_bytes(4))
    assert near(stored(raw).getpixel((1, 1)), (expected,) * 3)


# --- size ------------------------------------------------------------------------------------------

SIZES = {
    (1, 1): (1, 1), (512, 512): (512, 512), (513, 512): (512, 511), (300, 2): (300, 2), (1025, 1000): (512, 500),
    (4096, 1): (512, 1), (1, 4096): (1, 512), (4096, 3): (512, 1), (4095, 1021): (512, 128),
}  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_larger_than_512_pixels_and_nothing_is_enlarged(kind, size):
    picture = stored(saved(Image.new("RGB", size, (10, 200, 30)), kind))
    assert picture.size == SIZES[size]
    assert near(picture.getpixel((picture.width - 1, picture.height - 1)), (10, 200, 30), 6)


@pytest.mark.parametrize("size", [(1500, 1400), (4096, 300)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_scaled_down_is_in_its_place(kind, size):
    picture = stored(saved(four_corners().resize(size), kind, **KINDS[kind]))
    width, height = picture.size
    for (left, top), colour in CORNERS.items():
        assert near(picture.getpixel((left * width // 64, top * height // 32)), colour, 14)


def test_what_is_transparent_does_not_shine_through_when_scaled_down():
    raw = Image.new("RGBA", (2048, 2048), (255, 0, 0, 0))
    raw.paste((0, 255, 0, 255), (0, 0, 1027, 2048))
    picture = stored(saved(raw, "PNG"))
    for left in range(picture.width):
        red, _, _, alpha = picture.getpixel((left, 100))
        assert red <= 3 or alpha == 0
    assert picture.getpixel((0, 0)) == (0, 255, 0, 255)
    assert picture.getpixel((511, 0))[3] == 0


def test_colours_beneath_little_alpha_are_kept_where_nothing_is_scaled():
    picture = stored(saved(Image.new("RGBA", (8, 8), (201, 103, 57, 3)), "PNG"))
    assert picture.getpixel((1, 1)) == (201, 103, 57, 3)
