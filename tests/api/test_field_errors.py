"""Wrong fields are named as the client wrote them, however deep."""

from rest_framework.exceptions import ErrorDetail

from pipeline.api.problems import field_errors

WRONG = ErrorDetail("Wrong.", "wrong")


def names(detail):
    return [(error["field"], error["code"]) for error in field_errors(detail)]


def test_a_field_is_named_by_its_path():
    detail = {"title": [WRONG], "items": [{}, {"amount": [WRONG]}], "plan": {"slug": [WRONG]}}
    assert names(detail) == [("title", "wrong"), ("items.1.amount", "wrong"), ("plan.slug", "wrong")]


def test_what_concerns_a_whole_object_or_list_is_named_as_that_is():
    whole = {"non_field_errors": [WRONG]}
    assert names(whole) == [("", "wrong")]
    assert names({"items": whole}) == [("items", "wrong")]
    assert names({"items": [{}, whole]}) == [("items.1", "wrong")]
