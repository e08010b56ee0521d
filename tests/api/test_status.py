"""The pipeline resource: progress and words in every state, ETag and 304, and what a poll costs."""

import re
import uuid

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from pipeline import actions, marks, transitions
from pipeline.api import resource
from pipeline.errors import Refused, Unavailable
from pipeline.models import Pipeline, Step
from pipeline.plan import Job
from pipeline.states import TERMINAL, Verb
from pipeline.testing import drain
from pipeline.workflow import Skip, Wait
from tests.api.conftest import APPS, problem

NOBODY = "0199f000-0000-7000-8000-000000000000"  # a well-formed id that no pipeline has

URL = "/api/v1/pipelines/{}/"
committed = pytest.mark.django_db(transaction=True, available_apps=APPS)


@pytest.fixture(autouse=True)
def step_by_step(settings):
    """Each job by a message of its own."""
    settings.PIPELINE = settings.PIPELINE | {"GO_ON": False}


def shown(http, pipeline):
    response = http.get(URL.format(pipeline))
    assert response.status_code == 200
    return response.json()


def snapshots(http, pipeline, broker):
    """The resource after each delivered message, until the end."""
    seen = [shown(http, pipeline)]
    while seen[-1]["state"] not in TERMINAL:
        if broker.waiting:
            broker.deliver()
        else:
            drain(pipeline, broker)
        seen.append(shown(http, pipeline))
    return seen


def test_a_new_pipeline_has_the_documented_shape(http, begin):
    pipeline = begin()
    body = shown(http, pipeline)
    assert list(body) == [
        "id", "workflow", "version", "state", "message", "progress", "steps", "needs_attention", "next_action",
        "error", "result", "created_at", "updated_at", "finished_at", "links",
    ]  # fmt: skip
    assert list(body["steps"][0]) == [
        "name", "label", "state", "attempts", "next_attempt_at", "started_at", "finished_at", "error",
    ]  # fmt: skip
    assert body["progress"] == {"completed": 0, "total": 4, "percent": 0}
    assert body["message"] == "0 of 4 steps completed: uploading the logo"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", body["created_at"])
    assert body["links"] == {
        name: f"http://testserver/api/v1/pipelines/{pipeline}/{path}"
        for name, path in {
            "self": "", "events": "events/", "stream": "stream/", "cancel": "cancel/", "resume": "resume/",
        }.items()
    } | {"page": f"http://testserver/pipelines/{pipeline}/"}  # fmt: skip


PROGRESS = [
    # pipeline state, steps' states, completed, percent, message
    ("staging", ["pending"] * 4, 0, 0, "0 of 4 steps completed: doing 0"),
    ("staging", ["staging", "pending", "pending", "pending"], 0, 0, "0 of 4 steps completed: doing 0"),
    ("staging", ["staged", "staged", "staging", "pending"], 2, 25, "2 of 4 steps completed: doing 2"),
    ("staging", ["skipped", "staged", "staging", "pending"], 2, 37, "2 of 4 steps completed: doing 2"),
    (
        "waiting",
        ["staged", "staged", "staging", "pending"],
        2,
        25,
        "2 of 4 steps completed: waiting for your confirmation",
    ),
    ("committing", ["staged"] * 4, 4, 50, "4 of 4 steps completed: making them final (0 of 4 done)"),
    (
        "committing",
        ["committing", "staged", "committed", "staged"],
        4,
        62,
        "4 of 4 steps completed: making them final (1 of 4 done)",
    ),
    ("committing", ["committed"] * 4, 4, 99, "4 of 4 steps completed: making them final (4 of 4 done)"),
    ("committed", ["skipped", "committed", "committed", "skipped"], 4, 100, "4 of 4 steps completed and final"),
    ("rolling_back", ["staged", "rolling_back", "rolled_back", "pending"], 1, 12, "Rolling back: 1 of 4 steps undone"),
    (
        "rolling_back",
        ["rolled_back", "rolled_back", "rolled_back", "rolling_back"],
        3,
        0,
        "Rolling back: 3 of 4 steps undone",
    ),
    ("rolled_back", ["rolled_back"] * 4, 4, 0, "Rolled back: 4 of 4 steps undone"),
    ("rolled_back", ["skipped"] * 4, 4, 99, "Rolled back: 4 of 4 steps undone"),
]


@pytest.mark.parametrize(("state", "steps", "completed", "percent", "message"), PROGRESS)
def test_progress_and_message_say_how_far_it_is(state, steps, completed, percent, message):
    rows = [Step(name=f"s{n}", state=at, doing=f"doing {n}") for n, at in enumerate(steps)]
    assert resource.progress(state, rows) == {"completed": completed, "total": 4, "percent": percent}
    assert resource.message(Pipeline(state=state), rows) == message


@committed
def test_progress_never_goes_back_on_the_way_forward(http, begin, broker):
    pipeline = begin()
    seen = [body["progress"] for body in snapshots(http, pipeline, broker)]
    completed, percent = ([each[name] for each in seen] for name in ("completed", "percent"))
    assert completed == sorted(completed)
    assert percent == sorted(percent)
    assert percent.count(100) == 1
    assert shown(http, pipeline)["state"] == "committed"


@committed
def test_a_refusal_is_told_in_our_words_and_not_the_provider_s(http, begin, broker):
    refusal = Refused("card_declined", "raw text: do not honour", title="Payment refused", message="Declined.")
    begin.world.will("payment.stage", refusal)
    pipeline = begin()
    last = snapshots(http, pipeline, broker)[-1]
    assert last["state"] == "rolled_back"
    assert last["progress"]["percent"] < 100
    assert last["error"] == {
        "type": "urn:problem:card-declined",
        "title": "Payment refused",
        "detail": "Declined.",
        "code": "card_declined",
        "step": "payment",
    }
    assert "do not honour" not in str(last)
    assert "do not honour" not in http.get(URL.format(pipeline) + "events/").content.decode()


@committed
def test_a_failed_attempt_shows_when_the_next_one_is(http, begin, broker):
    begin.world.will("logo.stage", Unavailable("busy", "internal host 10.0.0.7 refused"))
    pipeline = begin()
    broker.deliver()
    step = shown(http, pipeline)["steps"][0]
    assert (step["state"], step["attempts"]) == ("staging", 1)
    assert step["error"]["code"] == "busy"
    assert "10.0.0.7" not in str(step)
    assert step["next_attempt_at"] > step["started_at"]


@committed
def test_a_waiting_pipeline_says_what_the_customer_shall_do_until_when(http, begin, broker):
    from django.utils import timezone

    deadline = timezone.now() + timezone.timedelta(minutes=30)
    begin.world.will("payment.stage", Wait({"type": "confirm_payment", "client_secret": "pi_x_secret_y"}, deadline))
    pipeline = begin()
    while shown(http, pipeline)["state"] == "staging":
        broker.deliver()
    body = shown(http, pipeline)
    assert body["state"] == "waiting"
    assert body["next_action"] == {
        "type": "confirm_payment",
        "client_secret": "pi_x_secret_y",
        "deadline": resource.rfc3339(deadline),
    }
    assert http.post(URL.format(pipeline) + "resume/").status_code == 202
    drain(pipeline, broker)
    assert shown(http, pipeline)["next_action"] is None


@committed
def test_a_skipped_step_counts_as_done(http, begin, broker):
    begin.world.will("logo.stage", Skip("no logo"))
    last = snapshots(http, begin(), broker)[-1]
    assert last["steps"][0]["state"] == "skipped"
    assert last["progress"] == {"completed": 4, "total": 4, "percent": 100}


def test_needs_attention_is_shown(http, begin):
    pipeline = begin()
    marks.attention(pipeline, {"code": "x"})
    assert shown(http, pipeline)["needs_attention"] is True


@pytest.mark.parametrize(
    "path",
    ["", "nonsense/", "0/", f"{NOBODY}/", f"{NOBODY}/events/", f"{NOBODY}/stream/", "%00/", "../"],
)
def test_an_unknown_or_malformed_id_is_404(http, db, path):
    problem(http.get(f"/api/v1/pipelines/{path}"), 404, "not_found")


@pytest.mark.parametrize(
    "path", ["/api", "/api/", "/api/v1/", "/api/v2/postings/", "/api/v1/postings", "/api/v1/nothing/"]
)
@pytest.mark.parametrize("method", ["get", "post", "delete"])
def test_an_unknown_route_is_404(http, db, path, method):
    problem(getattr(http, method)(path), 404, "not_found")


@pytest.mark.parametrize("path", ["", "events/", "stream/"])
def test_other_methods_are_405(http, begin, path):
    response = http.delete(URL.format(begin()) + path)
    problem(response, 405)
    assert "GET" in response["Allow"]


def test_the_etag_is_the_content_s(http, begin):
    pipeline = begin()
    first, second = (http.get(URL.format(pipeline)) for _ in range(2))
    assert first["ETag"] == second["ETag"]
    assert re.fullmatch(r'"[0-9a-f]{32}"', first["ETag"])
    actions.cancel(pipeline)
    assert http.get(URL.format(pipeline))["ETag"] != first["ETag"]


@pytest.mark.parametrize("spelling", ["{}", "W/{}", '"another", {}', "*"])
def test_a_known_etag_is_304(http, begin, spelling):
    pipeline = begin()
    etag = http.get(URL.format(pipeline))["ETag"]
    response = http.get(URL.format(pipeline), headers={"If-None-Match": spelling.format(etag)})
    assert (response.status_code, response.content, response["ETag"]) == (304, b"", etag)
    assert "Content-Type" not in response
    assert response["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize("header", ['"another"', "nonsense", ""])
def test_another_etag_is_200(http, begin, header):
    assert http.get(URL.format(begin()), headers={"If-None-Match": header}).status_code == 200


@committed
def test_how_to_poll_is_told_while_it_is_not_terminal(http, begin, broker):
    pipeline = begin()
    response = http.get(URL.format(pipeline))
    assert response["Retry-After"] == "1"
    assert response["Cache-Control"] == "private, no-cache"
    assert response["Vary"] == "Prefer"
    drain(pipeline, broker)
    assert "Retry-After" not in http.get(URL.format(pipeline))


def test_a_poll_is_at_most_two_statements_of_one_index_lookup_each(http, begin):
    pipelines = [begin() for _ in range(30)]
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE pipeline_pipeline, pipeline_step")
    with CaptureQueriesContext(connection) as captured:
        http.get(URL.format(pipelines[7]))
    statements = [query["sql"] for query in captured]
    assert len(statements) <= 2
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # thirty rows fit in a page: a million do not
        for statement in statements:
            cursor.execute(f"EXPLAIN {statement}")
            plan = "\n".join(line for (line,) in cursor.fetchall())
            assert "Seq Scan" not in plan
            assert len(re.findall(r"Index (?:Only )?Scan", plan)) == 2, plan
            assert plan.count("Index Cond") >= 1, plan


def test_a_poll_reads_neither_input_nor_secrets(http, begin):
    pipeline = begin()
    with CaptureQueriesContext(connection) as captured:
        http.get(URL.format(pipeline))
    assert not [query for query in captured if '"input"' in query["sql"] or '"secrets"' in query["sql"]]


@committed
def test_cancelling_rolls_back(http, begin, broker):
    pipeline = begin()
    response = http.post(URL.format(pipeline) + "cancel/")
    assert response.status_code == 202
    assert response.json()["state"] in ("rolling_back", "rolled_back")
    assert response.json()["error"]["code"] == "cancelled"
    assert response["Location"] == URL.format(pipeline)
    drain(pipeline, broker)
    problem(http.post(URL.format(pipeline) + "cancel/"), 409)


def test_what_is_decided_cannot_be_cancelled(http, begin):
    pipeline = begin()
    for step in ("logo", "posting", "payment", "email"):
        job = Job(pipeline, step, Verb.STAGE)
        begun, _ = transitions.claim(job, 1)
        row = Pipeline.objects.get(pk=pipeline)
        transitions.advance(job, begun, data={}, note={}, seen_seq=row.seq)
    body = problem(http.post(URL.format(pipeline) + "cancel/"), 409, "illegal_action")
    assert body["pipeline"] == str(pipeline)
    assert body["instance"] == URL.format(pipeline)
    assert shown(http, pipeline)["state"] == "committing"


def test_resuming_what_does_not_wait_is_409(http, begin):
    pipeline = begin()
    assert problem(http.post(URL.format(pipeline) + "resume/"), 409)["pipeline"] == str(pipeline)


@pytest.mark.parametrize("action", ["cancel", "resume"])
def test_acting_on_an_unknown_pipeline_is_404(http, db, action):
    problem(http.post(URL.format(uuid.uuid4()) + f"{action}/"), 404)
    problem(http.get(URL.format(uuid.uuid4()) + f"{action}/"), 405)
