"""What a logo may cost: counted before it is decoded, bounded while it is."""

import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from unittest.mock import patch

import pytest
import pyvips
from PIL import Image, ImageCms

from postings import logo
from postings.logo import jpeg
from postings.logo.room import MIB, NoRoom, Room
from tests import pictures, pictures_worst
from tests.pictures import saved


@pytest.fixture
def undecodable(monkeypatch):
    """Nothing may be decoded: an attempt fails the test."""

    def fail(*args, **kwargs):
        raise AssertionError("a picture was opened")

    monkeypatch.setattr(pyvips.Operation, "call", fail)


@pytest.mark.parametrize("name", pictures_worst.REFUSED)
def test_a_picture_that_costs_too_much_is_refused_without_being_decoded(name):
    raw = pictures_worst.REFUSED[name]()
    assert len(raw) <= logo.MAX_BYTES
    with patch.object(pyvips.Operation, "call", side_effect=AssertionError), pytest.raises(logo.BadLogo) as refused:
        logo.inspect(raw)
    assert refused.value.code in ("logo_too_complex", "logo_unreadable")


@pytest.mark.parametrize("name", pictures_worst.TAKEN)
def test_the_costliest_that_are_taken_are_decoded_within_the_bound(name):
    raw = pictures_worst.TAKEN[name]()
    assert len(raw) <= logo.MAX_BYTES
    parts = logo.inspect(raw)
    assert parts.memory <= logo.MOST_MEMORY
    assert max(Image.open(BytesIO(logo.stored_form(parts, 0))).size) <= 512


# --- JPEG: scans and blocks ------------------------------------------------------------------------


@pytest.mark.parametrize(("scans", "is_taken"), [(jpeg.MAX_SCANS, True), (jpeg.MAX_SCANS + 1, False)])
def test_scans_are_counted(scans, is_taken):
    raw = pictures_worst.many_scans(scans, (8, 8))
    if is_taken:
        assert logo.stored_form(logo.inspect(raw), 0)
    else:
        with pytest.raises(logo.BadLogo, match="too many scans"):
            logo.inspect(raw)


def test_what_a_scan_costs_is_its_components_blocks(monkeypatch):
    raw = saved(Image.new("RGB", (160, 80)), "JPEG", subsampling=0, progressive=True)
    # Of 200 blocks a component: two scans of all three, five of the first alone, two of each of the others.
    monkeypatch.setattr(jpeg, "MAX_VISITS", 200 * (2 * 3 + 4 + 2 * 2))
    logo.inspect(raw)
    monkeypatch.setattr(jpeg, "MAX_VISITS", jpeg.MAX_VISITS - 1)
    with pytest.raises(logo.BadLogo, match="too many scans"):
        logo.inspect(raw)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_an_ordinary_progressive_jpeg_of_the_largest_size_is_taken(mode):
    logo.inspect(saved(Image.new(mode, (4096, 4096), 99), "JPEG", progressive=True))


@pytest.mark.parametrize("subsampling", [0, 2])
def test_kept_coefficients_count_as_memory(subsampling):
    baseline = logo.inspect(saved(Image.new("RGB", (2048, 2048)), "JPEG", subsampling=subsampling)).memory
    progressive = saved(Image.new("RGB", (2048, 2048)), "JPEG", progressive=True, subsampling=subsampling)
    samples = 3 if subsampling == 0 else 1.5
    assert logo.inspect(progressive).memory - baseline == 2048 * 2048 * 2 * samples
    assert baseline == 12 * MIB


@pytest.mark.parametrize("frame", [0xC3, 0xC5, 0xC9, 0xCA, 0xCB, 0xCF])
def test_jpegs_that_no_browser_shows_are_refused(frame):
    """Lossless, hierarchical, arithmetic: the last needs no data to keep a decoder busy."""
    raw = saved(Image.new("RGB", (8, 8)), "JPEG").replace(b"\xff\xc0", b"\xff" + bytes([frame]))
    with pytest.raises(logo.BadLogo, match="rare kind"):
        logo.inspect(raw)


@pytest.mark.parametrize("tail", [b"\xff" * 2_000_000, b"\xff\0" * 1_000_000, b"\xff\xd0" * 1_000_000])
def test_the_walk_looks_at_each_byte_once(tail, monkeypatch):
    """Each search goes on where the last one ended, so that a long run costs one step and not one a byte."""
    searches = []

    class Counting:
        @staticmethod
        def search(raw, at):
            searches.append(at)
            return pattern.search(raw, at)

    pattern = jpeg._MARKER
    raw = saved(Image.new("RGB", (8, 8)), "JPEG")[:-2] + tail
    with patch.object(jpeg, "_MARKER", Counting):
        logo.inspect(raw)
    assert len(searches) < 20
    assert searches == sorted(searches)


# --- decoding --------------------------------------------------------------------------------------


@pytest.fixture
def decoded(monkeypatch):
    """The sizes that the loaders of libvips were asked for."""
    sizes, call = [], pyvips.Operation.call

    def watch(name, *args, **options):
        made = call(name, *args, **options)
        if name.endswith("load_buffer"):
            sizes.append((made.width, made.height))
        return made

    monkeypatch.setattr(pyvips.Operation, "call", watch)
    return sizes


@pytest.mark.parametrize(("kind", "size"), [("JPEG", (1024, 512)), ("WEBP", (1024, 512)), ("PNG", (4096, 2048))])
def test_a_large_picture_is_decoded_at_a_smaller_scale_where_its_format_can(decoded, kind, size):
    logo.stored_form(logo.inspect(saved(Image.new("RGB", (4096, 2048)), kind)), 0)
    assert decoded[-1] == size


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "PNG"])
def test_a_picture_is_read_in_one_pass_and_never_whole(monkeypatch, kind):
    options, call = [], pyvips.Operation.call
    monkeypatch.setattr(
        pyvips.Operation, "call", lambda name, *args, **kw: options.append(kw) or call(name, *args, **kw)
    )
    logo.stored_form(logo.inspect(saved(Image.new("RGB", (4096, 2048)), kind)), 0)
    loads = [each for each in options if "access" in each]
    assert loads
    assert {each["access"] for each in loads} == {"sequential"}


def test_a_decoder_sees_no_metadata(monkeypatch):
    """Every reader of metadata is one more that strangers can feed: EXIF, XMP, profiles, texts, a phone's extras."""
    exif = Image.Exif()
    exif[0x010E] = "CANARY"
    options = {"exif": exif, "icc_profile": b"CANARY" + pictures.SWAPPED, "xmp": b"CANARY", "comment": b"CANARY"}
    for kind in ("JPEG", "PNG", "WEBP"):
        raw = saved(Image.new("RGB", (8, 8)), kind, **options)
        assert b"CANARY" in raw
        assert b"CANARY" not in logo.inspect(raw).pixels
    text = pictures.with_chunk(saved(Image.new("RGB", (8, 8)), "PNG"), b"tEXt", b"Comment\0CANARY")
    assert b"CANARY" not in logo.inspect(text).pixels


def test_entries_that_point_at_one_place_are_not_read_each():
    entries = b"".join(
        (number % 60_000).to_bytes(2, "little") + b"\x07\0" + (60_000).to_bytes(4, "little") + b"\x08\0\0\0"
        for number in range(300, 5000)
    )
    exif = b"Exif\0\0II*\0\x08\0\0\0" + (4700).to_bytes(2, "little") + entries
    raw = saved(Image.new("RGB", (8, 8)), "JPEG", exif=exif)
    with patch.object(Image.Exif, "load", side_effect=AssertionError):
        assert logo.inspect(raw).orientation == 1
        logo.stored_form(logo.inspect(raw), 0)


def test_a_profile_larger_than_its_tables_is_never_opened(monkeypatch):
    opened = []
    monkeypatch.setattr(ImageCms, "ImageCmsProfile", opened.append)
    huge = pictures.icc(b"RGB ", {b"A2B0": pictures.table(3, 3, 255, b"", kind=b"mft2")}, connection=b"Lab ")
    logo.stored_form(logo.inspect(saved(Image.new("RGB", (8, 8)), "PNG", icc_profile=huge)), 0)
    assert opened == []


def test_texts_and_profiles_share_one_budget():
    whole = saved(Image.new("RGB", (8, 8)), "PNG")
    [one] = [pictures_worst.png_text(b"zTXt", 3 << 20)]
    text = one[33 : one.index(b"IDAT") - 4]
    logo.inspect(whole[:33] + text + whole[33:])
    with pytest.raises(logo.BadLogo):
        logo.inspect(whole[:33] + text * 2 + whole[33:])


def test_a_damaged_text_counts_by_what_it_may_have_come_to():
    whole, packed = saved(Image.new("RGB", (8, 8)), "PNG"), zlib.compress(bytes(3 << 20), 9)
    text = pictures.chunk(b"zTXt", b"Comment\0\0" + packed[:-4] + b"\0\0\0\0")
    logo.inspect(whole[:33] + text + whole[33:])
    with pytest.raises(logo.BadLogo):
        logo.inspect(whole[:33] + text * 2 + whole[33:])


def test_the_stored_picture_is_looked_at_and_not_decoded_again(undecodable):
    raw = saved(Image.new("RGB", (8, 8)), "PNG")
    assert logo.is_plain(logo.inspect(raw))


@pytest.mark.parametrize(
    "raw",
    [
        saved(Image.new("RGB", (513, 8)), "PNG"),
        saved(Image.new("P", (8, 8)), "PNG"),
        saved(Image.new("I;16", (8, 8)), "PNG"),
        saved(Image.new("RGB", (8, 8)), "JPEG"),
        saved(Image.new("RGB", (8, 8)), "PNG") + b"more",
        pictures.with_chunk(saved(Image.new("RGB", (8, 8)), "PNG"), b"tEXt", b"Comment\0x"),
        pictures.png([[(1,)] * 9] * 9, 8, 0, interlaced=True),
        pictures.png([[(1,)] * 9] * 9, 8, 0, before=pictures.chunk(b"tRNS", b"\0\1")),
    ],
)
def test_anything_else_is_not_taken_for_it(raw):
    assert not logo.is_plain(logo.inspect(raw))


# --- the room --------------------------------------------------------------------------------------


def test_no_more_is_taken_than_there_is():
    room, inside, most, lock = Room(10, seats=8), [0], [0], threading.Lock()
    begin = threading.Barrier(8)

    def work(amount):
        begin.wait()
        with room.take(amount, 30):
            with lock:
                inside[0] += min(amount, 10)
                most[0] = max(most[0], inside[0])
            threading.Event().wait(0.005)  # so that others would come in, if they could
            with lock:
                inside[0] -= min(amount, 10)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, [3, 7, 10, 99, 1, 5, 6, 4]))
    assert most[0] <= 10
    with room.take(10, 0):
        pass


def test_whoever_finds_no_seat_is_turned_away_at_once():
    room = Room(10, seats=1)
    with room.take(1, 0), pytest.raises(NoRoom), room.take(1, 3600):
        pass
    with room.take(10, 0):
        pass


def test_whoever_waits_too_long_is_turned_away_and_leaves_no_gap():
    room = Room(10, seats=3)
    with room.take(6, 0):
        with pytest.raises(NoRoom), room.take(6, 0.01):
            pass
        with room.take(4, 0):
            pass
    with room.take(10, 0):
        pass


def test_a_small_one_does_not_overtake_a_large_one_that_waits():
    room = Room(10, seats=3)
    order, first_is_in, leave = [], threading.Event(), threading.Event()

    def take(name, amount):
        with room.take(amount, 30):
            order.append(name)
            if name == "first":
                first_is_in.set()
                leave.wait(30)

    threads = [threading.Thread(target=take, args=each) for each in (("first", 5), ("large", 10), ("small", 1))]
    threads[0].start()
    assert first_is_in.wait(30)
    for number, thread in enumerate(threads[1:], start=1):
        thread.start()
        while len(room._line) < number:  # until it stands in line
            threading.Event().wait(0.001)
    leave.set()
    for thread in threads:
        thread.join(30)
    assert order == ["first", "large", "small"]


def test_a_decoder_that_fails_leaves_its_room():
    raw = saved(Image.new("RGB", (600, 600)), "JPEG")
    cut = logo.inspect(raw[: len(raw) // 2])
    for _ in range(20):
        with pytest.raises(logo.BadLogo):
            logo.stored_form(cut, 0)
    with logo.ROOM.take(logo.ROOM.size, 0):
        pass


@pytest.mark.parametrize("name", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize(
    "options", [{}, {"lossless": True}, {"progressive": True}, {"exif": b"Exif\0\0II*\0\x08\0\0\0\1\0"}]
)
def test_whatever_the_damage_it_is_the_customers_error(name, options):
    """Cut off or with a changed byte, at many places: a picture or a BadLogo, never another error."""
    raw = saved(
        Image.linear_gradient("L").resize((40, 30)).convert("RGB"), name, icc_profile=pictures.SWAPPED, **options
    )
    damaged = [raw[:length] for length in range(0, len(raw), 23)]
    damaged += [raw[:at] + bytes([raw[at] ^ 0xFF]) + raw[at + 1 :] for at in range(0, len(raw), 11)]
    for each in damaged:
        try:
            made = logo.stored_form(logo.inspect(each), 0)
        except logo.BadLogo:
            continue
        assert max(Image.open(BytesIO(made)).size) <= 512
