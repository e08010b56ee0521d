"""The HTTP surface, most of it by Django's test client; what needs a server has a real one (test_server.py)."""

import itertools
import json
from io import BytesIO

import pytest
from django.test import Client
from PIL import Image

from pipeline import dispatch
from pipeline.models import Attachment, Event, Pipeline, Step
from pipeline.start import start
from pipeline.testing import World, throwaway
from postings.models import Plan

URL = "/api/v1/postings/"
APPS = ["pipeline", "postings", "django.contrib.auth", "django.contrib.contenttypes", "rest_framework.authtoken"]
SUBMISSION = {
    "title": "Senior engineer",
    "company_name": "Acme & Daughters",
    "description": "We are looking for somebody who likes pipelines.",
    "employment_type": "FULL_TIME",
    "location": "Hamburg",
    "country": "DE",
    "apply_email": "jobs@example.com",
    "contact_email": "customer@example.com",
    "plan": "basic",
    "payment_method": "pm_card_visa",
}  # a valid one, as JSON has it
_keys = itertools.count(1)


@pytest.fixture(autouse=True)
def generous(settings):
    """Rates and ceilings off, as in the demo; tests of them switch them on. Nothing is published."""
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {
        "DEFAULT_THROTTLE_RATES": dict.fromkeys(("submit", "read", "act")),
    }
    settings.PIPELINE = settings.PIPELINE | {"MAX_OPEN_PER_CLIENT": 0, "ON_ATTENTION": ""}
    settings.MAX_REFUSED_CARDS_PER_HOUR = 0
    dispatch.use_sender(lambda jobs: None)
    yield
    dispatch.use_sender(None)


@pytest.fixture
def plan(db):
    return Plan.objects.create(slug="basic", name="Basic", amount=4900, currency="EUR", duration_days=30)


@pytest.fixture
def fields():
    """A valid submission, to be changed."""
    return dict(SUBMISSION)


@pytest.fixture
def http():
    """A client that raises what a view raises."""
    return Client(enforce_csrf_checks=True)


@pytest.fixture
def post(http, plan):
    """`post({...})` submits JSON, `post({...}, form=True)` a form; under a new key unless one is given."""

    def send(body, *, key=None, form=False, client=None, **headers):
        key = f"test-key-{next(_keys)}" if key is None else key
        given = {"Idempotency-Key": key} if key else {}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        if form:
            return (client or http).post(URL, body, headers=given)
        data = body if isinstance(body, bytes | str) else json.dumps(body)
        return (client or http).post(URL, data, content_type="application/json", headers=given)

    return send


@pytest.fixture
def begin(db):
    """Start a pipeline of a workflow whose steps do what a test tells them; its id."""
    world = World()
    steps = [
        world.step("logo", doing="uploading the logo"),
        world.step("posting"),
        world.step("payment", pivot=True, doing="authorising the payment"),
        world.step("email", tells=True),
    ]
    with throwaway(*steps, name="shown") as workflow:

        def make(**given):
            return start(workflow, **({"input": {}, "key": f"begun-{next(_keys)}"} | given)).id

        make.workflow, make.world = workflow, world
        yield make


def picture(size=(64, 32), kind="PNG", **options):
    out = BytesIO()
    Image.new("RGB", size, "teal").save(out, kind, **options)
    return out.getvalue()


def rows():
    """How many rows there are of everything that a submission makes."""
    return {model.__name__: model.objects.count() for model in (Pipeline, Step, Event, Attachment)}


NOTHING = {"Pipeline": 0, "Step": 0, "Event": 0, "Attachment": 0}


def problem(response, status, code=None):
    """The problem object of an answer that must be one."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    assert body["type"].startswith("urn:problem:")
    assert body["title"]
    if code is not None:
        assert body["code"] == code, body
    return body


def wrong(response):
    """{field: code} of a 400's errors."""
    body = problem(response, 400, "invalid")
    for error in body["errors"]:
        assert set(error) == {"field", "code", "detail"}
        assert error["detail"]
    return {error["field"]: error["code"] for error in body["errors"]}
