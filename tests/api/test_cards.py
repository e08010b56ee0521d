"""Card numbers are found however they are written, what is none is left alone, and looking costs little."""

import json
import random
import re
import sys
import unicodedata
import uuid

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from pipeline.api import cards, fields
from pipeline.api.cards import has_card_number
from tests.api.conftest import NOTHING, problem, rows, wrong

GROUPS = ["4242", "4242", "4242", "4242"]
MARKS = ["", "\n", "\r\n", "\n\n\n", "\t", " ", "  ", ", ", ",", " ,", "\u00b7", " \u00b7 ", "|", " | ", " * ", ":"]
MARKS += ["\u2022", "\uff0d", "\uff0c", "/", "\\", "\u00d7", "~", "\u2028", "\0", "\u2212", "+", "=", "_", "'", '"']
MARKS += [")(", "&", "\u3000"]
INVISIBLE = ["\u200b", "\u00ad", "\u2060", "\ufeff", "\u0301", "\u200d", "\u202e", "\ufe0f", "\U000e0100"]
INVISIBLE += ["\u115f", "\u3164"]
# Of full width, Arabic, circled, raised, lowered, bold, with a full stop, Chinese, keycaps: 42 in each.
DIGITS = ["\uff14\uff12", "\u0664\u0662", "\u2463\u2461", "\u2074\u00b2", "\u2084\u2082", "\U0001d7d2\U0001d7d0"]
DIGITS += ["\u248b\u2489", "\u56db\u4e8c", "4\ufe0f\u20e32\ufe0f\u20e3"]
SPELLINGS = [
    *(mark.join(GROUPS) for mark in MARKS + INVISIBLE),
    *(pair * 8 for pair in DIGITS),
    *(mark.join("42" * 8) for mark in (" ", ",", "\n", *INVISIBLE)),
    "4242 4242\n4242, 4242",
    "4242-4242-\n4242-4242",
    "3782 822463 10005",
    "3782,822463,10005",
    "3782\u00b7822463\u00b710005",
    "4222 2222 2222 2",
    "4000 0000 0000 0000 006",
    "5555.5555.5555.4444",
    "6011 1111 1111 1117",
    "2223003122003222",
    "card:4000056655665556!",
    "x4242424242424242x",
    "42424242-4242-4242-0000-000000000000",
    4242424242424242,
    4242424242424242.0,
]


@pytest.mark.parametrize("card", SPELLINGS, ids=repr)
def test_every_spelling_of_a_card_number_is_found(card):
    assert has_card_number(card)
    assert has_card_number(f"No. {card}, please")


@pytest.mark.parametrize(
    "mark", ["%20", "%2D", "%C2%A0", "&nbsp;", "&#45;", "&#x2d;", "&emsp;", " " * 40, "\n" + " " * 12, "\t" * 9]
)
def test_a_number_is_found_as_a_page_shows_it(mark):
    assert has_card_number(f"https://example.com/?card={mark.join(['4242'] * 4)}")
    assert has_card_number("&#52;&#50;" * 8)


def test_every_mark_of_unicode_parts_groups_and_every_invisible_one_is_dropped():
    """Letters and other numbers end a number; all other characters do not."""
    every = [chr(code) for code in range(sys.maxunicode + 1)]
    letters = {each for each in every if unicodedata.category(each)[0] in "LN"} - set("\u115f\u1160\u3164\uffa0")
    for character in random.Random(1).sample(sorted(set(every) - letters), 5000):
        assert has_card_number(character.join(GROUPS)), hex(ord(character))


@pytest.mark.parametrize(
    "text",
    [
        "+4915112345678",
        "+378282246310005",
        "4242424242424243",
        "4242x4242x4242x4242",
        "Call 040 1234567 or 040 7654321 between 2026-01-01 and 2026-12-31",
        "040 1234567, 040 7654321, 040 1111111",
        "2026-11-28T09:30:00.123456Z, 2026-11-28T17:30:00.123456Z",
        "https://jobs.example.com/1234567890128",
        "0000000000000000",
        "52,000 - 65,000",
        "40,000, 45,000, 50,000",
        "09:30-17:30, 09:30-17:30, 10:00-14:00",
        "2019, 2020, 2021, 2022, 2023",
        "192.168.178.20",
        "ISBN 978-3-16-148410-0",
        "1\n2\n3\n4\n5\n6\n7\n8\n9",
        "pm_1OqXyL2eZvKYlo2CxGhBdR7f",
        "",
        10**30,
        1e308,
        float("inf"),
    ],
)
def test_other_numbers_are_no_card_numbers(text):
    assert not has_card_number(text)


def test_random_ids_are_never_taken_for_card_numbers():
    numbers = random.Random(1)
    for _ in range(20_000):
        made = uuid.UUID(int=numbers.getrandbits(128), version=4)
        assert not has_card_number(str(made))
        assert not has_card_number(f"form-{made.hex}")


@pytest.mark.parametrize(
    "text",
    ["4 ", "4", "4,2", "4a", "4242 ", "+4", "\u00e94", "4        4", "12345678-1234-1234-1234-", "4\u0301", "4\n"],
)
def test_looking_is_linear_in_the_length(monkeypatch, text):
    """At most seven candidates for each digit, each one subtraction; nothing is looked at twice."""
    tried = []
    is_valid = cards._Luhn.is_valid
    monkeypatch.setattr(cards._Luhn, "is_valid", lambda *given: tried.append(1) or is_valid(*given))
    long = text * (20_000 // len(text))
    has_card_number(long)
    assert len(tried) <= 7 * len(re.findall(r"\d", long))


@pytest.mark.parametrize("form", [False, True])
def test_only_known_fields_of_an_allowed_length_are_looked_at(post, fields, monkeypatch, form):
    seen = []
    for place in ("pipeline.api.fields", "postings.captcha"):
        monkeypatch.setattr(f"{place}.has_card_number", lambda value: seen.append(str(value)))
    body = fields | {"x": "4 " * 50_000, "4 4 " * 100: "1", "title": "4 " * 50_000, "plan": "4 " * 50_000}
    assert wrong(post(body, form=form)) == {"title": "max_length", "plan": "unknown_plan"}
    assert sum(map(len, seen)) < 2 * sum(len(value) for value in fields.values())


@pytest.mark.parametrize("mark", ["\n", ",", "\u00b7", "\u200b"])
def test_a_description_with_one_is_refused_in_json_and_in_a_form(post, fields, mark):
    body = fields | {"description": f"Please charge my card {mark.join(GROUPS)}, thank you very much."}
    for form in (False, True):
        assert wrong(post(body, form=form)) == {"description": "card_number"}
    assert rows() == NOTHING


@pytest.mark.parametrize("key", ["4242424242424242", "order-4242-4242-4242-4242", '"4242.4242.4242.4242"'])
def test_an_idempotency_key_is_looked_at_too(post, fields, key):
    body = problem(post(fields, key=key), 400, "idempotency_key_malformed")
    assert "4242" not in json.dumps(body)
    assert rows() == NOTHING


def test_an_order_s_lines_are_looked_at_too(http, db):
    body = {"buyer": "x", "line_items": [{"vendor": "4242, 4242, 4242, 4242", "amount": 1}]}
    headers = {"Idempotency-Key": "some-key-of-mine"}
    answer = http.post("/api/v1/orders/", json.dumps(body), content_type="application/json", headers=headers)
    assert wrong(answer) == {"buyer": "invalid", "line_items.0.vendor": "card_number"}


def test_a_file_s_name_is_not_kept(post, fields):
    from django.db import connection

    from tests.api.conftest import picture

    body = fields | {"logo": SimpleUploadedFile("4242424242424242.png", picture(), "image/png")}
    made = post(body, form=True)
    assert made.status_code == 202
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pipeline_pipeline p WHERE p::text LIKE '%424242%'")
        assert cursor.fetchone() == (0,)


def test_a_refused_choice_is_not_repeated(post, fields):
    body = post(fields | {"employment_type": "SLAVERY"}).json()
    assert "SLAVERY" not in json.dumps(body)
    assert "FULL_TIME" in body["errors"][0]["detail"]


def test_text_is_composed_however_its_characters_were_sent():
    for text in ("Mu\u0308nchen", "e\u0301\u0323", "\u1112\u1161\u11ab"):
        assert fields.normal(text) == unicodedata.normalize("NFC", text)
    piled = "a" + "\u0301\u0316" * 5_000
    assert fields.normal(piled) == piled, "sorting these takes quadratic time"
