"""What a body may cost before its fields are looked at, and how large an answer may become."""

import json
import tracemalloc
import unicodedata
from contextlib import suppress

import pytest
from django.http import multipartparser
from django.test import Client
from rest_framework.exceptions import ParseError

from pipeline.api.parsers import MOST_VALUES, StrictJSONParser
from pipeline.api.problems import MOST_ERRORS, Problem
from pipeline.models import Pipeline
from postings.logo import BadLogo
from postings.submission import logo_bytes
from tests.api.conftest import NOTHING, URL, problem, rows, wrong

LIMIT = 4 * 1024 * 1024


def filled(text):
    return (text * (LIMIT // len(text)))[:LIMIT]


MANY = {
    "lists": filled("["),
    "lists within a list": '{"a":[' + filled("[],")[: LIMIT - 20] + "[]]}",
    "objects": '{"a":[' + filled("{},")[: LIMIT - 20] + "{}]}",
    "names": "{" + ",".join(f'"n{number}":1' for number in range(300_000)) + "}",
    "numbers": '{"a":[' + "1," * 2_000_000 + "1]}",
    "deep objects": filled('{"a":'),
    "one number": '{"a":' + "1" * 4_000_000 + "}",
    "one fraction": '{"a":1.' + "1" * 4_000_000 + "}",
    "one exponent": '{"a":1e' + "1" * 4_000_000 + "}",
}


@pytest.mark.parametrize("name", MANY)
def test_a_body_of_many_values_is_refused_before_they_are_made(name):
    class Stream:
        def read(self, _size):
            return MANY[name].encode()

    tracemalloc.start()
    try:
        with suppress(ParseError):  # a number that is read, an infinite one say, is refused at its field
            StrictJSONParser().parse(Stream())
        assert tracemalloc.get_traced_memory()[1] < 32 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_as_many_values_as_are_allowed_are_read(post, fields):
    assert post(fields | {"more": [1] * (MOST_VALUES - 100)}).status_code == 202
    problem(post(fields | {"more": [1] * MOST_VALUES}), 400, "unparseable")


def test_a_description_of_commas_alone_is_no_body_of_many_values(post, fields):
    assert post(fields | {"description": "x" + "," * 19_999}).status_code == 202


def test_an_answer_names_fifty_errors_at_most_each_of_bounded_length(http):
    many = [{"field": "f" * 1000, "code": "invalid", "detail": "d" * 10_000} for _ in range(180_000)]
    answer = Problem(400, "invalid", "Wrong", "t" * 10_000, errors=many).response()
    assert len(json.loads(answer.content)["errors"]) == MOST_ERRORS
    assert len(answer.content) < 50_000


@pytest.mark.django_db
def test_many_wrong_fields_get_a_small_answer(http):
    items = [{"vendor": "", "amount": "x" * 1000} for _ in range(100)]
    body = json.dumps({"buyer": "x", "line_items": items})
    answer = http.post(
        "/api/v1/orders/", body, content_type="application/json", headers={"Idempotency-Key": "some-key-of-mine"}
    )
    found = problem(answer, 400, "invalid")
    assert len(found["errors"]) == MOST_ERRORS
    assert "201 fields are wrong: the first 50" in found["detail"]


def test_wrong_names_get_a_small_answer(post, plan):
    for names in ([f"n{number}" for number in range(40_000)], ["4242424242424242" + "9" * 50_000]):
        answer = post(dict.fromkeys(names, "4242424242424242"))
        assert set(wrong(answer)) >= {"title", "plan"}
        assert len(answer.content) < 10_000
    assert rows() == NOTHING


@pytest.mark.parametrize("count", [1001, 20_000])
def test_a_form_of_too_many_fields_is_refused(http, plan, count):
    parts = "".join(f'--x\r\nContent-Disposition: form-data; name="n{each}"\r\n\r\n1\r\n' for each in range(count))
    headers = {"Idempotency-Key": "some-key-of-mine"}
    answer = http.post(URL, parts + "--x--\r\n", content_type="multipart/form-data; boundary=x", headers=headers)
    problem(answer, 400)
    assert rows() == NOTHING


@pytest.mark.parametrize("head", ["", 'Content-Disposition: form-data; filename="a"', "Content-Disposition: form-data"])
@pytest.mark.parametrize("address", [URL, "/post/", "/admin/login/", "/nowhere/"])
def test_parts_without_a_name_are_counted_wherever_a_form_is_read(db, plan, monkeypatch, head, address):
    """Django looks at each of them, as many as there are, and forgets them."""
    seen = []
    parse = multipartparser.parse_boundary_stream
    monkeypatch.setattr(multipartparser, "parse_boundary_stream", lambda *given: seen.append(1) or parse(*given))
    body = f"--xxxxxxxx\r\n{head}\r\n\r\nx\r\n" * 60_000
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    headers = {"Idempotency-Key": "some-key-of-mine"}
    answer = client.post(
        address, body[:4_000_000], content_type="multipart/form-data; boundary=xxxxxxxx", headers=headers
    )
    assert answer.status_code in (400, 403, 404)
    assert len(seen) <= 300


@pytest.mark.parametrize("prefix", [";a=b" * 500_000, "a" * 2_000_000, ";" + "a" * 2_000_000])
def test_a_long_prefix_of_a_logo_is_none(post, fields, prefix):
    tracemalloc.start()
    try:
        assert set(wrong(post(fields | {"logo": f"data:{prefix}"}))) == {"logo"}
        assert tracemalloc.get_traced_memory()[1] < 32 * 1024 * 1024
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("number", ["9" * 4_299, "0." + "1" * 4_000, "1e" + "1" * 200])
def test_a_number_longer_than_any_amount_is_refused_unread(post, fields, number):
    text = json.dumps(fields | {"salary_min": 0}).replace('"salary_min": 0', f'"salary_min": {number}')
    problem(post(text), 400, "unparseable")


def test_a_logo_s_base64_is_read_without_an_object_for_each_piece_of_it():
    text = "AA== \n" * 600_000
    tracemalloc.start()
    try:
        with suppress(BadLogo):
            logo_bytes(text)
        assert tracemalloc.get_traced_memory()[1] < 16 * 1024 * 1024
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "name", ["logo" + " " * 1_000_000 + "x", " " * 1_000_000 + "logo x", "logo" + "[]" * 10_000 + "x"]
)
def test_a_long_name_that_begins_like_the_logo_s_is_looked_at_once(post, fields, name):
    assert post(fields | {name: 1}).status_code == 202


def test_a_byte_order_mark_before_json_is_taken(post, fields):
    body = json.dumps(fields).encode()
    made = post(b"\xef\xbb\xbf" + body, key="a-key-of-mine")
    assert made.status_code == 202
    assert post(body, key="a-key-of-mine")["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize("form", [False, True])
def test_composed_and_decomposed_characters_are_the_same_content(post, fields, form):
    text = "Müllerin für Köln, wo immer genügend Zeit für Spätzle bleibt: é, ộ, 각."
    composed = {name: unicodedata.normalize("NFC", text) for name in ("title", "location", "description")}
    decomposed = {name: unicodedata.normalize("NFD", text) for name in composed}
    assert composed != decomposed
    made = post(fields | decomposed, key="a-key-of-mine").json()
    assert post(fields | composed, key="a-key-of-mine", form=form)["Idempotent-Replayed"] == "true"
    assert Pipeline.objects.get(pk=made["id"]).input["title"] == composed["title"]


def test_the_longest_description_may_come_decomposed(post, fields):
    assert post(fields | {"description": "u\u0308" * 20_000}).status_code == 202


def test_a_value_beyond_any_field_is_compared_by_its_digest(post, fields):
    post(fields, key="a-key-of-mine")
    problem(post(fields | {"title": "\u00e9" * 500_000}, key="a-key-of-mine"), 422)


def test_the_schema_says_how_to_make_a_key():
    said = json.dumps(Client().get("/api/schema/", headers={"Accept": "application/json"}).content.decode())
    assert "UUID" in said
