"""The logo is decided by its bytes; whatever is no picture is a 400 for its field."""

import base64
import uuid
import zlib
from io import BytesIO

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from PIL import Image

from pipeline.models import Attachment, Pipeline
from postings import logo, submission
from tests import pictures_worst
from tests.api.conftest import NOTHING, URL, picture, rows, wrong
from tests.pictures import png_file


def animated(kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    out = BytesIO()
    frames[0].save(out, kind, save_all=True, append_images=frames[1:])
    return out.getvalue()


def bomb(width, height):
    """A PNG of a few kilobytes that says it has that many pixels."""
    return png_file((width, height, 8, 2, 0, 0, 0), zlib.compress(b"\0" * 1_000_000, 9))


GIF = picture(kind="GIF")
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
BAD = {
    "svg": (SVG, "logo_svg"),
    "svg with a declaration": (b'<?xml version="1.0"?>\n<!-- x -->' + SVG, "logo_svg"),
    "svg with a byte order mark": (b"\xef\xbb\xbf\n  " + SVG, "logo_svg"),
    "text": (b"I am a logo, believe me.\n" * 10, "logo_format"),
    "html": (b"<html><script>alert(1)</script></html>", "logo_format"),
    "gif": (GIF, "logo_format"),
    "bmp": (picture(kind="BMP"), "logo_format"),
    "tiff": (picture(kind="TIFF"), "logo_format"),
    "pdf": (b"%PDF-1.7\n" + b"x" * 100, "logo_format"),
    "one byte": (b"\x89", "logo_format"),
    "only a signature": (b"\x89PNG\r\n\x1a\n", "logo_unreadable"),
    "truncated png": (picture((300, 300))[:-200], "logo_unreadable"),
    "truncated jpeg": (picture((300, 300), "JPEG")[:-400], "logo_unreadable"),
    "truncated webp": (picture((300, 300), "WEBP", lossless=True)[:-30], "logo_unreadable"),
    "wrong checksum": (picture()[:40] + b"\0\0\0\0" + picture()[44:], "logo_unreadable"),
    "10,000 pixels wide": (picture((10_000, 1)), "logo_dimensions"),
    "4097 pixels high": (picture((1, 4097)), "logo_dimensions"),
    "a decompression bomb": (bomb(60_000, 60_000), "logo_dimensions"),
    "a bomb below Pillow's own limit": (bomb(9_000, 9_000), "logo_dimensions"),
    "a bomb of text": (pictures_worst.png_text(b"zTXt", 20 << 20), "logo_unreadable"),
    "400 scans": (pictures_worst.many_scans(400, (64, 64)), "logo_too_complex"),
    "animated webp": (animated("WEBP"), "logo_animated"),
    "animated png": (animated("PNG"), "logo_animated"),
    "2 MiB and 1 byte": ((picture() + b"\0" * 2_097_153)[:2_097_153], "logo_too_large"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_logo_is_an_error_of_its_field(post, fields, name):
    raw, code = BAD[name]
    as_file = SimpleUploadedFile("logo.png", raw, "image/png")
    assert wrong(post(fields | {"logo": as_file}, form=True)) == {"logo": code}
    assert wrong(post(fields | {"logo": base64.b64encode(raw).decode()})) == {"logo": code}
    assert rows() == NOTHING


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("size", [(1, 1), (4096, 4096), (4096, 1)])
def test_a_picture_within_the_limits_is_a_logo(kind, size):
    logo.stored_form(logo.inspect(picture(size, kind)), 0)


@pytest.mark.parametrize(
    "text", ["%%%%", "nonsense!", "data:image/png;base64", "data:image/png,abc", "äöü", "a", "=" * 10]
)
def test_bad_base64_is_an_error_of_the_field(post, fields, text):
    assert set(wrong(post(fields | {"logo": text}))) == {"logo"}
    assert rows() == NOTHING


@pytest.mark.parametrize("prefix", ["", "data:;base64,", "data:image/png;base64,", "DATA:image/png;name=x;base64,"])
def test_base64_comes_with_or_without_a_prefix(post, fields, prefix):
    text = base64.encodebytes(picture()).decode()  # with line ends, as MIME has it
    assert post(fields | {"logo": prefix + text}).status_code == 202


EMPTY = {
    "a file of no bytes": SimpleUploadedFile("logo.png", b"", "image/png"),
    "a part without a file's name": "",
    "a prefix and nothing behind it": "data:image/png;base64,",
    "blanks": "   ",
}


@pytest.mark.parametrize("name", EMPTY)
@pytest.mark.parametrize("form", [False, True])
def test_what_is_there_and_empty_is_refused_and_never_taken_for_no_logo(post, fields, name, form):
    value = EMPTY[name]
    if form or isinstance(value, str):
        assert wrong(post(fields | {"logo": value}, form=form)) == {"logo": "logo_empty"}
    assert rows() == NOTHING


def test_without_a_logo_or_with_null_there_is_none(post, fields):
    for body in (fields, fields | {"logo": None}):
        assert Pipeline.objects.get(pk=post(body).json()["id"]).input["has_logo"] is False


def part(name, content, filename=None):
    file = "" if filename is None else f'; filename="{filename}"'
    head = f'--x\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
    return head.encode() + content + b"\r\n"


def form_of(*parts):
    return b"".join(parts) + b"--x--\r\n"


@pytest.fixture
def post_parts(http, plan, fields):
    """Post these parts beside valid fields."""

    def send(*parts):
        typed = [part(name, str(value).encode()) for name, value in fields.items()]
        headers = {"Idempotency-Key": f"parts-{uuid.uuid4()}"}
        kind = "multipart/form-data; boundary=x"
        return http.post(URL, form_of(*typed, *parts), content_type=kind, headers=headers)

    return send


@pytest.mark.parametrize("name", [".", "..", "/", "a/", "\\", "\x01", "logo.png", "x" * 300])
def test_a_file_of_any_name_is_the_logo(post_parts, name):
    made = post_parts(part("logo", picture(), name))
    assert made.status_code == 202, made.content
    assert Pipeline.objects.get(pk=made.json()["id"]).input["has_logo"] is True
    assert wrong(post_parts(part("logo", b"nonsense", name))) == {"logo": "logo_format"}
    assert wrong(post_parts(part("logo", b"", name))) == {"logo": "logo_empty"}


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([part("logo", picture(), "a.png"), part("logo", picture(), "b.png")], "invalid"),
        ([part("logo", picture(), "a.png"), part("logo", b"text")], "invalid"),
        ([part("logo", b"%%")], "invalid_base64"),
        ([part("logo", b"", "")], "logo_empty"),
        ([part("logo[]", picture(), "a.png")], "misplaced_file"),
        ([part("logo[0]", b"abc")], "misplaced_file"),
        ([part("Logo", picture(), "a.png")], "misplaced_file"),
        ([part("picture", picture(), ".")], "misplaced_file"),
    ],
)
def test_a_logo_is_one_file_of_that_name(post_parts, parts, code):
    assert wrong(post_parts(*parts)) == {"logo": code}
    assert rows() == NOTHING


@pytest.mark.parametrize("name", [".", "/"])
def test_a_file_is_kept_though_the_csrf_check_has_read_the_form_first(fields, plan, name, django_user_model):
    client = Client(enforce_csrf_checks=True)
    client.force_login(django_user_model.objects.create_user("ann"))
    token = "t" * 32
    client.cookies["csrftoken"] = token
    typed = [part(each, str(value).encode()) for each, value in fields.items()]
    headers = {"Idempotency-Key": "of-a-session", "X-CSRFToken": token}
    body = form_of(*typed, part("logo", b"nonsense", name))
    assert wrong(client.post(URL, body, content_type="multipart/form-data; boundary=x", headers=headers)) == {
        "logo": "logo_format"
    }


# --- decoded once, and last ------------------------------------------------------------------------


@pytest.fixture
def decoded(monkeypatch):
    """The sizes of the pictures that were decoded."""
    sizes = []
    normalise = logo.normalise
    monkeypatch.setattr(logo, "normalise", lambda parts: sizes.append((parts.width, parts.height)) or normalise(parts))
    return sizes


def encoded(raw):
    return base64.b64encode(raw).decode()


def test_a_logo_is_decoded_once_when_everything_else_is_right(post, fields, decoded):
    assert post(fields | {"logo": encoded(picture())}).status_code == 202
    assert decoded == [(64, 32)]


def test_a_logo_is_not_decoded_while_another_field_is_wrong(post, fields, decoded):
    assert set(wrong(post(fields | {"title": "", "logo": encoded(picture())}))) == {"title"}
    assert set(wrong(post({"logo": encoded(pictures_worst.webp_bomb())}))) > {"title", "plan", "contact_email"}
    assert decoded == []


def test_a_bad_logo_stands_in_one_answer_with_the_other_wrong_fields(post, fields, decoded):
    cut_off = picture((300, 300))[:-200]
    for raw, code in ((SVG, "logo_svg"), (animated("WEBP"), "logo_animated"), (cut_off, "logo_unreadable")):
        assert wrong(post(fields | {"title": "", "logo": encoded(raw)})) == {"title": "required", "logo": code}
    assert decoded == []


def test_a_logo_that_fails_only_in_decoding_is_an_error_of_its_field(post, fields, decoded):
    whole = picture((300, 300), "JPEG")
    assert wrong(post(fields | {"logo": encoded(whole[: len(whole) // 2])})) == {"logo": "logo_unreadable"}
    assert decoded == [(300, 300)]
    assert rows() == NOTHING


def test_a_repeated_submission_decodes_nothing(post, fields, decoded):
    body = fields | {"logo": encoded(picture())}
    assert [post(body, key="one-and-the-same").status_code for _ in range(3)] == [202] * 3
    assert len(decoded) == 1


def test_what_is_kept_is_the_picture_as_it_will_be_stored(post, fields):
    raw = picture((1000, 500), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0CANARY")
    assert post(fields | {"logo": encoded(raw)}).status_code == 202
    kept = bytes(Attachment.objects.get().content)
    assert logo.is_plain(logo.inspect(kept))
    assert Image.open(BytesIO(kept)).size == (512, 256)
    assert b"CANARY" not in kept


def test_without_room_to_decode_the_customer_is_asked_to_come_again(post, fields, decoded, monkeypatch):
    monkeypatch.setattr(submission, "PATIENCE", 0.01)
    body = fields | {"logo": encoded(picture())}
    with logo.ROOM.take(logo.ROOM.size, 0):
        busy = post(body, key="come-again")
        assert post(fields).status_code == 202  # without a logo nothing is waited for
    assert busy.status_code == 503
    assert int(busy["Retry-After"]) > 0
    assert decoded == []
    assert post(body, key="come-again").status_code == 202
