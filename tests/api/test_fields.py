"""Bad input, field by field: each is refused with a code, none gives a 500, none leaves a row behind."""

import json
import sys
import unicodedata

import pytest

from pipeline.api import fields as checks
from pipeline.api.acceptance import Invalid
from pipeline.api.cards import has_card_number
from pipeline.models import Pipeline
from postings.submission import PostingAcceptance
from tests.api.conftest import NOTHING, URL, problem, rows, wrong

ONE_LINE = [
    "title",
    "company_name",
    "company_website",
    "location",
    "country",
    "salary_currency",
    "apply_url",
    "contact_email",
    "contact_phone",
    "plan",
    "payment_method",
]
TEXT = [*ONE_LINE, "description", "employment_type", "salary_unit"]
SALARY = {"salary_min": 100, "salary_currency": "EUR", "salary_unit": "MONTH"}
VALID = {
    "company_website": "https://www.example.com/",
    "contact_phone": "+4940123456",
    "remote": True,
    "salary_max": 200,
} | SALARY


def validated(body):
    """{field: code}, without HTTP around it."""
    with pytest.raises(Invalid) as raised:
        PostingAcceptance().validate(body)
    return {error["field"]: error["code"] for error in raised.value.errors}


def refused(post, body, **options):
    found = wrong(post(body, **options))
    assert rows() == NOTHING
    return found


@pytest.mark.parametrize(
    "required",
    ["title", "company_name", "description", "employment_type", "country", "contact_email", "plan", "payment_method"],
)
@pytest.mark.parametrize("nothing", ["missing", None, "", "   "])
def test_a_required_field_must_be_given(plan, fields, required, nothing):
    body = fields | {required: nothing}
    if nothing == "missing":
        del body[required]
    assert validated(body) == {required: "required"}


def test_all_optional_fields_are_taken(post, fields):
    made = post(fields | VALID)
    assert made.status_code == 202, made.content
    stored = Pipeline.objects.get(pk=made.json()["id"]).input
    assert {name: stored[name] for name in VALID} == VALID


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("title", "ab", "min_length"),
        ("title", "x" * 121, "max_length"),
        ("company_name", "x" * 121, "max_length"),
        ("description", "x" * 29, "min_length"),
        ("description", "x" * 20_001, "max_length"),
        ("location", "x" * 121, "max_length"),
        ("employment_type", "full_time", "invalid_choice"),
        ("employment_type", "SLAVERY", "invalid_choice"),
        ("country", "Germany", "unknown_country"),
        ("country", "XX", "unknown_country"),
        ("country", "DEU", "unknown_country"),
        ("country", "\u216e", "unknown_country"),
        ("company_website", "http://www.example.com/", "not_https"),
        ("company_website", "www.example.com", "invalid_url"),
        ("company_website", "javascript:alert(1)", "invalid_url"),
        ("company_website", "https://", "invalid_url"),
        ("company_website", "https://user:secret@example.com/", "invalid_url"),
        ("company_website", "https://[::1", "invalid_url"),
        ("company_website", "https://example.com/" + "x" * 500, "max_length"),
        ("contact_email", "nobody", "invalid"),
        ("contact_email", "a@b@c.example", "invalid"),
        ("contact_email", "a" * 250 + "@example.com", "max_length"),
        ("contact_phone", "040123456", "invalid_phone"),
        ("contact_phone", "+0401234567", "invalid_phone"),
        ("contact_phone", "+49401234567890123", "invalid_phone"),
        ("contact_phone", "+49 40 123456", "invalid_phone"),
        ("plan", "nonsense", "unknown_plan"),
        ("plan", "x" * 1000, "unknown_plan"),
        ("plan", "../../etc", "unknown_plan"),
        ("payment_method", "card_123", "invalid_payment_method"),
        ("payment_method", "pm_", "invalid_payment_method"),
        ("payment_method", "pm_a b", "invalid_payment_method"),
        ("payment_method", "pm_" + "a" * 255, "max_length"),
        ("remote", "perhaps", "invalid"),
        ("remote", 2, "invalid"),
        ("salary_min", "lots", "invalid"),
        ("salary_min", 1.5, "invalid"),
        ("salary_min", -1, "min_value"),
        ("salary_min", True, "invalid"),
        ("salary_min", 10**13, "max_value"),
        ("salary_min", 7 * 10**90, "max_value"),
        ("salary_min", "9" * 5000, "invalid"),
        ("salary_max", 99, "less_than_minimum"),
        ("salary_currency", "EURO", "unknown_currency"),
        ("salary_currency", "ABC", "unknown_currency"),
        ("salary_unit", "CENTURY", "invalid_choice"),
    ],
)
def test_a_rule_of_the_table_is_kept(post, fields, field, value, code):
    assert refused(post, fields | SALARY | {field: value}) == {field: code}


@pytest.mark.parametrize(
    ("body", "missing"),
    [
        ({"salary_min": 1}, {"salary_currency", "salary_unit"}),
        ({"salary_max": 1}, {"salary_min", "salary_currency", "salary_unit"}),
        ({"salary_currency": "EUR"}, {"salary_min", "salary_unit"}),
        ({"salary_unit": "DAY", "salary_min": 1}, {"salary_currency"}),
    ],
)
def test_a_salary_is_given_whole_or_not_at_all(post, fields, body, missing):
    assert refused(post, fields | body) == dict.fromkeys(missing, "required")


def test_a_place_is_required_unless_remote(post, fields):
    body = {name: value for name, value in fields.items() if name != "location"}
    assert refused(post, body) == {"location": "required"}
    assert refused(post, body | {"remote": "false"}, form=True) == {"location": "required"}
    assert post(body | {"remote": True}).status_code == 202


def test_there_is_exactly_one_way_to_apply(post, fields):
    both = fields | {"apply_url": "https://jobs.example.com/1"}
    assert refused(post, both) == {"apply_url": "both_given", "apply_email": "both_given"}
    del fields["apply_email"]
    assert refused(post, fields) == {"apply_url": "required", "apply_email": "required"}
    assert post(fields | {"apply_url": "https://jobs.example.com/1"}).status_code == 202


@pytest.mark.parametrize("field", ONE_LINE)
def test_control_characters_are_refused_in_every_line(post, plan, fields, field):
    value = (VALID | fields).get(field, "x")
    assert refused(post, fields | {field: f"{value}\r\nBcc: a@example.com"})[field] == "control_characters"
    for bad in ("\0", "\r\n", "\n", "\r", "\t", "\x1b", "\x7f", "\x85", "\u2028", "\u2029"):
        for text in (f"{value}{bad}", f"{bad}{value}", f"{value}{bad}x"):
            assert validated(fields | {field: text})[field] == "control_characters"


@pytest.mark.parametrize("bad", ["\0", "\x08", "\x1b", "\x7f"])
def test_a_description_has_no_control_characters_but_tabs_and_line_ends(post, fields, bad):
    assert refused(post, fields | {"description": fields["description"] + bad}) == {"description": "control_characters"}


def test_line_ends_in_a_description_become_newlines(post, fields):
    made = post(fields | {"description": "One line that is long enough.\r\n\tTwo.\rThree."})
    stored = Pipeline.objects.get(pk=made.json()["id"]).input["description"]
    assert stored == "One line that is long enough.\n\tTwo.\nThree."


@pytest.mark.parametrize("field", TEXT)
def test_broken_text_is_refused(post, fields, field):
    found = refused(post, fields | {field: "\ud800 a lone surrogate"})
    assert found[field] in ("invalid_encoding", "invalid_choice")


def test_broken_utf8_in_a_form_is_refused(http, plan, fields):
    body = "".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()
    ).encode()
    body = body.replace(b"Hamburg", b"Hamb\xff\xferg") + b"--x--\r\n"
    headers = {"Idempotency-Key": "some-key"}
    response = http.post(URL, body, content_type="multipart/form-data; boundary=x", headers=headers)
    assert wrong(response) == {"location": "invalid_encoding"}


@pytest.mark.parametrize("field", [*TEXT, "remote", "salary_min", "logo"])
def test_a_value_of_another_type_is_an_error_of_its_field(post, fields, field):
    assert field in refused(post, fields | SALARY | {field: {"a": [1]}})
    taken = {"remote": {True, 0}, "salary_min": {0, 5}}.get(field, set())
    for value in ([], {}, ["a"], {"a": "b"}, 5, 0, 1.5, -1, True, [[[]]], 10**30, 1e308, float("inf")):
        if not (isinstance(value, int) and value in taken and type(value) in map(type, taken)):
            assert field in validated(fields | SALARY | {field: value}), value


def test_a_field_that_comes_twice_in_a_form_is_refused(post, fields):
    assert refused(post, fields | {"title": ["One title", "Another"]}, form=True) == {"title": "invalid"}


def test_a_file_in_place_of_text_is_refused(post, fields):
    from django.core.files.uploadedfile import SimpleUploadedFile

    body = fields | {"title": SimpleUploadedFile("title.txt", b"Senior engineer")}
    assert refused(post, body, form=True) == {"title": "invalid"}


CARDS = ["4242424242424242", "4242 4242 4242 4242", "4242-4242-4242-4242", "3782 822463 10005", "4222222222222"]
CARDS += ["5555.5555.5555.4444", "6011 1111 1111 1117", "2223003122003222", "card:4000056655665556!"]


@pytest.mark.parametrize("field", [*TEXT, "apply_email", "salary_min", "remote", "recaptcha_token"])
def test_a_card_number_in_any_field_is_refused_and_told_to_nobody(post, fields, caplog, field):
    card = "4242 4242 4242 4242"
    response = post(fields | {field: card})
    assert wrong(response)[field] == "card_number"
    assert rows() == NOTHING
    assert card not in response.content.decode()
    assert card not in json.dumps(response.json(), ensure_ascii=False)
    assert card not in caplog.text


@pytest.mark.parametrize("card", CARDS)
def test_a_card_number_within_a_line_is_refused(plan, fields, card):
    assert validated(fields | {"title": card}) == {"title": "card_number"}
    assert validated(fields | {"location": f"No. {card}, please"}) == {"location": "card_number"}


def test_a_card_number_within_other_text_is_found(post, fields):
    text = "Please charge my card 4242 4242 4242 4242 until 12/30, thank you very much."
    assert refused(post, fields | {"description": text}) == {"description": "card_number"}
    assert refused(post, fields | {"payment_method": "pm_4242424242424242"}) == {"payment_method": "card_number"}


def test_unknown_fields_are_neither_looked_at_nor_kept(post, fields):
    more = {"note": {"a": [4242424242424242]}, "4242424242424242": 1, "card": "4242 4242 4242 4242"}
    made = post(fields | more)
    assert made.status_code == 202
    kept = Pipeline.objects.get(pk=made.json()["id"])
    assert "4242" not in json.dumps([kept.input, kept.secrets]) + made.content.decode()
    bad = post(fields | more | {"title": "x"})
    assert wrong(bad) == {"title": "min_length"}
    assert "4242" not in bad.content.decode()


def test_a_phone_number_that_passes_luhn_is_a_phone_number(post, fields):
    assert has_card_number("378282246310005")
    assert post(fields | {"contact_phone": "+378282246310005"}).status_code == 202
    assert wrong(post(fields | {"contact_phone": "378282246310005"})) == {"contact_phone": "card_number"}


@pytest.mark.parametrize("value", ["true", "on", "1", "True", "TRUE"])
def test_a_form_says_true_in_many_ways(post, fields, value):
    made = post(fields | {"remote": value}, form=True).json()
    assert Pipeline.objects.get(pk=made["id"]).input["remote"] is True


@pytest.mark.parametrize("value", ["false", "off", "0", "", "False"])
def test_a_form_says_false_in_many_ways(post, fields, value):
    made = post(fields | {"remote": value}, form=True).json()
    assert Pipeline.objects.get(pk=made["id"]).input["remote"] is False


BODIES = {
    "no json": "{",
    "a list": "[]",
    "a text": '"title"',
    "null": "null",
    "a number": "5",
    "not a number": '{"salary_min": NaN}',
    "infinity": '{"salary_min": -Infinity}',
    "a name twice": '{"title": "a", "title": "b"}',
    "a name twice, deeper": '{"title": {"a": 1, "a": 2}}',
    "deep lists": "[" * 100_000,
    "deep objects": '{"a":' * 5000 + "1" + "}" * 5000,
    "deep and whole": '{"title":' + "[" * 500 + "]" * 500 + "}",
    "a huge number": '{"salary_min": ' + "9" * 10_000 + "}",
    "no utf-8": b'{"title": "\xff\xfe"}',
    "utf-16": '{"title": "x"}'.encode("utf-16"),
    "two byte order marks": b'\xef\xbb\xbf\xef\xbb\xbf{"title": "x"}',
    "nul": "\0",
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_is_no_json_object_is_400(post, name):
    problem(post(BODIES[name]), 400, "unparseable")
    assert rows() == NOTHING


@pytest.mark.parametrize(
    ("body", "type"),
    [
        (b"", "multipart/form-data; boundary=x"),
        (b"nonsense", "multipart/form-data; boundary=x"),
        (b"--x\r\nnonsense\r\n--x--", "multipart/form-data; boundary=x"),
        (b"--x\r\n", "multipart/form-data"),
        (b'--x\r\nContent-Disposition: form-data; name="title"\r\n\r\ncut off', "multipart/form-data; boundary=x"),
        (b"--x--\r\n", "multipart/form-data; boundary=" + "x" * 10_000),
        (
            b"".join(b'--x\r\nContent-Disposition: form-data; name="a%d"\r\n\r\n1\r\n' % n for n in range(1500))
            + b"--x--",
            "multipart/form-data; boundary=x",
        ),
        (
            b'--x\r\nContent-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: base64\r\n\r\n%%%\r\n--x--',
            "multipart/form-data; boundary=x",
        ),
    ],
)
def test_a_broken_form_is_400(http, plan, body, type):
    problem(http.post(URL, body, content_type=type, headers={"Idempotency-Key": "some-key"}), 400)
    assert rows() == NOTHING


@pytest.mark.parametrize(
    ("pattern", "categories", "more"),
    [
        (checks.NOT_IN_LINE, {"Cc", "Zl", "Zp"}, ""),
        (checks.NOT_IN_TEXT, {"Cc"}, ""),
        (checks.LOST, {"Cs"}, "\ufffd"),
    ],
    ids=["line", "text", "lost"],
)
def test_the_characters_that_are_refused_are_unicodes_categories(pattern, categories, more):
    every = [chr(number) for number in range(sys.maxunicode + 1)]
    expected = {character for character in every if unicodedata.category(character) in categories} | set(more)
    if pattern is checks.NOT_IN_TEXT:
        expected -= set("\n\r\t")
    assert set(pattern.findall("".join(every))) == expected
