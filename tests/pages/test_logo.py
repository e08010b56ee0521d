"""The public logo: who may see it, what browsers may keep, and what happens while storage hangs."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient
from django.utils import timezone
from django.utils.http import http_date

from config.at_once import is_at_once
from pipeline.workflow import Refused, Unknown
from postings.logo.shelf import Crowded, Shelf
from postings.providers import storage
from postings.views import logo as view
from postings.views.logo import SHELF

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def empty_shelf():
    SHELF.clear()
    yield
    SHELF.clear()


def stored(posting, png):
    key = f"logos/{posting.slug}.png"
    storage.put_new(key, png, content_type="image/png", reference=str(posting.pipeline_id), digest="0" * 64)
    posting.logo_key = key
    posting.save()


def test_a_logo_comes_from_object_storage(outside, client, publish, png):
    posting = publish()
    stored(posting, png)
    answer = client.get(f"/jobs/{posting.slug}/logo")
    assert answer.content == png
    assert answer["Content-Type"] == "image/png"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Disposition"] == "inline"
    assert "public, max-age=" in answer["Cache-Control"]
    assert posting.logo_key not in str(answer.headers)


def test_without_a_logo_there_is_none(outside, client, publish):
    assert client.get(f"/jobs/{publish().slug}/logo").status_code == 404
    missing = publish(logo_key="logos/gone.png")
    assert client.get(f"/jobs/{missing.slug}/logo").status_code == 404


@pytest.mark.parametrize("changed", [{"state": "hidden"}, {"expires_at": timezone.now() - timedelta(days=1)}])
def test_a_logo_is_public_only_with_its_job(outside, client, publish, png, changed):
    posting = publish(**changed)
    stored(posting, png)
    assert client.get(f"/jobs/{posting.slug}/logo").status_code == 404


@pytest.mark.parametrize("kind", ["down", "error_before", "truncate"])
def test_while_storage_is_away_the_logo_is_to_be_asked_for_again(outside, client, publish, png, kind):
    posting = publish()
    stored(posting, png)
    outside.fault("s3", "objects.get", kind)
    answer = client.get(f"/jobs/{posting.slug}/logo")
    assert answer.status_code == 503
    assert int(answer["Retry-After"]) > 0


# --- what browsers keep ----------------------------------------------------------------------------


@pytest.fixture
def reads(monkeypatch):
    """The keys that object storage was asked for."""
    keys = []
    read = storage.read
    monkeypatch.setattr(storage, "read", lambda key: keys.append(key) or read(key))
    return keys


def test_a_browser_that_has_it_is_told_so_without_asking_the_storage(outside, client, publish, png, reads):
    posting = publish()
    stored(posting, png)
    first = client.get(f"/jobs/{posting.slug}/logo")
    assert not first["ETag"].startswith("W/")
    assert first["Last-Modified"] == http_date(posting.published_at.timestamp())
    assert int(first["Content-Length"]) == len(png)
    SHELF.clear()
    outside.fault("s3", "objects.get", "down")
    for headers in ({"If-None-Match": first["ETag"]}, {"If-Modified-Since": first["Last-Modified"]}):
        again = client.get(f"/jobs/{posting.slug}/logo", headers=headers)
        assert (again.status_code, again.content) == (304, b"")
        assert (again["ETag"], again["Cache-Control"]) == (first["ETag"], first["Cache-Control"])
    assert len(reads) == 1


def test_the_tag_tells_one_logo_from_another_and_nothing_of_its_key(outside, client, publish, png):
    tags = []
    for _ in range(2):
        posting = publish()
        stored(posting, png)
        tags.append(client.get(f"/jobs/{posting.slug}/logo")["ETag"])
        assert posting.logo_key not in tags[-1]
    assert tags[0] != tags[1]


def test_another_tag_gets_the_whole_picture(outside, client, publish, png):
    posting = publish()
    stored(posting, png)
    assert client.get(f"/jobs/{posting.slug}/logo", headers={"If-None-Match": '"other"'}).content == png


def test_head_has_the_same_headers_and_no_body(outside, client, publish, png):
    posting = publish()
    stored(posting, png)
    got, head = client.get(f"/jobs/{posting.slug}/logo"), client.head(f"/jobs/{posting.slug}/logo")
    assert (head.status_code, head.content) == (200, b"")
    assert {name: head[name] for name in ("ETag", "Content-Length", "Content-Type")} == {
        name: got[name] for name in ("ETag", "Content-Length", "Content-Type")
    }


def test_a_logo_in_memory_is_gone_with_its_job(outside, client, publish, png):
    posting = publish()
    stored(posting, png)
    tag = client.get(f"/jobs/{posting.slug}/logo")["ETag"]
    posting.expires_at = timezone.now() - timedelta(seconds=1)
    posting.save()
    assert client.get(f"/jobs/{posting.slug}/logo", headers={"If-None-Match": tag}).status_code == 404


def test_what_is_read_once_is_kept(outside, client, publish, png, reads):
    posting = publish()
    stored(posting, png)
    assert [client.get(f"/jobs/{posting.slug}/logo").status_code for _ in range(16)] == [200] * 16
    assert reads == [posting.logo_key]


# --- while storage hangs ---------------------------------------------------------------------------


class Hanging:
    """A storage that answers when it is told to."""

    def __init__(self, expected):
        self.asked, self.answer, self.lock = [], threading.Event(), threading.Lock()
        self.all_are_in = threading.Barrier(expected + 1)

    def __call__(self, key):
        with self.lock:
            self.asked.append(key)
        self.all_are_in.wait(30)
        assert self.answer.wait(30)
        return key.encode()


def test_a_logo_takes_none_of_the_threads_that_answer_everything_else():
    scope = {"type": "http", "path": "/jobs/any/logo", "headers": []}
    assert not is_at_once(scope)
    assert is_at_once(scope | {"path": "/"})


def test_everything_else_is_answered_while_storage_hangs(client, publish, monkeypatch):
    hanging = Hanging(expected=4)
    monkeypatch.setattr(storage, "read", hanging)
    monkeypatch.setattr(view, "PATIENCE", 30)
    slugs = [publish(logo_key=f"logos/hanging-{number}").slug for number in range(20)]

    async def play():
        async_client = AsyncClient()
        asked = [asyncio.create_task(async_client.get(f"/jobs/{slug}/logo")) for slug in slugs]
        await asyncio.to_thread(hanging.all_are_in.wait, 30)
        others = [await async_client.get(address) for address in ("/healthz", "/api/v1/plans/", "/")]
        assert [each.status_code for each in others] == [200] * 3
        assert len(hanging.asked) == 4
        hanging.all_are_in = threading.Barrier(1)
        hanging.answer.set()
        return [answer.status_code for answer in await asyncio.gather(*asked)]

    assert async_to_sync(play)() == [200] * 20


def test_nobody_waits_for_a_hanging_storage_for_long(client, publish, monkeypatch):
    hanging = Hanging(expected=1)
    monkeypatch.setattr(storage, "read", hanging)
    monkeypatch.setattr(view, "PATIENCE", 0.01)
    answer = client.get(f"/jobs/{publish(logo_key='logos/late').slug}/logo")
    assert (answer.status_code, answer["Cache-Control"]) == (503, "no-store")
    assert int(answer["Retry-After"]) > 0
    hanging.answer.set()
    hanging.all_are_in.wait(30)


# --- the shelf -------------------------------------------------------------------------------------


def test_many_who_ask_for_one_logo_make_one_read():
    hanging = Hanging(expected=1)
    shelf = Shelf(hanging, readers=4, flights=4, size=100)
    asked = [shelf.ask("a") for _ in range(16)]
    hanging.all_are_in.wait(30)
    hanging.answer.set()
    assert [each.result(30) for each in asked] == [b"a"] * 16
    assert hanging.asked == ["a"]


def test_whoever_goes_away_disturbs_nobody():
    hanging = Hanging(expected=1)
    shelf = Shelf(hanging, readers=1, flights=4, size=100)
    first, second = shelf.ask("a"), shelf.ask("a")
    waiting = shelf.ask("b")
    assert first.cancel()
    assert waiting.cancel()
    hanging.all_are_in.wait(30)
    hanging.all_are_in = threading.Barrier(1)
    hanging.answer.set()
    assert second.result(30) == b"a"
    assert shelf.ask("b").result(30) == b"b"


def test_no_more_keys_are_waited_for_than_there_is_room():
    hanging = Hanging(expected=1)
    shelf = Shelf(hanging, readers=1, flights=2, size=100)
    asked = [shelf.ask("a"), shelf.ask("b")]
    with pytest.raises(Crowded):
        shelf.ask("c")
    asked.append(shelf.ask("a"))
    hanging.all_are_in.wait(30)
    hanging.all_are_in = threading.Barrier(1)
    hanging.answer.set()
    assert [each.result(30) for each in asked] == [b"a", b"b", b"a"]
    assert shelf.ask("c").result(30) == b"c"


def test_what_is_kept_is_bounded_and_the_oldest_goes_first():
    read = []
    shelf = Shelf(lambda key: read.append(key) or b"x" * 25, readers=1, flights=9, size=100)
    for key in "abcdaebf":
        shelf.ask(key).result(30)
    assert read == ["a", "b", "c", "d", "e", "b", "f"]


def test_one_that_is_too_large_pushes_out_no_other():
    read = []
    shelf = Shelf(lambda key: read.append(key) or b"x" * int(key), readers=1, flights=9, size=100)
    for key in ("25", "99", "25", "99"):
        shelf.ask(key).result(30)
    assert read == ["25", "99", "99"]


@pytest.mark.parametrize("error", [Refused("object_missing", "x"), Unknown("no_answer", "x"), RuntimeError("a bug")])
def test_an_error_reaches_all_who_wait_and_is_not_kept(error):
    answers = [error, b"there"]

    def read(key):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    shelf = Shelf(read, readers=1, flights=9, size=100)
    assert shelf.ask("a").exception(30) is error
    assert shelf.ask("a").result(30) == b"there"


def test_many_threads_find_the_shelf_whole():
    shelf = Shelf(lambda key: key.encode() * 10, readers=4, flights=99, size=50)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda number: shelf.ask(str(number % 9)).result(30), range(400)))
    assert found == [str(number % 9).encode() * 10 for number in range(400)]
