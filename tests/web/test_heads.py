"""Heads over a limit are answered by name, before anything parses them; within all limits they cost little."""

import asyncio
import json
import time
from http.cookies import SimpleCookie

import pytest
from django.http import parse_cookie
from django.http.request import HttpRequest

from config.web import limits
from config.web.bodies import Edge
from config.web.heads import refusal
from tests.web.conftest import Answer, client_that_sends, scope

KIB = limits.KIB


def code(scope):
    problem = refusal(scope)
    return problem and (problem.status_code, problem.code)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (scope("/" + "a" * 32_000), (414, "target_too_long")),
        (scope("/?" + "a" * 8192), (414, "target_too_long")),
        (scope("/?" + "a" * 8000), None),
        (scope(headers=[("cookie", "a" * 4097)]), (431, "headers_too_large")),
        (scope(headers=[("cookie", "a" * 4096)]), None),
        (scope(headers=[("content-type", "a/b" + ";a=b" * 100)]), (431, "headers_too_large")),
        (scope(headers=[("x", "a" * 8193)]), (431, "headers_too_large")),
        (scope(headers=[("x", "a" * 8192)] * 2), (431, "headers_too_large")),
        (scope("/?" + "a" * 6000, headers=[("x", "a" * 6000), ("y", "a" * 6000)]), (431, "headers_too_large")),
        (scope(headers=[("x", "")] * 100), (431, "headers_too_large")),
        (scope(headers=[("x", "")] * 99), None),
    ],
    ids=range(11),
)
def test_a_head_is_held_to_its_limits(given, expected):
    assert code(given) == expected


def test_a_long_host_is_refused():
    long = scope()
    long["headers"] = [(b"host", b"a" * 301)]
    assert code(long) == (431, "headers_too_large")


def test_the_answer_names_the_header_and_django_never_sees_the_request():
    async def never(*_):
        raise AssertionError("it was handed on")

    answer = Answer()
    given = scope(headers=[("cookie", 'a="' + "\\" * 60_000)])
    asyncio.run(Edge(never)(given, client_that_sends(b""), answer.send))
    assert (answer.status, answer.has_ended) == (431, True)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"
    assert "all headers" in json.loads(answer.body)["detail"].lower()


def test_the_header_at_fault_is_named():
    problem = refusal(scope(headers=[("cookie", "a" * 5000)]))
    assert "cookie" in problem.text


def spent(function, *arguments):
    """The least processor time of several, in seconds."""

    def once():
        began = time.process_time()
        function(*arguments)
        return time.process_time() - began

    return min(once() for _ in range(3))


@pytest.mark.parametrize(
    "cookie",
    [
        'a="' + '\\"' * 2040 + '"',
        'a="' + "\\101" * 1020 + '"',
        "a;" * 2048,
        "a=" * 2048,
        'a="' + "\\" * 4090 + '"',
    ],
    ids=["quotes", "octals", "names", "equals", "backslashes"],
)
def test_the_worst_cookie_within_the_limit_is_cheap(cookie):
    """CVE-2024-7592: quadratic in Python before 3.11.10; measured at 60 ms, and at 12 s with 60 kB."""
    assert len(cookie) <= limits.NARROWER[b"cookie"]
    assert spent(parse_cookie, cookie) < 0.4
    assert spent(SimpleCookie, cookie) < 0.4


@pytest.mark.parametrize(
    "value",
    ["a/b" + ";a=b" * 63, 'a/b;a="' + "\\" * 248, "a/b;" + "*0*=" * 60, "a/b;" + "a*0=" * 60, 'a/b;"' + ";" * 250],
    ids=range(5),
)
def test_the_worst_content_type_within_the_limit_is_cheap(value):
    assert len(value) <= limits.NARROWER[b"content-type"]
    request = HttpRequest()
    assert spent(request._set_content_type_params, {"CONTENT_TYPE": value}) < 0.4
