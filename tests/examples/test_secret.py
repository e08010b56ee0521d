"""The director's password, from the request to the end: nowhere but encrypted, and in the one request to Supabase."""

import json
import logging
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from pipeline import dispatch
from pipeline.models import Pipeline
from pipeline.testing import SOON, ScriptedBroker, crash_at, drain, pause_at
from tests.places import in_database, in_redis, redis_content, told
from tests.postings.conftest import Outside

CANARY = "canary-9f3b-does-not-sing"
POINTS = [f"{step}.stage.{point}" for step in ("institution", "user", "profile") for point in ("claimed", "effect")]


class Lookout:
    """Looks at every place again and again."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self) -> None:
        self.looks += 1
        assert in_database(CANARY) == []
        assert in_redis(CANARY) == []


@pytest.fixture
def lookout(caplog: pytest.LogCaptureFixture) -> Any:
    caplog.set_level(logging.DEBUG)
    look = Lookout()
    yield look
    look()
    assert caplog.records
    assert CANARY not in told(caplog.records)


def submit(post: Callable[..., Any], email: str) -> uuid.UUID:
    fields = {
        "name": "Greenfield School",
        "subdomain": f"greenfield-{uuid.uuid4().hex[:8]}",
        "director_email": email,
        "director_password": CANARY,
    }
    answer = post("/api/v1/institutions/register/", fields)
    assert answer.status_code == 202, answer.content
    assert CANARY.encode() not in answer.content
    return uuid.UUID(answer.json()["id"])


@pytest.mark.parametrize("place", POINTS)
def test_the_password_is_nowhere_in_clear_wherever_a_worker_dies(
    outside: Outside, broker: ScriptedBroker, post: Callable[..., Any], lookout: Lookout, place: str
) -> None:
    pipeline = submit(post, "head@example.com")
    lookout()
    pause_at(place, lookout)
    broker.deliver_all()
    assert lookout.looks == 2, "the place was never reached"
    assert drain(pipeline, broker) == "committed"
    other = submit(post, "other@example.com")
    crash_at(place)
    broker.deliver_all()
    lookout()
    assert drain(other, broker) == "committed"
    assert Pipeline.objects.get(pk=other).secrets == {}


@pytest.mark.parametrize("kind", ["error_before", "error_after", "truncate", "drop_after"])
def test_an_error_of_the_provider_tells_nothing(
    outside: Outside, broker: ScriptedBroker, post: Callable[..., Any], lookout: Lookout, kind: str
) -> None:
    outside.fault("supabase", "users.create", kind, times=1)
    pipeline = submit(post, "head@example.com")
    broker.deliver_all()
    lookout()
    assert drain(pipeline, broker) == "committed"


def test_it_is_kept_encrypted_until_the_login_is_made_and_erased_in_that_write(
    outside: Outside, broker: ScriptedBroker, post: Callable[..., Any]
) -> None:
    pipeline = submit(post, "head@example.com")
    kept = Pipeline.objects.get(pk=pipeline).secrets
    assert set(kept) == {"director_password"}
    crash_at("profile.stage.claimed")
    broker.deliver_all()
    assert Pipeline.objects.get(pk=pipeline).secrets == {}
    drain(pipeline, broker)


def test_it_is_erased_when_the_pipeline_turns_back_before_it_was_needed(
    outside: Outside, broker: ScriptedBroker, post: Callable[..., Any], lookout: Lookout
) -> None:
    drain(submit(post, "head@example.com"), broker)
    pipeline = submit(post, "head@example.com")
    assert drain(pipeline, broker, within=SOON) == "rolled_back"
    assert Pipeline.objects.get(pk=pipeline).secrets == {}


def test_messages_carry_no_more_than_a_job(outside: Outside, post: Callable[..., Any], broker: ScriptedBroker) -> None:
    """In the real broker's queues, which nobody consumes here."""
    dispatch.use_sender(None)
    try:
        pipeline = submit(post, "head@example.com")
        job = [each for each in redis_content() if each.startswith(b"[[") and str(pipeline).encode() in each]
        assert job, "nothing was published"
        assert json.loads(job[0])[0] == [str(pipeline), "institution"]
        assert in_redis(CANARY) == []
    finally:
        broker.come_back()
    drain(pipeline, broker)
