"""What needs a server: waits and streams under ASGI, chunked bodies, clients that leave, counted statements."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from django.conf import settings as django_settings
from django.db import connection

from pipeline import actions
from pipeline.testing import drain
from tests.api.conftest import APPS, NOTHING, rows
from tests.web.conftest import served as documented

ROOT = Path(__file__).resolve().parents[2]
BOUNDARY = "multipart/form-data; boundary=x"
pytestmark = [
    pytest.mark.django_db(transaction=True, available_apps=APPS),
    pytest.mark.slow,
    pytest.mark.usefixtures("broker"),
]


def database_url() -> str:
    database = connection.settings_dict
    user, password = database["USER"], database["PASSWORD"]
    return f"postgresql://{user}:{password}@{database['HOST']}:{database['PORT']}/{database['NAME']}"


@contextmanager
def served(tmp_path: Path, **environment: str) -> Iterator[str]:
    """A real uvicorn on a free port, over the tests' database; its address."""
    given = {
        "DATABASE_URL": database_url(),
        "DATABASE_POOL": "1",
        "DEMO": "1",
        "SECRET_KEY": django_settings.SECRET_KEY,
        "ALLOWED_HOSTS": "127.0.0.1",
    }
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(128)
    listening.set_inheritable(True)
    log = (tmp_path / "server.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "config.local.web", str(listening.fileno())],
        cwd=ROOT,
        env=os.environ | given | environment,
        pass_fds=[listening.fileno()],
        stdout=log,
        stderr=log,
    )
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    listening.close()
    try:
        httpx.get(f"{url}/healthz", timeout=30).raise_for_status()
        yield url
    finally:
        process.terminate()
        process.wait(15)
        log.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory, django_db_setup, django_db_blocker) -> Iterator[str]:
    with django_db_blocker.unblock(), served(tmp_path_factory.mktemp("web")) as url:
        yield url


@pytest.fixture
def client(site):
    with httpx.Client(base_url=site, timeout=20) as http:
        yield http


def path(pipeline, more=""):
    return f"/api/v1/pipelines/{pipeline}/{more}"


def later(action, seconds=0.4):
    """Do something while the request waits: its connection is closed afterwards."""

    def act():
        try:
            return action()
        finally:
            connection.close()

    timer = threading.Timer(seconds, act)
    timer.start()
    return timer


def test_a_wait_answers_when_something_changes(client, begin):
    pipeline = begin()
    etag = client.get(path(pipeline)).headers["ETag"]
    timer = later(lambda: actions.cancel(pipeline))
    began = time.monotonic()
    response = client.get(path(pipeline), headers={"Prefer": "wait=15", "If-None-Match": etag})
    timer.join()
    assert response.status_code == 200
    assert response.json()["state"] != "staging"
    assert response.headers["Preference-Applied"] == "wait"
    assert 0.3 < time.monotonic() - began < 5


def test_a_wait_ends_with_its_time(client, begin):
    pipeline = begin()
    etag = client.get(path(pipeline)).headers["ETag"]
    began = time.monotonic()
    unchanged = client.get(path(pipeline), headers={"Prefer": "respond-async, wait=1", "If-None-Match": etag})
    assert (unchanged.status_code, unchanged.headers["Preference-Applied"]) == (304, "wait")
    assert client.get(path(pipeline), headers={"Prefer": "wait=1"}).status_code == 200
    assert 1.9 < time.monotonic() - began < 6


@pytest.mark.parametrize("prefer", ["wait=0", "wait", "wait=x", "wait=-5", "respond-async", ""])
def test_a_preference_that_is_none_is_ignored(client, begin, prefer):
    began = time.monotonic()
    response = client.get(path(begin()), headers={"Prefer": prefer})
    assert response.status_code == 200
    assert "Preference-Applied" not in response.headers
    assert time.monotonic() - began < 3


def test_a_wait_on_what_has_changed_already_or_has_ended_does_not_wait(client, begin, broker):
    pipeline = begin()
    began = time.monotonic()
    assert client.get(path(pipeline), headers={"Prefer": "wait=15", "If-None-Match": '"old"'}).status_code == 200
    drain(pipeline, broker)
    assert client.get(path(pipeline), headers={"Prefer": "wait=15"}).json()["state"] == "committed"
    assert time.monotonic() - began < 8


def test_many_waits_hold_no_connection_and_cost_one_query_a_tick(site, begin):
    pipelines = [begin() for _ in range(40)]
    with ThreadPoolExecutor(40) as threads:
        answers = [
            threads.submit(httpx.get, site + path(each), headers={"Prefer": "wait=4"}, timeout=20) for each in pipelines
        ]
        time.sleep(2)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FILTER (WHERE query LIKE '%%IN (%%' AND query LIKE '%%\"seq\"%%'), "
                "count(*) FILTER (WHERE state = 'idle in transaction'), count(*) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            watching, idle, total = cursor.fetchone()
        assert (watching, idle) == (1, 0)
        assert total <= 21, "the pool's size, and not one for each who waits"
        assert {answer.result().status_code for answer in answers} == {200}


def test_beyond_the_watchers_a_wait_is_ignored_and_a_stream_is_503(tmp_path, begin):
    pipeline = begin()
    with served(tmp_path, MAX_WATCHERS="1") as site, httpx.Client(base_url=site, timeout=20) as client:
        with client.stream("GET", path(pipeline, "stream/")) as first:
            lines = first.iter_lines()  # as long as it is referred to, the stream is open
            assert next(lines) == "id: 1"
            began = time.monotonic()
            ignored = client.get(path(pipeline), headers={"Prefer": "wait=10"})
            assert time.monotonic() - began < 5
            assert "Preference-Applied" not in ignored.headers
            full = client.get(path(pipeline, "stream/"))
            assert (full.status_code, full.headers["Retry-After"]) == (503, "5")
            assert full.headers["Content-Type"] == "application/problem+json"
        waited = retried(lambda: client.get(path(pipeline), headers={"Prefer": "wait=1"}), "Preference-Applied")
        assert waited.status_code == 200, "the client that left made room"


def retried(request, header):
    """The first answer that has the header: the server learns of a client's leaving in its own time."""
    ends = time.monotonic() + 10
    while time.monotonic() < ends:
        response = request()
        if header in response.headers:
            return response
    raise AssertionError(f"no answer had {header}")


def test_a_stream_tells_events_as_they_come_and_ends_with_the_last(client, begin, broker):
    pipeline = begin()
    timer = later(lambda: drain(pipeline, broker))
    began = time.monotonic()
    with client.stream("GET", path(pipeline, "stream/")) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        lines = response.iter_lines()
        told = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    timer.join()
    assert [event["seq"] for event in told] == list(range(1, len(told) + 1))
    assert told[-1]["type"] == "pipeline_committed"
    assert time.monotonic() - began < 15
    assert told == client.get(path(pipeline, "events/")).json()["results"]


def test_a_stream_is_resumed_where_it_broke(client, begin, broker):
    pipeline = begin()
    with client.stream("GET", path(pipeline, "stream/")) as response:
        assert next(response.iter_lines()) == "id: 1"
    drain(pipeline, broker)
    with client.stream("GET", path(pipeline, "stream/"), headers={"Last-Event-ID": "1"}) as response:
        ids = [int(line.removeprefix("id: ")) for line in response.iter_lines() if line.startswith("id: ")]
    assert ids[0] == 2
    assert ids == list(range(2, len(ids) + 2))


def test_head_of_a_stream_has_its_headers_and_takes_no_seat(tmp_path, begin):
    pipeline = begin()
    with served(tmp_path, MAX_WATCHERS="1") as site, httpx.Client(base_url=site, timeout=20) as client:
        with client.stream("GET", path(pipeline, "stream/")) as first:
            lines = first.iter_lines()  # as long as it is referred to, the stream is open
            assert next(lines) == "id: 1"
            head = client.head(path(pipeline, "stream/"))
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["Content-Type"] == "text/event-stream"
        waited = client.head(path(pipeline), headers={"Prefer": "wait=10"})
        assert (waited.status_code, waited.content) == (200, b"")
        assert "Preference-Applied" not in waited.headers


def test_beyond_an_addresss_watchers_it_alone_is_refused(tmp_path, begin):
    stream = path(begin(), "stream/")
    other = httpx.HTTPTransport(local_address="127.0.0.2")
    with ExitStack() as stack:
        site = stack.enter_context(served(tmp_path, MAX_WATCHERS_PER_CLIENT="1"))
        client = stack.enter_context(httpx.Client(base_url=site, timeout=20))
        elsewhere = stack.enter_context(httpx.Client(base_url=site, timeout=20, transport=other))
        lines = stack.enter_context(client.stream("GET", stream)).iter_lines()
        assert next(lines) == "id: 1"
        full = client.get(stream)
        assert (full.status_code, full.headers["Retry-After"]) == (503, "5")
        waits = client.get(stream.removesuffix("stream/"), headers={"Prefer": "wait=1"})
        assert "Preference-Applied" not in waits.headers
        others = stack.enter_context(elsewhere.stream("GET", stream)).iter_lines()
        assert next(others) == "id: 1"


def test_asked_to_end_the_documented_server_ends_streams_and_waits_at_once(tmp_path, begin):
    """Its grace for other requests is 20 s: what ends in less has ended by itself."""
    pipeline = begin()
    with ExitStack() as stack:
        port, process = stack.enter_context(documented(tmp_path / "log", DATABASE_URL=database_url()))
        client = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=40))
        etag = client.get(path(pipeline)).headers["ETag"]
        response = stack.enter_context(client.stream("GET", path(pipeline, "stream/")))
        lines = response.iter_lines()
        assert next(lines) == "id: 1"
        threads = stack.enter_context(ThreadPoolExecutor(1))
        preferring = {"Prefer": "wait=30", "If-None-Match": etag}
        waited = threads.submit(httpx.get, f"{client.base_url}{path(pipeline)}", headers=preferring, timeout=40)
        time.sleep(1)  # until the wait has begun; without it the test passes all the same
        process.terminate()
        assert list(lines)[-2:] == ["retry: 1000", ""]
        assert waited.result().status_code == 304
        assert process.wait(18) in {0, -signal.SIGTERM}, "the grace of 20 s was not needed"


def test_every_document_starts_the_web_server_by_the_same_command():
    texts = {name: (ROOT / name).read_text() for name in ("README.md", "Dockerfile", "docker-compose.yml")}
    texts |= {page.name: page.read_text() for page in sorted((ROOT / "docs").rglob("*.md"))}
    for name, text in texts.items():
        assert "uvicorn config" not in text, name
        assert '"uvicorn"' not in text, name
    plain = "python -m config.web --host 0.0.0.0 --port 8000"
    assert plain in texts["README.md"]
    assert plain in texts["operations.md"]
    command = re.search(r"^CMD (.+)$", texts["Dockerfile"], re.MULTILINE)
    assert " ".join(json.loads(command[1])) == plain


def test_a_chunked_body_is_read_like_any_other(client, plan, fields):
    body = json.dumps(fields).encode()
    headers = {"Idempotency-Key": "a-chunked-key", "Content-Type": "application/json"}
    response = client.post("/api/v1/postings/", content=iter([body[:20], body[20:]]), headers=headers)
    assert response.status_code == 202, response.text


@pytest.mark.parametrize("type", ["application/json", BOUNDARY])
@pytest.mark.parametrize("is_chunked", [True, False])
def test_a_body_over_the_limit_is_413_before_it_is_kept(client, plan, type, is_chunked):
    part = b'--x\r\nContent-Disposition: form-data; name="logo"; filename="x"\r\n\r\n' if type == BOUNDARY else b'"'
    body = part + b"x" * (5 * 1024 * 1024)
    pieces = (body[at : at + 65536] for at in range(0, len(body), 65536))
    headers = {"Idempotency-Key": "a-large-body", "Content-Type": type}
    response = client.post("/api/v1/postings/", content=pieces if is_chunked else body, headers=headers)
    assert response.status_code == 413
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == "body_too_large"
    assert rows() == NOTHING


def test_a_body_without_an_end_is_not_read_for_ever(site, plan):
    host, port = site.removeprefix("http://").split(":")
    head = (
        "POST /api/v1/postings/ HTTP/1.1\r\nHost: 127.0.0.1\r\nIdempotency-Key: endless-key\r\n"
        "Content-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        raw.sendall(head.encode())
        assert raw.recv(100).startswith(b"HTTP/1.1 413")
