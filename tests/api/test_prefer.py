"""POST with `Prefer: wait`: 201, 402 or 202, the whole workflow run against the sandbox while the client waits."""

import time
from io import BytesIO

import pytest
from django.test import Client
from PIL import Image

from pipeline.models import Pipeline
from pipeline.testing import drain
from tests.api.conftest import APPS, problem
from tests.beside import a_worker
from tests.postings.conftest import outside  # noqa: F401 - a fixture
from tests.sandbox.conftest import shared_sandbox  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db(transaction=True, available_apps=APPS)


@pytest.fixture
def working(broker, outside):  # noqa: F811
    """A worker beside the request."""
    with a_worker(broker):
        yield


def test_a_committed_posting_is_201_at_its_own_address(post, fields, working, http):
    response = post(fields, Prefer="wait=20")
    assert response.status_code == 201, response.content
    body = response.json()
    assert response["Preference-Applied"] == "wait"
    assert response["Location"] == f"http://testserver/api/v1/postings/{body['result']['posting']['id']}/"
    assert "Retry-After" not in response
    assert (body["state"], body["progress"]["percent"]) == ("committed", 100)
    shown = http.get(response["Location"]).json()
    assert shown["title"] == fields["title"]
    assert http.get("/api/v1/postings/").json()["results"] == [shown]


def test_a_refused_payment_is_402(post, fields, working):
    response = post(fields | {"payment_method": "pm_card_chargeDeclined"}, Prefer="wait=20")
    body = problem(response, 402, "card_declined")
    assert response["Preference-Applied"] == "wait"
    assert body["step"] == "payment"
    assert Pipeline.objects.get(pk=body["pipeline"]).state == "rolled_back"
    assert body["links"]["self"].endswith(body["instance"])


def test_a_replay_waits_too_and_says_so(post, fields, working):
    first = post(fields, key="a-key-of-mine", Prefer="wait=20")
    second = post(fields, key="a-key-of-mine", Prefer="wait=20")
    assert (first.status_code, second.status_code) == (201, 201)
    assert second["Idempotent-Replayed"] == "true"
    assert second["Location"] == first["Location"]
    plain = post(fields, key="a-key-of-mine")
    assert (plain.status_code, plain["Location"]) == (202, f"/api/v1/pipelines/{first.json()['id']}/")


def test_a_wait_that_is_over_before_the_end_is_202(post, fields):
    began = time.monotonic()
    response = post(fields, Prefer="wait=1")
    assert response.status_code == 202
    assert response["Location"] == f"/api/v1/pipelines/{response.json()['id']}/"
    assert 0.9 < time.monotonic() - began < 5


def test_any_other_end_is_202_with_the_resource(post, fields, broker):
    key = "a-key-of-mine"
    made = post(fields, key=key).json()
    client = Client()
    assert client.post(f"/api/v1/pipelines/{made['id']}/cancel/").status_code == 202
    drain(made["id"], broker)
    response = post(fields, key=key, Prefer="wait=5")
    assert (response.status_code, response.json()["state"]) == (202, "rolled_back")


def test_waiting_for_the_customer_is_202_with_what_to_do(post, fields, outside, broker):  # noqa: F811
    key = "a-key-of-mine"
    fields["payment_method"] = "pm_card_authenticationRequired"
    fields["logo"] = _base64(64)
    made = post(fields, key=key).json()
    drive_until(made["id"], "waiting", broker)
    response = post(fields, key=key, Prefer="wait=1")
    assert (response.status_code, response.json()["state"]) == (202, "waiting")
    assert response.json()["next_action"]["type"] == "confirm_payment"
    assert response.json()["next_action"]["client_secret"]


def _base64(side):
    import base64

    out = BytesIO()
    Image.new("RGB", (side, side)).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


@pytest.mark.parametrize(("outcome", "end"), [("succeed", "committed"), ("fail", "rolled_back")])
def test_3d_secure_goes_from_waiting_to_its_end(post, fields, http, outside, broker, outcome, end):  # noqa: F811
    fields["payment_method"] = "pm_card_authenticationRequired"
    made = post(fields).json()
    drive_until(made["id"], "waiting", broker)
    waiting = http.get(f"/api/v1/pipelines/{made['id']}/").json()
    assert waiting["message"] == "2 of 4 steps completed: waiting for your confirmation"
    intent = waiting["next_action"]["client_secret"].split("_secret_")[0]
    outside.sandbox.post(f"stripe/payment_intents/{intent}/authenticate", {"outcome": outcome})
    assert http.post(f"/api/v1/pipelines/{made['id']}/resume/").status_code == 202
    drain(made["id"], broker)
    ended = http.get(f"/api/v1/pipelines/{made['id']}/").json()
    assert (ended["state"], ended["next_action"]) == (end, None)
    if end == "rolled_back":
        assert (ended["error"]["code"], ended["error"]["step"]) == ("authentication_failed", "payment")


def drive_until(pipeline, state, broker):
    while Pipeline.objects.get(pk=pipeline).state != state:
        assert broker.deliver() is not None
