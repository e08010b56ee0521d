"""Bodies are read whole, within a size, a pace and a room; a client that stalls holds nothing for long."""

import asyncio
import json
import tempfile
from functools import partial

import pytest

from config.web import bodies, limits
from config.web.bodies import Edge
from tests.web.conftest import Answer, client_that_sends, scope

KIB = limits.KIB
JSON = [("content-type", "application/json")]
CHUNKED = [*JSON, ("transfer-encoding", "chunked")]


def post(headers=JSON, length=None, client="127.0.0.1"):
    sized = [] if length is None else [("content-length", str(length))]
    return scope("/api/v1/postings/", "POST", [*headers, *sized], client)


@pytest.fixture
def seen():
    """What the application behind got: for each request its Content-Length and its body."""
    return []


@pytest.fixture
def edge(seen):
    async def app(scope, receive, send):
        body, has_more = b"", True
        while has_more:
            message = await receive()
            body, has_more = body + message["body"], message["more_body"]
        seen.append((dict(scope["headers"]).get(b"content-length"), body))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"fine"})

    return Edge(app)


def ask(edge, given, receive):
    answer = Answer()
    asyncio.run(asyncio.wait_for(edge(given, receive, answer.send), 20))
    return answer


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(limits, "PACE_SECONDS", 0.1)
    monkeypatch.setattr(limits, "DRAIN_SECONDS", 0.1)


@pytest.mark.parametrize("size", [1, 64 * KIB, 256 * KIB, 1024 * KIB - 1, 4096 * KIB])
@pytest.mark.parametrize("headers", [JSON, CHUNKED], ids=["announced", "chunked"])
def test_a_body_is_handed_on_whole_with_its_length(edge, seen, size, headers):
    body = bytes(index % 251 for index in range(997)) * (size // 997 + 1)
    body = body[:size]
    parts = [body[at : at + 65_536] for at in range(0, size, 65_536)]
    given = post(headers, size if headers is JSON else None)
    assert ask(edge, given, client_that_sends(*parts)).status == 200
    assert seen == [(str(size).encode(), body)]


def test_only_the_beginning_of_a_body_lies_in_memory(edge, monkeypatch):
    made = []

    def spooled(size):
        made.append(tempfile.SpooledTemporaryFile(size))  # noqa: SIM115 - closed by the code under test
        return made[-1]

    monkeypatch.setattr(bodies, "SpooledTemporaryFile", spooled)
    rolled = []
    monkeypatch.setattr(
        tempfile.SpooledTemporaryFile,
        "rollover",
        lambda self, real=tempfile.SpooledTemporaryFile.rollover: (rolled.append(self), real(self))[1],
    )
    ask(edge, post(length=64 * KIB), client_that_sends(b"x" * 64 * KIB))
    assert rolled == []
    ask(edge, post(length=65 * KIB), client_that_sends(b"x" * 65 * KIB))
    assert rolled == [made[1]]
    assert all(each.closed for each in made)


@pytest.mark.parametrize(
    "parts", [[], [b"x" * (4096 * KIB - 1)], [b"x" * 1000]], ids=["nothing", "all but a byte", "some"]
)
@pytest.mark.parametrize("headers", [JSON, CHUNKED], ids=["announced", "chunked"])
def test_a_client_that_stalls_is_answered_408_and_its_connection_ends(edge, seen, impatient, parts, headers):
    given = post(headers, 4096 * KIB if headers is JSON else None)
    answer = ask(edge, given, client_that_sends(*parts, stalls=True))
    assert (answer.status, json.loads(answer.body)["code"]) == (408, "body_too_slow")
    assert answer.headers["connection"] == "close"
    assert answer.has_ended
    assert seen == []


def test_a_body_that_drips_is_408_however_much_came_before(edge, seen, monkeypatch, impatient):
    """A byte just often enough is no progress: each period must bring 64 KiB, or the rest."""
    sent = 0

    async def drips():
        nonlocal sent
        sent += 1
        if sent > 10:
            await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b"x" * (65_536 if sent <= 10 else 1), "more_body": True}

    answer = ask(edge, post(length=4096 * KIB), drips)
    assert answer.status == 408
    assert sent < 10 + 60


def test_a_body_has_a_deadline_as_a_whole(edge, monkeypatch, impatient):
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.2)
    monkeypatch.setattr(limits, "PACE_BYTES", 10)

    async def just_fast_enough():
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b"x" * 10, "more_body": True}

    assert ask(edge, post(length=4096 * KIB), just_fast_enough).status == 408


@pytest.mark.parametrize("parts", [[], [b"x" * 70_000] * 70], ids=["that never comes", "that comes"])
def test_a_length_over_the_limit_is_413_at_once(edge, seen, impatient, parts):
    answer = ask(edge, post(length=5 * 1024 * KIB), client_that_sends(*parts, stalls=not parts))
    assert (answer.status, answer.headers["connection"], answer.has_ended) == (413, "close", True)
    assert seen == []


def test_a_chunked_body_over_the_limit_is_413(edge, seen, impatient):
    answer = ask(edge, post(CHUNKED), client_that_sends(*[b"x" * 65_536] * 80))
    assert answer.status == 413
    assert seen == []


def test_a_form_without_files_may_be_smaller_only(edge, seen, impatient):
    """Unquoting takes thirty times its memory."""
    form = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")]
    assert ask(edge, post(form, 256 * KIB), client_that_sends(b"x" * 256 * KIB)).status == 200
    refused = ask(edge, post(form, 256 * KIB + 1), client_that_sends(b"x"))
    assert refused.status == 413
    assert "(256 KiB)" in json.loads(refused.body)["detail"]


def test_a_client_that_leaves_is_not_answered(edge, seen):
    answer = ask(edge, post(length=100), client_that_sends(b"x", leaves=True))
    assert (answer.status, seen) == (0, [])


def test_all_bodies_together_have_a_room_and_each_client_a_quarter_of_it(edge, monkeypatch, impatient, settings):
    settings.DEMO = False
    monkeypatch.setattr(limits, "ALL_BODIES", 400)
    monkeypatch.setattr(limits, "CLIENT_BODIES", 100)
    monkeypatch.setattr(limits, "PACE_SECONDS", 10)

    async def attack():
        """Four clients fill their rooms and stall; what becomes of a fifth, of one of the four, of others later."""
        stalled = [
            asyncio.create_task(
                edge(post(length=200, client=f"10.0.0.{n}"), client_that_sends(b"x" * size, stalls=True), Answer().send)
            )
            for n, size in enumerate([100, 100, 100, 60])
        ]
        await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        statuses = []
        for client, size in [("10.0.0.0", 1), ("10.0.0.9", 41), ("10.0.0.9", 40)]:
            answer = Answer()
            await edge(post(length=size, client=client), client_that_sends(b"x" * size), answer.send)
            statuses.append((answer.status, answer.headers.get("retry-after")))
        for task in stalled:
            task.cancel()
        await asyncio.gather(*stalled, return_exceptions=True)
        answer = Answer()
        await edge(post(length=100, client="10.0.0.0"), client_that_sends(b"x" * 100), answer.send)
        return statuses, answer.status

    statuses, afterwards = asyncio.run(attack())
    assert statuses == [(503, "1"), (503, "1"), (200, None)]
    assert afterwards == 200, "what was given back can be taken again"


def test_the_room_of_a_request_that_failed_is_given_back(seen, monkeypatch):
    async def broken(*_):
        raise RuntimeError("ours")

    edge = Edge(broken)
    for _ in range(3):
        with pytest.raises(RuntimeError):
            ask(edge, post(length=3), client_that_sends(b"abc"))
    assert edge._room._taken.total() == 0


def test_a_request_without_a_body_goes_on_untouched():
    got = []

    async def app(scope, receive, send):
        got.append((scope, receive))

    given, receive = scope(), client_that_sends()
    asyncio.run(Edge(app)(given, receive, Answer().send))
    assert got == [(given, receive)]
    lifespan = partial(Edge(app), {"type": "lifespan"}, receive, None)
    asyncio.run(lifespan())
    assert got[1][0] == {"type": "lifespan"}
