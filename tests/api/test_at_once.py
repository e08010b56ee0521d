"""The ASGI handler that goes into a thread once: the same answers as Django's own, in one place at a time."""

import asyncio
import threading
from collections import Counter

import pytest
from asgiref.sync import SyncToAsync
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpResponse, StreamingHttpResponse
from django.test import RequestFactory
from django.urls import path

from config import at_once
from config.at_once import AtOnce
from config.health import healthz
from config.static_files import StaticFiles

JSON = [(b"content-type", b"application/json")]


def scope(address, method="GET", headers=(), root=""):
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": address,
        "root_path": root,
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1"), *headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }


async def ask(app, asked, body=b""):
    """(status, headers, body) of one request; its client stays until it is answered."""
    sent, told = [], [{"type": "http.request", "body": body}]
    is_over = asyncio.Event()

    async def receive():
        if told:
            return told.pop()
        await is_over.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    await app(asked, receive, send)
    is_over.set()
    whole = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], sorted(sent[0]["headers"]), whole


def answered(app, asked, body=b""):
    return asyncio.run(ask(app, asked, body))


@pytest.fixture
def hops(monkeypatch):
    """Counts every way into a thread that Django takes by itself."""
    count = Counter()
    call = SyncToAsync.__call__

    async def counted(self, *args, **kwargs):
        count["hops"] += 1
        return await call(self, *args, **kwargs)

    monkeypatch.setattr(SyncToAsync, "__call__", counted)
    return count


@pytest.mark.parametrize(
    ("asked", "body"),
    [
        (scope("/api/v1/postings/", "POST", JSON), b"{}"),
        (scope("/api/v1/postings/", "POST", [(b"content-type", b"text/plain")]), b"x"),
        (scope("/api/v1/postings/", "DELETE"), b""),
        (scope("/api/v1/nowhere/"), b""),
        (scope("/nowhere/"), b""),
        (scope("/healthz"), b""),
        (scope("/favicon.ico"), b""),
        (scope("/admin/logout/", "POST"), b""),
        (scope("/webhooks/stripe/", "POST", JSON), b"{}"),
        (scope("/x/favicon.ico", root="/x"), b""),
    ],
    ids=["no key", "media type", "method", "API 404", "404", "async", "redirect", "CSRF", "forged", "root path"],
)
def test_its_answers_are_djangos_own(asked, body):
    assert answered(AtOnce(), asked, body) == answered(ASGIHandler(), asked, body)


def test_a_wrong_host_is_refused_as_by_django():
    asked = scope("/favicon.ico", headers=[(b"host", b"elsewhere")])
    asked["headers"] = asked["headers"][1:]
    assert answered(AtOnce(), asked)[0] == answered(ASGIHandler(), asked)[0] == 400


def test_a_synchronous_view_takes_no_other_way_into_a_thread(hops):
    status, _, _ = answered(AtOnce(), scope("/api/v1/postings/", "POST", JSON), b"{}")
    assert (status, hops["hops"]) == (400, 0)
    answered(ASGIHandler(), scope("/api/v1/postings/", "POST", JSON), b"{}")
    assert hops["hops"] > 10


def test_whoever_prefers_to_wait_goes_the_asynchronous_way(hops):
    waiting = [*JSON, (b"prefer", b"wait=5")]
    status, _, _ = answered(AtOnce(), scope("/api/v1/postings/", "POST", waiting), b"{}")
    assert status == 400
    assert hops["hops"] > 0


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("/api/v1/postings/", True),
        ("/api/v1/pipelines/01990000-0000-7000-8000-000000000000/", True),
        ("/api/v1/pipelines/01990000-0000-7000-8000-000000000000/stream/", False),
        ("/admin/", True),
        ("/healthz", False),
        ("/static/postings/icon.svg", False),
    ],
)
def test_what_streams_or_is_no_view_is_left_to_django(address, expected):
    assert at_once.is_at_once(scope(address)) is expected


def parts(request):
    yield b"one "
    yield b"two"


def hold(request):
    BUSY.wait(10)
    return HttpResponse("done")


def streamed(request):
    response = StreamingHttpResponse(parts(request))
    response._resource_closers.append(lambda: CLOSED.append(threading.current_thread().name))
    return response


BUSY = threading.Event()
CLOSED: list[str] = []
urlpatterns = [path("hold/", hold), path("streamed/", streamed), path("healthz", healthz)]


@pytest.mark.urls(__name__)
@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume synchronous iterators:Warning")
def test_a_stream_is_closed_once_it_was_read():
    CLOSED.clear()
    status, _, body = answered(AtOnce(), scope("/streamed/"))
    assert (status, body) == (200, b"one two")
    assert len(CLOSED) == 1
    assert CLOSED[0].startswith("at-once")


@pytest.mark.urls(__name__)
def test_the_process_says_that_it_is_alive_while_all_threads_are_busy(monkeypatch):
    monkeypatch.setattr(at_once, "THREADS", 1)
    BUSY.clear()

    async def both():
        app = AtOnce()
        held = asyncio.create_task(ask(app, scope("/hold/")))
        alive = await ask(app, scope("/healthz"))
        assert not held.done()
        BUSY.set()
        return alive, await held

    alive, held = asyncio.run(both())
    assert (alive[0], held[0], held[2]) == (200, 200, b"done")


@pytest.fixture
def files(settings, tmp_path):
    (tmp_path / "style.css").write_text("body {}")
    settings.STATIC_ROOT = tmp_path
    return StaticFiles(lambda request: HttpResponse("a view"))


def test_a_file_is_served_in_a_synchronous_chain(files):
    response = files(RequestFactory().get("/static/style.css"))
    assert b"".join(response) == b"body {}"
    assert response["Content-Type"].startswith("text/css")


def test_what_is_no_file_goes_on_in_the_same_thread(files, hops):
    assert files(RequestFactory().get("/static/other.css")).content == b"a view"
    assert hops["hops"] == 0
