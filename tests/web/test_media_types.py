"""UTF-8 and plain, everywhere a body is read: whatever else a Content-Type names is refused before it is parsed."""

import asyncio
import encodings
import json
import pkgutil

import pytest
from django.test import AsyncRequestFactory, Client

from config.web import limits
from config.web.bodies import Edge
from config.web.media_types import PlainUtf8, refusal, refusal_of_headers
from tests.web.conftest import Answer, client_that_sends, scope

CODECS = sorted(
    {name for _, name, _ in pkgutil.iter_modules(encodings.__path__)} | {"rot13", "utf-16", "punycode", "x"}
)
PLACES = [
    "/api/v1/postings/",
    "/api/v1/registrations/",
    "/api/v1/orders/",
    "/post/",
    "/admin/login/",
    "/webhooks/twilio/",
    "/webhooks/stripe/",
    "/webhooks/sendgrid/",
    "/api/v1/nothing/",
    "/nothing/",
]
MULTIPART = "multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; name="title"\r\n\r\nA title\r\n--x--\r\n'


def form(*heads, body=b"value"):
    """A multipart body with a part for each of these heads."""
    return b"".join(b"--x\r\n" + head.encode() + b"\r\n\r\n" + body + b"\r\n" for head in heads) + b"--x--\r\n"


def judged(rf, content_type=MULTIPART, body=PART, **headers):
    problem = refusal(rf.generic("POST", "/", body, content_type=content_type, headers=headers))
    return problem and problem.status_code


@pytest.mark.parametrize("path", PLACES)
@pytest.mark.parametrize("type", [MULTIPART, "application/json", "application/x-www-form-urlencoded", "text/plain"])
def test_another_charset_is_415_everywhere(path, type):
    """Raises what a view raises: nothing may be parsed."""
    client = Client(enforce_csrf_checks=True)
    client.cookies["csrftoken"] = "a" * 32
    for charset in ("idna", "utf-7", '"punycode"', "UTF-16"):
        response = client.generic("POST", path, PART, content_type=f"{type}; charset={charset}")
        assert response.status_code == 415, charset
        assert response["Content-Type"] == "application/problem+json"
        assert response.json()["code"] == "unsupported_media_type"


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_of_python_but_utf8_and_ascii_is_refused(rf, codec):
    expected = None if codec == "ascii" else 415
    for media in (MULTIPART, "application/json"):
        assert judged(rf, f"{media}; charset={codec}") == expected
    part = f'Content-Disposition: form-data; name="a"\r\nContent-Type: text/plain; charset={codec}'
    assert judged(rf, body=form(part)) == expected


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", '"utf-8"', "utf8", "us-ascii", "US-ASCII"])
def test_utf8_is_read_as_utf8_however_it_is_spelled(rf, charset):
    request = rf.generic("POST", "/?q=%C3%A9", "a=%C3%A9", f"application/x-www-form-urlencoded; charset={charset}")
    assert refusal(request) is None
    assert (request.POST["a"], request.GET["q"]) == ("é", "é")


def test_a_page_is_shown_whatever_charset_a_request_without_body_names(rf):
    request = rf.get("/?q=%C3%A9", headers={"Content-Type": "text/plain; charset=latin-1"})
    assert refusal(request) is None
    assert request.GET["q"] == "é"


@pytest.mark.parametrize(
    "type",
    [
        f"{MULTIPART}; charset*=idna''x",
        f"{MULTIPART}; charset*0=id; charset*1=na",
        f"{MULTIPART}; charset=utf-8; charset=idna",
        f"{MULTIPART}; charset=idna; charset=utf-8",
        f'{MULTIPART}; charset="ut\\f-8"',
        f"{MULTIPART}; boundary=y",
        "multipart/form-data, application/json",
        "json",
        "application/json; charset",
        'application/json; a="',
        "application/json; é=1",
        ";",
    ],
)
def test_a_malformed_content_type_is_415(rf, type):
    """By the headers alone: Django's request cannot even be made of some of them."""
    assert refusal_of_headers(type, "").status_code == 415


@pytest.mark.parametrize("type", ["application/json;charset=utf-8", "application/json ; v=1 ;", 'a/b+c; x="y; z=1"'])
def test_what_clients_send_is_taken(rf, type):
    assert judged(rf, type) is None


@pytest.mark.parametrize("boundary", ["", "; boundary=", '; boundary=""', f"; boundary={'x' * 71}", '; boundary="a "'])
def test_a_boundary_must_be_one(rf, boundary):
    assert judged(rf, f"multipart/form-data{boundary}") in {400, 415}


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ('Content-Disposition: form-data; name="a"', None),
        ("Content-Disposition: form-data; name=title\r\nContent-Type: text/plain; charset=utf-8", None),
        ('Content-Disposition: form-data; name="a"; filename="é.png"\r\nContent-Type: image/png', None),
        ("Content-Disposition: form-data; name=\"a\"; filename*=UTF-8''na%C3%AFve.png", None),
        ('Content-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: 8bit\r\nContent-Length: 5', None),
        ("Content-Disposition: form-data; name*=idna''x", 415),
        ("Content-Disposition: form-data; name*0*=punycode''x; name*1=y", 415),
        ("Content-Disposition: form-data; name=a; filename*=utf-7''x", 415),
        ("X: y; z*=rot13''x", 415),
        ('Content-Disposition: form-data; name="a"\r\nContent-Type: multipart/mixed; boundary=y', 415),
        ('Content-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: base64', 400),
        ('content-disposition: form-data; name="a"\r\nCONTENT-TRANSFER-ENCODING:\tQuoted-Printable', 400),
        ('Content-Disposition: form-data; name="a"\r\nX: ' + "y" * 1024, 400),
        ("X: y\r\n" * 300, 400),
    ],
    ids=range(14),
)
def test_the_headers_of_a_part_are_held_to_the_same(rf, head, status):
    assert judged(rf, body=form('Content-Disposition: form-data; name="first"', head)) == status


def test_a_part_is_looked_at_wherever_django_would_find_it(rf):
    bad = b"content-disposition: form-data; name*=idna''x\r\n\r\nvalue"
    assert judged(rf, body=bad + b"\r\n--x--") == 415, "before the first boundary"
    assert judged(rf, body=PART + bad) == 415, "after the last"
    assert judged(rf, body=b"--x" + b"\r\n--x--x\r\n" + bad) == 415, "after a boundary within a line"


def test_a_body_of_too_many_parts_is_400(rf):
    head = 'Content-Disposition: form-data; name="a"'
    assert judged(rf, body=form(*[head] * limits.MAX_PARTS)) is None
    assert judged(rf, body=form(*[head] * (limits.MAX_PARTS + 2))) == 400


def test_the_parts_of_any_body_are_found_in_a_bounded_number_of_steps(rf):
    """Four MiB of nothing but boundaries: no more is looked at than may be there."""

    class Counted(bytes):
        finds = 0

        def find(self, *arguments):
            Counted.finds += 1
            return super().find(*arguments)

    request = rf.generic("POST", "/", b"x", content_type=MULTIPART)
    request._body = Counted(b"--x" * (4 * 1024 * 1024 // 3))
    assert refusal(request).status_code == 400
    assert Counted.finds <= limits.MAX_PARTS + 2


@pytest.mark.parametrize("path", PLACES)
@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "zstd", "gzip, identity", "GZIP", "x"])
def test_a_compressed_body_is_415_by_name(path, coding):
    response = Client().post(path, b"\x1f\x8b", content_type="application/json", headers={"Content-Encoding": coding})
    assert response.status_code == 415
    assert response["Accept-Encoding"] == "identity"
    assert response.json()["code"] == "unsupported_content_encoding"
    assert "Content-Encoding" in response.json()["detail"]


def test_identity_is_no_coding(rf):
    assert judged(rf, "application/json", b"{}", **{"Content-Encoding": "identity"}) is None


def test_it_is_the_same_in_an_asynchronous_chain():
    async def view(request):
        raise AssertionError("it was handed on")

    request = AsyncRequestFactory().post("/", b"x", content_type="text/plain; charset=idna")
    response = asyncio.run(PlainUtf8(view)(request))
    assert (response.status_code, json.loads(response.content)["status"]) == (415, 415)


def asked(app, given, *parts):
    answer = Answer()
    asyncio.run(app(given, client_that_sends(*parts), answer.send))
    return answer


async def unreachable(*_):
    raise AssertionError("it was handed on")


@pytest.mark.parametrize("type", ["text/plain; charset*=idna''x", "text/plain; charset=idna", "x" * 200])
def test_before_django_a_body_is_refused_by_its_headers(type):
    given = scope("/?q=%C3%A9", "POST", [("content-type", type), ("content-length", "1")])
    answer = asked(Edge(unreachable), given, b"x")
    assert (answer.status, answer.headers["content-type"]) == (415, "application/problem+json")


def test_before_django_a_compressed_body_is_refused():
    answer = asked(Edge(unreachable), scope("/", "POST", [("content-encoding", "gzip"), ("content-length", "1")]), b"x")
    assert (answer.status, answer.headers["accept-encoding"]) == (415, "identity")


def test_a_request_without_body_has_no_content_type_for_django():
    """Its charset would decode the address."""
    seen = []

    async def app(scope, receive, send):
        seen.extend(scope["headers"])

    asked(Edge(app), scope("/?q=%C3%A9", headers=[("content-type", "text/plain; charset*=idna''x")]))
    assert seen == [(b"host", b"127.0.0.1")]
