"""Accepting: every row of the table of answers, and what is stored with a 202."""

import base64
import json

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from django.test import Client
from rest_framework.authtoken.models import Token

from pipeline import dispatch
from pipeline.models import Attachment, Pipeline, Step
from postings.logo import inspect, stored_form
from postings.models import Plan
from tests.api.conftest import NOTHING, URL, picture, problem, rows, wrong


def test_a_valid_posting_is_accepted_with_its_resource_and_where_to_follow_it(post, fields):
    response = post(fields)
    assert response.status_code == 202
    body = response.json()
    assert response["Location"] == f"/api/v1/pipelines/{body['id']}/"
    assert response["Retry-After"] == "1"
    assert response["Content-Type"] == "application/json"
    assert "Idempotent-Replayed" not in response
    assert (body["workflow"], body["version"], body["state"]) == ("publish_posting", 1, "staging")
    assert [step["name"] for step in body["steps"]] == ["logo", "posting", "payment", "email"]
    assert body["links"]["self"] == f"http://testserver/api/v1/pipelines/{body['id']}/"


def test_everything_is_durable_when_it_is_accepted(post, fields):
    logo = picture()
    made = post(fields | {"logo": base64.b64encode(logo).decode(), "remote": True}).json()
    row = Pipeline.objects.get(pk=made["id"])
    assert bytes(Attachment.objects.get(pipeline=row, name="logo").content) == stored_form(inspect(logo), 0)
    assert row.input == {
        "title": "Senior engineer",
        "company_name": "Acme & Daughters",
        "company_website": "",
        "description": "We are looking for somebody who likes pipelines.",
        "employment_type": "FULL_TIME",
        "location": "Hamburg",
        "country": "DE",
        "remote": True,
        "salary_min": None,
        "salary_max": None,
        "salary_currency": "",
        "salary_unit": "",
        "apply_url": "",
        "apply_email": "jobs@example.com",
        "contact_email": "customer@example.com",
        "contact_phone": "",
        "payment_method": "pm_card_visa",
        "plan": {"slug": "basic", "name": "Basic", "amount": 4900, "currency": "EUR", "duration_days": 30},
        "has_logo": True,
    }
    assert rows() == {"Pipeline": 1, "Step": 4, "Event": 1, "Attachment": 1}


def test_the_resource_holds_no_personal_data(post, fields):
    text = post(fields).content.decode()
    assert not [value for value in fields.values() if value in text and len(value) > 5]


def test_a_form_is_accepted_like_json(post, fields, rf):
    from django.core.files.uploadedfile import SimpleUploadedFile

    logo = SimpleUploadedFile("evil.svg", picture(), "image/svg+xml")
    made = post(fields | {"remote": "on", "salary_min": "", "logo": logo}, form=True)
    assert made.status_code == 202
    row = Pipeline.objects.get(pk=made.json()["id"])
    assert (row.input["remote"], row.input["salary_min"], row.input["has_logo"]) == (True, None, True)


@pytest.mark.parametrize("name", ["price", "amount", "currency", "plan_amount", "state"])
def test_a_price_from_the_client_is_ignored(post, fields, name):
    made = post(fields | {name: 1}).json()
    assert Pipeline.objects.get(pk=made["id"]).input["plan"]["amount"] == 4900
    assert name not in Pipeline.objects.get(pk=made["id"]).input


@pytest.mark.django_db(transaction=True)
def test_a_dead_broker_does_not_change_the_answer(post, fields):
    def refuse(_jobs):
        raise ConnectionRefusedError

    dispatch.use_sender(refuse)
    assert post(fields).status_code == 202


def test_the_key_is_required(post, fields):
    problem(post(fields, key=""), 400, "idempotency_key_missing")
    assert rows() == NOTHING


@pytest.mark.parametrize("type", ["text/plain", "application/xml", "application/x-www-form-urlencoded", "nonsense"])
def test_other_media_types_are_refused(http, plan, type):
    response = http.post(URL, b"title=x", content_type=type, headers={"Idempotency-Key": "some-key"})
    problem(response, 415, "unsupported_media_type")
    assert rows() == NOTHING


def test_a_json_body_with_a_logo_of_2_mib_fits(post, fields):
    padding = b"\0" * (2 * 1024 * 1024)
    logo = (picture() + padding)[: 2 * 1024 * 1024]  # what follows the picture's end is ignored by its format
    assert post(fields | {"logo": base64.b64encode(logo).decode()}).status_code == 202


@pytest.mark.parametrize("form", [False, True])
def test_a_body_over_the_limit_is_refused(post, fields, form):
    problem(post(fields | {"description": "x" * 4 * 1024 * 1024}, form=form), 413, "body_too_large")
    assert rows() == NOTHING


def test_every_wrong_field_is_named_in_one_answer(post):
    found = wrong(post({"title": "x", "salary_max": 1, "apply_url": "nonsense", "logo": "%%%"}))
    assert found == {
        "title": "min_length",
        "company_name": "required",
        "description": "required",
        "employment_type": "required",
        "location": "required",
        "country": "required",
        "salary_min": "required",
        "salary_currency": "required",
        "salary_unit": "required",
        "apply_url": "invalid_url",
        "contact_email": "required",
        "plan": "required",
        "payment_method": "required",
        "logo": "invalid_base64",
    }
    assert rows() == NOTHING


def test_an_authenticated_customer_owns_the_pipeline(post, fields, plan):
    user = User.objects.create_user("ann")
    token = Token.objects.create(user=user)
    made = post(fields, key="ann-and-bob", Authorization=f"Token {token.key}")
    row = Pipeline.objects.get(pk=made.json()["id"])
    assert (row.user, row.scope) == (user, f"user:{user.pk}")


def test_each_user_has_keys_of_their_own(post, fields, plan):
    users = [User.objects.create_user(name) for name in ("ann", "bob")]
    tokens = [Token.objects.create(user=user).key for user in users]
    made = [post(fields, key="the-same-key", Authorization=f"Token {token}").json()["id"] for token in tokens]
    made.append(post(fields, key="the-same-key").json()["id"])
    assert len(set(made)) == 3


def test_a_wrong_token_is_401(post, fields):
    response = post(fields, Authorization="Token nonsense")
    problem(response, 401)
    assert response["WWW-Authenticate"].startswith("Token")
    assert rows() == NOTHING


def test_a_session_needs_its_csrf_token(post, fields, plan):
    user = User.objects.create_user("ann")
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(user)
    problem(post(fields, client=browser), 403)
    assert rows() == NOTHING
    careless = Client()
    careless.force_login(user)
    assert post(fields, client=careless).status_code == 202


def test_the_address_is_kept_only_as_a_digest(post, fields):
    row = Pipeline.objects.get(pk=post(fields).json()["id"])
    assert len(row.client) == 64
    assert "127.0.0.1" not in row.client


def test_submissions_are_accepted_while_staging_is_paused(post, fields, settings):
    settings.PIPELINE = settings.PIPELINE | {"PAUSE_STAGING": True}
    assert post(fields).status_code == 202


def test_a_client_with_too_many_open_pipelines_is_throttled(post, fields, settings):
    settings.PIPELINE = settings.PIPELINE | {"MAX_OPEN_PER_CLIENT": 2}
    keys = ["first-key", "second-key"]
    assert [post(fields, key=key).status_code for key in keys] == [202, 202]
    response = post(fields)
    problem(response, 429, "too_many_open")
    assert int(response["Retry-After"]) > 0
    assert post(fields, key="first-key")["Idempotent-Replayed"] == "true", "a known key is found all the same"


def test_whoever_had_too_many_cards_refused_is_throttled(post, fields, settings):
    settings.MAX_REFUSED_CARDS_PER_HOUR = 2
    made = [post(fields).json()["id"] for _ in range(3)]
    refusals = ["card_declined", "expired_card", "customer_timed_out"]
    for pipeline, code in zip(made, refusals, strict=True):
        _turn_back(pipeline, {"code": code, "step": "payment"})
    response = post(fields)
    problem(response, 429, "too_many_refused")
    assert 3500 < int(response["Retry-After"]) <= 3600


def test_a_card_that_was_tried_counts_however_its_pipeline_ended(post, fields, settings):
    settings.MAX_REFUSED_CARDS_PER_HOUR = 2
    made = [post(fields).json()["id"] for _ in range(2)]
    for pipeline in made:
        _turn_back(pipeline, {"code": "cancelled", "step": None}, is_cancelled=True)
    problem(post(fields), 429, "too_many_refused")


def test_other_reasons_do_not_count_as_refused_cards(post, fields, settings):
    settings.MAX_REFUSED_CARDS_PER_HOUR = 1
    made = [post(fields).json()["id"] for _ in range(4)]
    _turn_back(made[0], {"code": "staging_timed_out", "step": "payment"})
    _turn_back(made[1], {"code": "cancelled", "step": None}, is_cancelled=True, was_asked=False)
    _turn_back(made[2], {"code": "resource_missing", "step": "payment"}, was_asked=False)
    _turn_back(made[3], {"code": "mail_refused", "step": "email"})
    assert post(fields).status_code == 202


def test_the_refused_cards_are_counted_by_an_index(post, fields, settings, django_assert_max_num_queries):
    from django.db import connection

    from postings.submission import PostingAcceptance

    settings.MAX_REFUSED_CARDS_PER_HOUR = 5
    with django_assert_max_num_queries(1) as captured:
        PostingAcceptance().check_client("somebody")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {captured[0]['sql']}")
        assert "pipeline_by_client" in "\n".join(line for (line,) in cursor.fetchall())


def test_a_database_that_is_away_is_503(post, fields, monkeypatch):
    def away(*_args, **_options):
        raise OperationalError("server closed the connection")

    monkeypatch.setattr("pipeline.api.acceptance.find", away)
    response = post(fields)
    problem(response, 503, "unavailable")
    assert int(response["Retry-After"]) >= 1
    assert "server closed" not in response.content.decode()


def test_a_plan_that_is_not_on_sale_is_refused(post, fields, plan):
    Plan.objects.update(is_on_sale=False)
    assert wrong(post(fields)) == {"plan": "unknown_plan"}


def test_errors_are_problems_whatever_accept_says(post, fields, http):
    for accept in ("text/html", "application/xml", "image/png;q=0.1", "nonsense"):
        problem(post({}, Accept=accept), 400, "invalid")
        problem(http.get("/api/v1/pipelines/nonsense/", headers={"Accept": accept}), 404)
        assert post(fields, Accept=accept).status_code == 202


def test_an_exception_is_a_problem_without_internals(fields, plan, monkeypatch, caplog):
    monkeypatch.setattr("pipeline.api.acceptance.find", lambda *_: 1 / 0)
    client = Client(raise_request_exception=False)
    response = client.post(
        URL, json.dumps(fields), content_type="application/json", headers={"Idempotency-Key": "some-key"}
    )
    body = problem(response, 500, "server_error")
    assert "ZeroDivision" not in response.content.decode()
    assert body["correlation_id"] in caplog.text


def _turn_back(pipeline, error, *, was_asked=True, is_cancelled=False):
    """As a rollback leaves it; written by hand, because only the ceiling's query is looked at here."""
    Step.objects.filter(pipeline_id=pipeline, name="payment").update(data={"card_asked": True} if was_asked else {})
    from django.utils import timezone

    Pipeline.objects.filter(pk=pipeline).update(
        state="rolled_back",
        is_cancelled=is_cancelled,
        error=error,
        finished_at=timezone.now(),
        due_at=None,
        pivots=0,
        effects=0,
        tells=0,
    )
