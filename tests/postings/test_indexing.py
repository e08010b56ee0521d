"""Google is told of new and of gone pages: within a day's quota, deletions first, whatever happens on the way."""

import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.db.models import F

from pipeline.models import Event, Pipeline, Step
from pipeline.sweep import sweep_once
from pipeline.testing import IN_THE_END, ScriptedBroker, advance, crash_at, drain, state_of, until_due
from postings import endings
from postings.models import IndexingDay, Posting
from postings.providers import google_indexing
from postings.steps import indexing
from tests.postings.conftest import Outside
from tests.postings.vendor import Answer, Vendor, serving

Submit = Callable[..., uuid.UUID]
Told = list[tuple[str, str]]
WHY: dict[str, str] = {"by": "olga", "reason": "The customer asked for it"}


@pytest.fixture
def told() -> Told:
    """What Google has taken: (kind, url)."""
    return []


@pytest.fixture
def google(told: Told, settings: Any) -> Iterator[Vendor]:
    settings.INDEXING_ENABLED, settings.SANDBOX_URL = True, "http://127.0.0.1:1"
    settings.INDEXING_DAILY_QUOTA, settings.INDEXING_RESERVED_FOR_DELETIONS = 10, 1
    pages: dict[str, dict[str, Any]] = {}

    def answer(method: str, path: str, query: dict[str, str], body: str) -> Answer:
        if method == "GET":
            assert path == "/v3/urlNotifications/metadata"
            return (200, pages[query["url"]]) if query["url"] in pages else (404, {})
        assert path == "/v3/urlNotifications:publish"
        given = json.loads(body)
        told.append((given["type"], given["url"]))
        name = "latestUpdate" if given["type"] == "URL_UPDATED" else "latestRemove"
        # Later than any clock that a test has moved.
        pages.setdefault(given["url"], {})[name] = {"notifyTime": (datetime.now(UTC) + timedelta(days=9)).isoformat()}
        return 200, {"urlNotificationMetadata": pages[given["url"]]}

    with serving(Vendor(answer)) as vendor:
        settings.GOOGLE_INDEXING_BASE = vendor.url
        yield vendor


def _url(pipeline: uuid.UUID) -> str:
    return str(Step.objects.get(pipeline_id=pipeline, name="posting").data["url"])


def test_google_is_told_of_a_published_page(
    outside: Outside, broker: ScriptedBroker, submit: Submit, google: Vendor, told: Told
) -> None:
    pipeline = submit(has_logo=False)
    assert drain(pipeline, broker) == "committed"
    assert told == [("URL_UPDATED", _url(pipeline))]
    assert IndexingDay.objects.get().told == 1


def test_google_is_told_of_nothing_that_was_not_published(
    outside: Outside, broker: ScriptedBroker, submit: Submit, google: Vendor, told: Told
) -> None:
    assert drain(submit("pm_card_chargeDeclined", has_logo=False), broker) == "rolled_back"
    assert told == []


def test_while_switched_off_a_posting_has_no_such_step(
    outside: Outside, broker: ScriptedBroker, submit: Submit, google: Vendor, told: Told, settings: Any
) -> None:
    settings.INDEXING_ENABLED = False
    pipeline = submit(has_logo=False)
    assert drain(pipeline, broker) == "committed"
    withdrawal = endings.withdraw(Posting.objects.get(), **WHY).id
    assert drain(withdrawal, broker) == "committed"
    assert told == []
    assert not Step.objects.filter(name="indexing").exists()


@pytest.mark.parametrize("is_withdrawn", [True, False])
def test_google_is_told_that_a_page_is_gone(
    outside: Outside, broker: ScriptedBroker, submit: Submit, google: Vendor, told: Told, *, is_withdrawn: bool
) -> None:
    pipeline = submit(has_logo=False)
    drain(pipeline, broker)
    if is_withdrawn:
        ending = endings.withdraw(Posting.objects.get(), **WHY).id
    else:
        Posting.objects.update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
        [started] = endings.expire_due()
        ending = started.id
    assert drain(ending, broker) == "committed"
    assert told == [("URL_UPDATED", _url(pipeline)), ("URL_DELETED", _url(pipeline))]


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("fault", ["drop_before", "drop_after", "error_after"])
def test_an_unknown_outcome_is_answered_by_the_pages_metadata(
    outside: Outside, broker: ScriptedBroker, submit: Submit, google: Vendor, told: Told, fault: str, times: int
) -> None:
    google.faults.extend([fault] * times)
    assert drain(submit(has_logo=False), broker) == "committed"
    assert len(told) == 1
    assert google.writes == IndexingDay.objects.get().told == (times + 1 if fault == "drop_before" else 1)


@pytest.mark.parametrize("point", ["claimed", "effect", "recorded"])
def test_a_killed_worker_tells_nothing_twice(
    outside: Outside, broker: ScriptedBroker, submit: Submit, google: Vendor, told: Told, point: str
) -> None:
    crash_at(f"indexing.commit.{point}")
    pipeline = submit(has_logo=False)
    assert drain(pipeline, broker) == "committed"
    crash_at(f"indexing.commit.{point}")
    assert drain(endings.withdraw(Posting.objects.get(), **WHY).id, broker) == "committed"
    assert told == [("URL_UPDATED", _url(pipeline)), ("URL_DELETED", _url(pipeline))]


def test_messages_that_come_twice_tell_once(
    outside: Outside, broker: ScriptedBroker, submit: Submit, google: Vendor, told: Told
) -> None:
    pipeline = submit(has_logo=False)
    for _ in range(4):
        broker.duplicate()
        broker.deliver_all()
    assert drain(pipeline, broker) == "committed"
    broker.replay_all()
    broker.deliver_all()
    assert len(told) == 1


def test_over_quota_an_update_waits_for_the_next_day_and_a_deletion_does_not(
    outside: Outside, broker: ScriptedBroker, submit: Submit, google: Vendor, told: Told, settings: Any
) -> None:
    settings.INDEXING_DAILY_QUOTA, settings.INDEXING_RESERVED_FOR_DELETIONS = 2, 1
    first, second = submit(has_logo=False), submit(has_logo=False)
    assert drain(first, broker, within=IN_THE_END) == "committed"
    broker.deliver_all()
    assert state_of(second) == "committing"
    assert Posting.objects.get(pipeline_id=second).state == "published"
    withdrawal = endings.withdraw(Posting.objects.get(pipeline_id=first), **WHY).id
    broker.deliver_all()
    assert state_of(withdrawal) == "committed"
    assert [kind for kind, _ in told] == ["URL_UPDATED", "URL_DELETED"]
    IndexingDay.objects.update(day=F("day") - timedelta(days=1))  # as if that had been yesterday
    assert drain(second, broker, within=IN_THE_END) == "committed"
    assert told[-1] == ("URL_UPDATED", _url(second))


def test_a_page_that_was_taken_down_while_it_waited_is_not_told_of(
    outside: Outside, broker: ScriptedBroker, submit: Submit, google: Vendor, told: Told, settings: Any
) -> None:
    settings.INDEXING_DAILY_QUOTA = settings.INDEXING_RESERVED_FOR_DELETIONS = 1
    pipeline = submit(has_logo=False)
    broker.deliver_all()
    assert state_of(pipeline) == "committing"
    assert drain(endings.withdraw(Posting.objects.get(), **WHY).id, broker) == "committed"
    assert drain(pipeline, broker, within=IN_THE_END) == "committed"
    assert "URL_UPDATED" not in [kind for kind, _ in told]


def test_the_day_begins_at_midnight_in_california(db: None, settings: Any) -> None:
    settings.INDEXING_DAILY_QUOTA, settings.INDEXING_RESERVED_FOR_DELETIONS = 1, 0
    evening = datetime(2026, 7, 2, 6, 30, tzinfo=UTC)  # 23:30 of the first of July, summer time
    indexing._count(evening, "URL_UPDATED")
    with pytest.raises(google_indexing.Unavailable) as wait:
        indexing._count(evening, "URL_UPDATED")
    assert wait.value.until == evening + timedelta(minutes=30)
    indexing._count(evening + timedelta(minutes=30), "URL_UPDATED")
    assert [str(day.day) for day in IndexingDay.objects.order_by("day")] == ["2026-07-01", "2026-07-02"]


def test_where_the_day_begins_is_known_on_a_system_without_time_zones() -> None:
    without = "import zoneinfo; zoneinfo.reset_tzpath([]); zoneinfo.ZoneInfo('America/Los_Angeles')"
    subprocess.run([sys.executable, "-c", without], check=True)


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, "refused", "page_refused"),
        (401, "unavailable", "google_credentials"),
        (403, "unavailable", "google_permission"),
        (404, "unavailable", "google_settings"),
        (429, "unavailable", "quota_exhausted"),
        (500, "unknown", "server_error"),
        (503, "unknown", "server_error"),
    ],
)
def test_every_answer_is_refused_unavailable_or_unknown(google: Vendor, status: int, kind: str, code: str) -> None:
    google.faults.append((status, {"error": {"code": status}}))
    with pytest.raises(google_indexing.StepFailure) as failure:
        google_indexing.publish("https://example.com/jobs/x/", "URL_UPDATED")
    assert (failure.value.kind, failure.value.code) == (kind, code)


def test_a_service_accounts_key_is_turned_into_a_token_once(settings: Any, google: Vendor) -> None:
    asked: list[str] = []

    def answer(method: str, path: str, query: dict[str, str], body: str) -> Answer:
        asked.append(parse_qs(body)["assertion"][0])
        return 200, {"access_token": "ya29.x", "expires_in": 3600}

    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    with serving(Vendor(answer)) as tokens:
        account = {"client_email": "jobs@x.iam.example", "private_key": pem, "token_uri": f"{tokens.url}/token"}
        settings.GOOGLE_INDEXING_CREDENTIALS = json.dumps(account)
        for _ in range(2):
            google_indexing.publish("https://example.com/jobs/x/", "URL_UPDATED")
    assert len(asked) == 1
    assert asked[0].count(".") == 2


@pytest.mark.parametrize("is_gone", [False, True], ids=["new", "gone"])
def test_over_quota_a_job_waits_for_the_next_day_and_nobody_is_told(
    outside: Outside,
    broker: ScriptedBroker,
    submit: Submit,
    google: Vendor,
    told: Told,
    settings: Any,
    *,
    is_gone: bool,
) -> None:
    settings.INDEXING_DAILY_QUOTA = 10 if is_gone else 0
    pipeline = submit(has_logo=False)
    if is_gone:
        drain(pipeline, broker, within=IN_THE_END)
        settings.INDEXING_DAILY_QUOTA = 0
        pipeline = endings.withdraw(Posting.objects.get(), **WHY).id
    broker.deliver_all()
    step = Step.objects.get(pipeline_id=pipeline, name="indexing")
    assert step.error["code"] == "quota_used_up"
    assert step.due_at is not None
    assert step.due_at.astimezone(indexing._PACIFIC).time() == time(0, 0)
    settings.INDEXING_DAILY_QUOTA = 10
    advance(until_due(pipeline), pipeline)
    assert sweep_once() == 0, "the sweep has looked, and looks again when the job is due"
    assert Pipeline.objects.get(pk=pipeline).due_at == Step.objects.get(pk=step.pk).due_at
    advance(until_due(pipeline), pipeline)
    assert sweep_once() == 1
    broker.deliver_all()
    assert state_of(pipeline) == "committed"
    assert told[-1][0] == ("URL_DELETED" if is_gone else "URL_UPDATED")
    assert not Event.objects.filter(type="attention").exists()
