"""reCAPTCHA in the request: before anything starts, once a token, never passed on a guess. Against the sandbox."""

import itertools
from datetime import timedelta

import pytest

from pipeline.models import Pipeline
from postings.forms import raw_fields
from postings.models import Plan
from tests.api.conftest import NOTHING, problem, rows, wrong
from tests.sandbox.conftest import shared_sandbox  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db
SITEVERIFY = "recaptcha.siteverify"
GIVE_UP_AFTER = 1.2  # seconds
_tokens = itertools.count(1)


@pytest.fixture(params=[2, 3])
def google(request, settings, shared_sandbox):  # noqa: F811
    """The sandbox's Google, for a site key of that version."""
    settings.RECAPTCHA_ENABLED, settings.RECAPTCHA_VERSION = True, request.param
    settings.RECAPTCHA_SITE_KEY, settings.RECAPTCHA_SECRET = "site", "secret"
    settings.RECAPTCHA_BASE = f"{shared_sandbox.url}/google"
    settings.PIPELINE = settings.PIPELINE | {"CALL_TIME": timedelta(seconds=GIVE_UP_AFTER)}
    shared_sandbox.post("reset")
    return shared_sandbox


@pytest.fixture
def person(google, settings):
    """A token of somebody who has passed."""
    verdict = {"score": 0.9, "action": "submit_posting"} if settings.RECAPTCHA_VERSION == 3 else {}
    return google.post("google/recaptcha/tokens", verdict)["token"]


def asked(google):
    """How often a token of the sandbox's was verified."""
    return sum(token["verified"] is not None for token in google.get("state")["recaptcha_tokens"])


def test_a_person_is_accepted_and_the_token_is_kept_nowhere(person, post, fields):
    assert post(fields | {"recaptcha_token": person}).status_code == 202
    assert person not in str(Pipeline.objects.values().get())


@pytest.mark.parametrize("token", ["made up", "expired"])
def test_what_google_refuses_is_a_field_error_and_starts_nothing(google, post, fields, token):
    assert wrong(post(fields | {"recaptcha_token": token})) == {"recaptcha_token": "recaptcha_refused"}
    assert rows() == NOTHING


@pytest.mark.parametrize("google", [3], indirect=True)
@pytest.mark.parametrize("token", ["v2-pass", "v3-low-score.submit_posting", "v3-wrong-action", "v3-pass.login"])
def test_version_3_takes_nothing_without_the_score_and_the_action(google, post, fields, token):
    assert wrong(post(fields | {"recaptcha_token": token})) == {"recaptcha_token": "recaptcha_refused"}
    assert rows() == NOTHING


@pytest.mark.parametrize("google", [3], indirect=True)
@pytest.mark.parametrize(("least", "status"), [("0.4", 202), ("0.5", 202), ("0.6", 400)])
def test_which_score_is_enough_is_a_setting(google, post, fields, settings, least, status):
    settings.RECAPTCHA_MIN_SCORE = least
    token = google.post("google/recaptcha/tokens", {"score": 0.5, "action": "submit_posting"})["token"]
    assert post(fields | {"recaptcha_token": token}).status_code == status


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({}, "required"),
        ({"recaptcha_token": ""}, "required"),
        ({"recaptcha_token": None}, "required"),
        ({"recaptcha_token": 7}, "invalid"),
        ({"recaptcha_token": ["person"]}, "invalid"),
        ({"recaptcha_token": "x" * 9000}, "invalid"),
    ],
    ids=["nothing", "empty", "null", "a number", "a list", "too long"],
)
def test_without_a_token_google_is_not_asked(google, post, fields, given, code):
    google.fault("google", "error_before", route=SITEVERIFY)
    assert wrong(post(fields | given)) == {"recaptcha_token": code}
    assert google.faults()[0]["fired"] == 0


def test_a_token_is_not_used_up_by_a_submission_with_other_errors(google, person, post, fields):
    assert wrong(post(fields | {"title": "", "recaptcha_token": person})) == {"title": "required"}
    assert asked(google) == 0
    assert post(fields | {"recaptcha_token": person}).status_code == 202


def test_the_same_submission_again_finds_its_pipeline_though_the_token_is_used_up(google, person, post, fields):
    first = post(fields | {"recaptcha_token": person}, key="the-same-key")
    again = post(fields | {"recaptcha_token": person}, key="the-same-key")
    assert (again.status_code, again["Idempotent-Replayed"]) == (202, "true")
    assert again.json()["id"] == first.json()["id"]
    assert asked(google) == 1


def test_a_token_works_for_one_posting(person, post, fields):
    assert post(fields | {"recaptcha_token": person}).status_code == 202
    assert wrong(post(fields | {"recaptcha_token": person})) == {"recaptcha_token": "recaptcha_refused"}
    assert Pipeline.objects.count() == 1


@pytest.mark.parametrize(
    "fault", ["drop_before", "drop_after", "error_before", "error_after", "truncate", "timeout_after", "down"]
)
def test_an_unknown_verdict_asks_for_a_new_token(google, person, post, fields, fault):
    more = {"seconds": GIVE_UP_AFTER + 0.3} if fault == "timeout_after" else {}
    google.fault("google", fault, route=SITEVERIFY, **more)
    assert wrong(post(fields | {"recaptcha_token": person})) == {"recaptcha_token": "recaptcha_unknown"}
    assert rows() == NOTHING


def test_while_google_takes_no_more_the_same_may_be_sent_again(google, person, post, fields):
    google.fault("google", "rate_limit", route=SITEVERIFY, times=1)
    _assert_may_be_sent_again(post, fields | {"recaptcha_token": person})


def test_with_a_wrong_secret_the_same_may_be_sent_again_once_it_is_right(google, person, post, fields, settings):
    settings.RECAPTCHA_SECRET = "invalid"
    _assert_may_be_sent_again(
        post, fields | {"recaptcha_token": person}, then=lambda: setattr(settings, "RECAPTCHA_SECRET", "secret")
    )


def test_without_a_connection_the_same_may_be_sent_again(google, person, post, fields, settings):
    right, settings.RECAPTCHA_BASE = settings.RECAPTCHA_BASE, "http://127.0.0.1:1"
    _assert_may_be_sent_again(
        post, fields | {"recaptcha_token": person}, then=lambda: setattr(settings, "RECAPTCHA_BASE", right)
    )


def _assert_may_be_sent_again(post, given, then=lambda: None):
    key = f"sent-again-{next(_tokens)}"
    refused = post(given, key=key)
    assert "send the same again" in problem(refused, 503, "unavailable")["detail"]
    assert refused["Retry-After"]
    assert rows() == NOTHING
    then()
    assert post(given, key=key).status_code == 202


def test_the_form_shows_it_and_hands_the_token_on(google, http, settings):
    Plan.objects.create(slug="basic", name="Basic", amount=4900, currency="EUR", duration_days=30)
    page = http.get("/post/").content.decode()
    assert 'data-sitekey="site"' in page
    assert f'src="{google.url}/google/recaptcha/api.js"' in page
    assert ('data-action="submit_posting"' in page) is (settings.RECAPTCHA_VERSION == 3)
    assert raw_fields({"g-recaptcha-response": "person"})["recaptcha_token"] == "person"


def test_while_switched_off_nobody_is_asked(google, post, fields, settings):
    google.fault("google", "error_before", route=SITEVERIFY)
    settings.RECAPTCHA_ENABLED = False
    assert post(fields).status_code == 202
    assert google.faults()[0]["fired"] == 0
