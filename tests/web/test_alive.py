"""Whether the process lives is told by its event loop alone."""

import asyncio

import pytest

from config.web.alive import Alive


def ask(path="/healthz", method="GET"):
    """The messages of the answer, and whether the wrapped application was asked."""
    sent, passed_on = [], []

    async def application(scope, receive, send):
        passed_on.append(scope["path"])

    async def send(message):
        sent.append(message)

    asyncio.run(Alive(application)({"type": "http", "path": path, "method": method}, None, send))
    return sent, bool(passed_on)


@pytest.mark.parametrize(("method", "body"), [("GET", b'{"status": "alive"}'), ("HEAD", b"")])
def test_it_is_answered_without_the_application(method, body):
    (start, end), was_passed_on = ask(method=method)
    assert not was_passed_on
    assert start["status"] == 200
    assert dict(start["headers"])[b"content-length"] == b"19"
    assert end["body"] == body


@pytest.mark.parametrize(("path", "method"), [("/readyz", "GET"), ("/healthz/", "GET"), ("/healthz", "POST")])
def test_everything_else_is_the_applications(path, method):
    assert ask(path, method) == ([], True)
