"""The history: pages by seq without gaps, the stream of the same events, and nothing that is for operators."""

import json
import uuid

import pytest

from pipeline import actions, marks
from pipeline.testing import drain
from tests.api.conftest import APPS, problem

URL = "/api/v1/pipelines/{}/events/"
STREAM = "/api/v1/pipelines/{}/stream/"
committed = pytest.mark.django_db(transaction=True, available_apps=APPS)


def lines(response):
    """The events of a stream: (id, event, data)."""
    text = b"".join(response.streaming_content).decode()
    found = []
    for message in text.split("\n\n"):
        if message and not message.startswith(":"):
            fields = dict(line.split(": ", 1) for line in message.split("\n"))
            found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found


@committed
def test_the_history_tells_everything_in_order_without_gaps(http, begin, broker):
    pipeline = begin()
    drain(pipeline, broker)
    body = http.get(URL.format(pipeline)).json()
    assert (body["next"], body["previous"]) == (None, None)
    assert [event["seq"] for event in body["results"]] == list(range(1, len(body["results"]) + 1))
    assert list(body["results"][0]) == ["seq", "at", "type", "step", "attempt", "data"]
    types = [event["type"] for event in body["results"]]
    assert types[0] == "accepted"
    assert types[-1] == "pipeline_committed"
    assert types.index("staged") < types.index("decided_commit") < types.index("committed")


def test_it_comes_in_pages_of_100(http, begin):
    pipeline = begin()
    for _ in range(249):
        actions.hint(pipeline, by="stripe")
    first = http.get(URL.format(pipeline)).json()
    assert (len(first["results"]), first["previous"]) == (100, None)
    second = http.get(first["next"]).json()
    third = http.get(second["next"]).json()
    assert [event["seq"] for page in (first, second, third) for event in page["results"]] == list(range(1, 251))
    assert third["next"] is None
    assert http.get(third["previous"]).json() == second
    assert http.get(second["previous"]).json()["results"] == first["results"]


def test_a_page_after_the_end_is_empty(http, begin):
    body = http.get(URL.format(begin()) + f"?after={2**31 - 1}").json()
    assert (body["results"], body["next"]) == ([], None)


@pytest.mark.parametrize("after", ["x", "-1", "1.5", "9" * 50, "", "²", "%00"])
def test_a_position_that_is_none_is_400(http, begin, after):
    problem(http.get(URL.format(begin()) + f"?after={after}"), 400, "invalid_seq")


def test_the_public_history_does_not_name_operators(http, begin):
    pipeline = begin()
    actions.retry_now(pipeline, by="ann@example.com", reason="the customer phoned: +49 40 123")
    actions.hint(pipeline, by="stripe")
    marks.attention(pipeline, {"code": "disputed", "detail": "internal"})
    text = http.get(URL.format(pipeline)).content.decode()
    assert "ann@example.com" not in text
    assert "phoned" not in text
    assert "internal" not in text
    data = [event["data"] for event in json.loads(text)["results"]]
    assert data == [{}, {"action": "retry now"}, {"by": "stripe"}, {"code": "disputed"}]


@committed
def test_a_stream_of_an_ended_pipeline_is_its_history(http, begin, broker):
    pipeline = begin()
    drain(pipeline, broker)
    response = http.get(STREAM.format(pipeline))
    assert response["Content-Type"] == "text/event-stream"
    assert response["Cache-Control"] == "no-cache"
    assert response["X-Accel-Buffering"] == "no"
    told = lines(response)
    history = http.get(URL.format(pipeline)).json()["results"]
    assert told == [(event["seq"], event["type"], event) for event in history]


@committed
def test_a_stream_is_resumed_after_the_last_event(http, begin, broker):
    pipeline = begin()
    drain(pipeline, broker)
    last = http.get(URL.format(pipeline)).json()["results"][-1]["seq"]
    told = lines(http.get(STREAM.format(pipeline), headers={"Last-Event-ID": str(last - 2)}))
    assert [seq for seq, _, _ in told] == [last - 1, last]
    assert http.get(STREAM.format(pipeline), headers={"Last-Event-ID": str(last)}).status_code == 204


def test_a_stream_has_its_limits(http, begin, settings):
    pipeline = begin()
    problem(http.get(STREAM.format(pipeline), headers={"Last-Event-ID": "x"}), 400, "invalid_seq")
    problem(http.get(STREAM.format(uuid.uuid4())), 404)
    settings.MAX_WATCHERS = 0
    response = http.get(STREAM.format(pipeline))
    problem(response, 503, "unavailable")
    assert response["Retry-After"] == "5"


@committed
def test_the_seat_of_an_ended_stream_is_free_again(http, begin, broker, settings):
    settings.MAX_WATCHERS = 1
    pipeline = begin()
    drain(pipeline, broker)
    for _ in range(3):
        assert lines(http.get(STREAM.format(pipeline)))
    unread = http.get(STREAM.format(pipeline))
    unread.close()
    del unread
    assert http.get(STREAM.format(pipeline)).status_code == 200
