"""reCAPTCHA in the request: before anything starts, once a token, never passed on a guess."""

import json
from urllib.parse import parse_qs

import pytest

from pipeline.models import Pipeline
from postings.forms import raw_fields
from postings.models import Plan
from tests.api.conftest import NOTHING, problem, rows, wrong
from tests.postings.vendor import Vendor, serving

pytestmark = pytest.mark.django_db


@pytest.fixture(params=[2, 3])
def google(request, settings):
    """Takes the token `person` once, knows `robot`; with version 3 it gives scores."""
    settings.RECAPTCHA_ENABLED, settings.RECAPTCHA_VERSION = True, request.param
    settings.RECAPTCHA_SITE_KEY, settings.RECAPTCHA_SECRET = "site", "secret"
    left = {"person", "robot", "elsewhere"}

    def answer(method, path, query, body):
        assert path == "/recaptcha/api/siteverify"
        given = {name: values[0] for name, values in parse_qs(body).items()}
        assert given["secret"] == "secret"
        token = given["response"]
        if token not in left:
            return 200, {"success": False, "error-codes": ["timeout-or-duplicate"]}
        left.remove(token)
        if request.param == 2:
            return 200, {"success": token == "person", "error-codes": []}
        action = "login" if token == "elsewhere" else "submit_posting"
        return 200, {"success": True, "score": 0.1 if token == "robot" else 0.9, "action": action}

    with serving(Vendor(answer)) as vendor:
        settings.RECAPTCHA_BASE = vendor.url
        yield vendor


def test_a_person_is_accepted_and_the_token_is_kept_nowhere(google, post, fields):
    assert post(fields | {"recaptcha_token": "person"}).status_code == 202
    assert "recaptcha_token" not in Pipeline.objects.get().input


@pytest.mark.parametrize("token", ["robot", "elsewhere", "made up"])
def test_what_google_refuses_is_a_field_error_and_starts_nothing(google, post, fields, token):
    assert wrong(post(fields | {"recaptcha_token": token})) == {"recaptcha_token": "recaptcha_refused"}
    assert rows() == NOTHING


@pytest.mark.parametrize("given", [{}, {"recaptcha_token": ""}, {"recaptcha_token": None}])
def test_without_a_token_google_is_not_asked(google, post, fields, given):
    assert wrong(post(fields | given)) == {"recaptcha_token": "required"}
    assert google.writes == 0


@pytest.mark.parametrize("token", [7, ["person"], "x" * 9000])
def test_what_cannot_be_a_token_is_not_sent_to_google(google, post, fields, token):
    assert wrong(post(fields | {"recaptcha_token": token})) == {"recaptcha_token": "invalid"}
    assert google.writes == 0


def test_a_token_is_not_used_up_by_a_submission_with_other_errors(google, post, fields):
    assert wrong(post(fields | {"title": "", "recaptcha_token": "person"})) == {"title": "required"}
    assert post(fields | {"recaptcha_token": "person"}).status_code == 202


def test_the_same_submission_again_finds_its_pipeline_though_the_token_is_used_up(google, post, fields):
    first = post(fields | {"recaptcha_token": "person"}, key="the-same-key")
    again = post(fields | {"recaptcha_token": "person"}, key="the-same-key")
    assert (again.status_code, again["Idempotent-Replayed"]) == (202, "true")
    assert again.json()["id"] == first.json()["id"]
    assert google.writes == 1


def test_a_token_works_for_one_posting(google, post, fields):
    assert post(fields | {"recaptcha_token": "person"}).status_code == 202
    assert wrong(post(fields | {"recaptcha_token": "person"})) == {"recaptcha_token": "recaptcha_refused"}
    assert Pipeline.objects.count() == 1


@pytest.mark.parametrize("fault", ["drop_before", "drop_after", "error_after"])
def test_an_unknown_verdict_asks_for_a_new_token(google, post, fields, fault):
    google.faults.append(fault)
    assert wrong(post(fields | {"recaptcha_token": "person"})) == {"recaptcha_token": "recaptcha_unknown"}
    assert rows() == NOTHING


@pytest.mark.parametrize(
    "busy", [(503, {}), (429, {}), (200, {"success": False, "error-codes": ["invalid-input-secret"]})]
)
def test_while_google_cannot_be_asked_the_same_may_be_sent_again(google, post, fields, busy):
    google.faults.append(busy)
    given = fields | {"recaptcha_token": "person"}
    refused = post(given, key="sent-again")
    problem(refused, 503, "unavailable")
    assert refused["Retry-After"]
    assert rows() == NOTHING
    assert post(given, key="sent-again").status_code == 202


def test_without_a_connection_the_same_may_be_sent_again(google, post, fields, settings):
    settings.RECAPTCHA_BASE = "http://127.0.0.1:1"
    problem(post(fields | {"recaptcha_token": "person"}), 503, "unavailable")


def test_the_form_shows_it_and_hands_the_token_on(google, http, settings):
    Plan.objects.create(slug="basic", name="Basic", amount=4900, currency="EUR", duration_days=30)
    page = http.get("/post/").content.decode()
    assert 'data-sitekey="site"' in page
    assert ('data-action="submit_posting"' in page) is (settings.RECAPTCHA_VERSION == 3)
    assert raw_fields({"g-recaptcha-response": "person"})["recaptcha_token"] == "person"


def test_while_switched_off_nobody_is_asked(google, post, fields, settings):
    settings.RECAPTCHA_ENABLED = False
    assert post(json.dumps(fields)).status_code == 202
    assert google.writes == 0
