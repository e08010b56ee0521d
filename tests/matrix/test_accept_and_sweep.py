"""The request that accepts a submission and the sweep, each at its three points, with every kind of trouble."""

import contextlib
import itertools
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections
from django.test import Client

from pipeline import crashpoints
from pipeline.models import Pipeline
from pipeline.sweep import sweep_once
from pipeline.testing import InjectedFailure, Killed, advance, together
from pipeline.testing.faults import die
from tests.api.conftest import SUBMISSION
from tests.matrix.play import Shop
from tests.matrix.points import Scenario

KINDS = ("crash", "exception", "duplicate")
_keys = itertools.count(1)


@pytest.fixture(autouse=True)
def generous(settings: Any) -> None:
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {
        "DEFAULT_THROTTLE_RATES": dict.fromkeys(("submit", "read", "act")),
    }
    settings.MAX_REFUSED_CARDS_PER_HOUR = 0


class Strike:
    """Something that happens once, at one place; `happened` tells whether it did."""

    def __init__(self, place: str, act: Callable[[], Any]) -> None:
        self._place, self._act, self._left = place, act, itertools.count()
        self.happened = False

    def __call__(self, place: str) -> None:
        if place == self._place and next(self._left) == 0:
            self.happened = True
            self._act()


@contextmanager
def struck(shop: Shop, place: str, act: Callable[[], Any]) -> Iterator[None]:
    """It must happen in the block."""
    strike = Strike(place, act)
    crashpoints.arm(strike)
    yield
    crashpoints.arm(shop.armed.at_place)
    assert strike.happened, f"{place} was never reached: the run shows nothing"


def fail() -> None:
    raise InjectedFailure("armed by the matrix")


def post(key: str) -> Any:
    """One submission under the key; None when the client got no answer, or one that tells nothing."""
    client = Client(raise_request_exception=False)
    try:
        answer = client.post(
            "/api/v1/postings/",
            json.dumps(SUBMISSION),
            content_type="application/json",
            headers={"Idempotency-Key": key},
        )
    except Killed:
        connection.close()  # the web server's process is gone, and its transaction with it
        return None
    return answer if answer.status_code < 500 else None


class Elsewhere:
    """The same submission, sent to another process at the same time."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._thread = threading.Thread(target=self._run)
        self.answer: Any = None

    def _run(self) -> None:
        self.answer = post(self._key)
        connections.close_all()

    def begin(self) -> None:
        """Returns when it is through, or waits for a transaction that is open here."""
        self._thread.start()
        watcher = connection.copy()
        with watcher.cursor() as cursor:
            while self._thread.is_alive():
                cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
                if cursor.fetchone()[0]:
                    break
                time.sleep(0.002)
        watcher.close()

    def end(self) -> Any:
        """Its answer, if it was sent at all."""
        if self._thread.ident:
            self._thread.join(20)
        return self.answer


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("point", ["stored", "committed", "published"])
def test_a_submission_makes_one_pipeline_whatever_becomes_of_its_request(
    shop: Shop, settings: Any, point: str, kind: str
) -> None:
    # With a ceiling to keep it is a transaction of several statements, without one a statement: nothing is "stored".
    settings.PIPELINE = settings.PIPELINE | {"MAX_OPEN_PER_CLIENT": 1000 if point == "stored" else 0}
    for is_on in (True, False):
        shop.go_on(is_on)
        key = f"accept-key-{next(_keys)}"
        elsewhere = Elsewhere(key)
        acts: dict[str, Callable[[], Any]] = {"crash": die, "exception": fail, "duplicate": elsewhere.begin}
        with struck(shop, f"submission.accept.{point}", acts[kind]):
            first = post(key)
        # A client that got no answer repeats the request under the same key.
        answers = [answer for answer in (first, elsewhere.end(), post(key)) if answer is not None]
        [pipeline] = Pipeline.objects.filter(key=key)
        assert {answer.json()["id"] for answer in answers} == {str(pipeline.pk)}
        shop.armed.begin([])
        shop.finish(pipeline.pk, Scenario.SOLD)
    shop.verify()


def sweep() -> None:
    """As a sweep's process: what kills it ends it."""
    with contextlib.suppress(Killed, InjectedFailure):
        sweep_once()


@pytest.fixture(params=[True, False], ids=["going on", "by message"])
def lost(request: Any, shop: Shop) -> uuid.UUID:
    """A pipeline whose messages are lost, and which is due."""
    shop.go_on(request.param)
    pipeline = shop.sell()
    shop.broker.drop_all()
    advance(timedelta(seconds=3))
    return pipeline


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("point", ["taken", "published"])
def test_what_a_sweep_leaves_undone_the_next_one_does(shop: Shop, lost: uuid.UUID, point: str, kind: str) -> None:
    def again() -> None:
        together(sweep)
        shop.broker.deliver_all()

    with struck(shop, f"sweep.take.{point}", {"crash": die, "exception": fail, "duplicate": again}[kind]):
        sweep()
    shop.finish(lost, Scenario.SOLD)
    shop.verify()


@pytest.mark.parametrize("kind", KINDS)
def test_of_two_sweeps_at_once_one_is_enough(shop: Shop, lost: uuid.UUID, kind: str) -> None:
    """One of them dies, or fails, or both live and each message comes twice."""

    def twice() -> None:
        shop.broker.replay_all()

    with struck(shop, "sweep.take.taken", {"crash": die, "exception": fail, "duplicate": twice}[kind]):
        together(sweep, sweep)
    for message in list(shop.broker.waiting):
        shop.broker.duplicate(message)
    shop.finish(lost, Scenario.SOLD)
    shop.verify()
