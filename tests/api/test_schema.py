"""The OpenAPI description against the API itself: nothing it does is undocumented, and nothing makes it fail."""

import os

import pytest
import schemathesis
from django.core.wsgi import get_wsgi_application
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from pipeline import actions
from pipeline.models import Pipeline
from pipeline.testing import drain
from tests.api.conftest import APPS

# Requests come as from a server, which closes connections between them.
pytestmark = pytest.mark.django_db(transaction=True, available_apps=APPS)

OPERATIONS = [
    ("GET", "/api/v1/pipelines/{pipeline_id}/"),
    ("GET", "/api/v1/pipelines/{pipeline_id}/events/"),
    ("GET", "/api/v1/pipelines/{pipeline_id}/stream/"),
    ("POST", "/api/v1/pipelines/{pipeline_id}/cancel/"),
    ("POST", "/api/v1/pipelines/{pipeline_id}/resume/"),
    ("GET", "/api/v1/plans/"),
    ("GET", "/api/v1/postings/"),
    ("POST", "/api/v1/postings/"),
    ("GET", "/api/v1/postings/{posting_id}/"),
    ("POST", "/api/v1/institutions/register/"),
    ("GET", "/api/v1/institutions/{institution_id}/"),
    ("GET", "/api/v1/buyers/"),
    ("POST", "/api/v1/orders/"),
]
# Rules across fields, what is on sale or reserved, buyers and a cursor's calendar cannot be told in a schema.
UNTOLD = {"/api/v1/postings/", "/api/v1/institutions/register/", "/api/v1/orders/"}
# Nothing that is sent there can be wrong.
FREE = {"/api/v1/plans/", "/api/v1/buyers/"}


@pytest.fixture
def described(db, settings):
    settings.SUPABASE_URL, settings.SUPABASE_KEY = "https://supabase.example.com", "never used here"
    return schemathesis.openapi.from_wsgi("/api/schema/", get_wsgi_application())


def test_every_operation_is_described(described):
    found = {(made.ok().method.upper(), made.ok().path) for made in described.get_all_operations()}
    assert found == set(OPERATIONS)


EXAMPLES = int(os.environ.get("SCHEMA_EXAMPLES", "30"))
VALID = [(*operation, GenerationMode.POSITIVE) for operation in OPERATIONS]
INVALID = [(*operation, GenerationMode.NEGATIVE) for operation in OPERATIONS if operation[1] not in FREE]


@pytest.mark.parametrize(("method", "path", "mode"), VALID + INVALID)
def test_whatever_is_sent_is_answered_as_described(described, plan, method, path, mode):
    operation = described[path][method]
    excluded = [positive_data_acceptance] if path in UNTOLD else []

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        derandomize=EXAMPLES == 30,  # the same ones in every run, unless more are asked for
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def check(case):
        case.call_and_validate(excluded_checks=excluded)

    check()


@pytest.fixture
def ask(described):
    """Call an operation and hold the answer against its description."""

    def send(method, path, **given):
        case = described[path][method].Case(**given)
        response = case.call()
        case.validate_response(response)
        return response

    return send


@pytest.mark.parametrize("end", ["staging", "committed", "rolled_back"])
def test_a_known_pipeline_is_shown_as_described(ask, begin, broker, end):
    pipeline = begin()
    if end == "rolled_back":
        actions.cancel(pipeline)
    if end != "staging":
        drain(pipeline, broker)
    paths = {"path_parameters": {"pipeline_id": str(pipeline)}}
    shown = ask("GET", OPERATIONS[0][1], **paths)
    assert (shown.status_code, shown.json()["state"]) == (200, end)
    known = {"If-None-Match": shown.headers["etag"][0]}
    assert ask("GET", OPERATIONS[0][1], headers=known, **paths).status_code == 304
    assert ask("GET", OPERATIONS[1][1], **paths).json()["results"]
    if end == "staging":
        assert ask("POST", OPERATIONS[4][1], **paths).status_code == 409
        assert ask("POST", OPERATIONS[3][1], **paths).status_code == 202
    else:
        assert ask("GET", OPERATIONS[2][1], **paths).status_code == 200
        last = {"Last-Event-ID": str(Pipeline.objects.get(pk=pipeline).seq)}
        assert ask("GET", OPERATIONS[2][1], headers=last, **paths).status_code == 204


def test_every_answer_to_a_submission_is_as_described(ask, plan, fields):
    def submit(body, **headers):
        headers = {"Idempotency-Key": "a-key-of-mine"} | {name.replace("_", "-"): it for name, it in headers.items()}
        return ask("POST", "/api/v1/postings/", body=body, headers=headers, media_type="application/json").status_code

    assert submit({"title": "x"}) == 400
    assert submit(fields, Authorization="Token nonsense") == 401
    assert submit(fields) == 202
    assert submit(fields) == 202
    assert submit(fields | {"title": "Another one"}) == 422
    assert submit(fields | {"description": "x" * 5_000_000}) == 413
