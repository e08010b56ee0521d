"""Registrations over HTTP."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from examples.registrations.models import Institution
from pipeline.models import Pipeline
from pipeline.testing import ScriptedBroker, drain
from tests.api.conftest import problem, wrong
from tests.examples.conftest import PASSWORD
from tests.postings.conftest import Outside

URL = "/api/v1/institutions/register/"
FIELDS = {
    "name": "Greenfield School",
    "subdomain": "greenfield",
    "director_email": "head@example.com",
    "director_password": PASSWORD,
}
Post = Callable[..., Any]


def test_a_registration_is_accepted_and_followed_like_a_posting(
    post: Post, http: Client, outside: Outside, broker: ScriptedBroker
) -> None:
    answer = post(URL, FIELDS)
    assert answer.status_code == 202, answer.content
    shown = answer.json()
    assert answer["Location"] == f"/api/v1/pipelines/{shown['id']}/"
    assert [step["name"] for step in shown["steps"]] == ["institution", "user", "profile"]
    assert drain(uuid.UUID(shown["id"]), broker) == "committed"
    made = http.get(answer["Location"]).json()["result"]["institution"]
    institution = http.get(f"/api/v1/institutions/{made['id']}/").json()
    assert (institution["name"], institution["subdomain"], institution["state"]) == (
        "Greenfield School",
        "greenfield",
        "trial",
    )


def test_a_pending_institution_is_not_shown(http: Client, outside: Outside) -> None:
    pending = Institution.objects.create(pipeline_id=uuid.uuid4(), name="P", subdomain="pending-one")
    problem(http.get(f"/api/v1/institutions/{pending.pk}/"), 404)


def test_a_form_is_taken_as_json_is(http: Client, post: Post, outside: Outside) -> None:
    first = http.post(URL, FIELDS, headers={"Idempotency-Key": "same-for-both"})
    assert first.status_code == 202, first.content
    again = post(URL, FIELDS, key="same-for-both")
    assert (again.status_code, again["Idempotent-Replayed"]) == (202, "true")
    other = post(URL, FIELDS | {"director_password": f"{PASSWORD} "}, key="same-for-both")
    problem(other, 422, "idempotency_key_reused")


def test_the_same_registration_is_found_by_its_key_though_its_subdomain_is_taken_by_now(
    post: Post, outside: Outside, broker: ScriptedBroker
) -> None:
    first = post(URL, FIELDS, key="registration-1")
    drain(uuid.UUID(first.json()["id"]), broker)
    again = post(URL, FIELDS, key="registration-1")
    assert (again.status_code, again.json()["state"]) == (202, "committed")
    other = post(URL, FIELDS)
    assert wrong(other) == {"subdomain": "taken"}


@pytest.mark.parametrize(
    ("changed", "errors"),
    [
        ({"subdomain": "ab"}, {"subdomain": "invalid_subdomain"}),
        ({"subdomain": "a" * 64}, {"subdomain": "invalid_subdomain"}),
        ({"subdomain": "-greenfield"}, {"subdomain": "invalid_subdomain"}),
        ({"subdomain": "greenfield-"}, {"subdomain": "invalid_subdomain"}),
        ({"subdomain": "Greenfield"}, {"subdomain": "invalid_subdomain"}),
        ({"subdomain": "green_field"}, {"subdomain": "invalid_subdomain"}),
        ({"subdomain": "grün-feld"}, {"subdomain": "invalid_subdomain"}),
        ({"subdomain": "www"}, {"subdomain": "reserved"}),
        ({"subdomain": "admin"}, {"subdomain": "reserved"}),
        ({"director_email": "nobody"}, {"director_email": "invalid"}),
        ({"director_password": "short1"}, {"director_password": "password_too_short"}),
        ({"director_password": "12345678901"}, {"director_password": "password_entirely_numeric"}),
        ({"director_password": "head@example.com"}, {"director_password": "password_too_similar"}),
        ({"director_password": "é" * 37}, {"director_password": "max_bytes"}),
        ({"director_password": 12345678}, {"director_password": "invalid"}),
        ({"name": ""}, {"name": "blank"}),
        (dict.fromkeys(FIELDS), dict.fromkeys(FIELDS, "null")),
    ],
)
def test_every_wrong_field_is_named(
    post: Post, outside: Outside, changed: dict[str, Any], errors: dict[str, str]
) -> None:
    found = wrong(post(URL, FIELDS | changed))
    assert found.keys() == errors.keys()
    assert {field: code for field, code in found.items() if code != errors[field]} in (
        {},
        {"director_password": "password_too_common"},
    )
    assert not Pipeline.objects.exists()


@pytest.mark.parametrize("subdomain", ["abc", "a-b", "a--b", "0x0", "a" * 63])
def test_subdomains_of_3_to_63_characters_are_taken_by_check_and_constraint_alike(
    post: Post, outside: Outside, broker: ScriptedBroker, subdomain: str
) -> None:
    answer = post(URL, FIELDS | {"subdomain": subdomain})
    assert drain(uuid.UUID(answer.json()["id"]), broker) == "committed"


def test_a_refused_password_stands_in_no_answer(post: Post, outside: Outside) -> None:
    answer = post(URL, FIELDS | {"director_password": "canary1"})
    assert b"canary1" not in answer.content
    answer = post(URL, FIELDS | {"director_password": ["canary1"]})
    assert b"canary1" not in answer.content


def test_without_supabase_nothing_is_accepted(post: Post, outside: Outside, settings: Any) -> None:
    settings.SUPABASE_URL = ""
    off = problem(post(URL, FIELDS), 404)
    assert off["code"] == "registrations_off"
    assert "SUPABASE_URL" in off["detail"]
    assert not Pipeline.objects.exists()


def test_a_long_name_costs_no_more_comparisons_with_the_password_than_a_short_one(
    post: Post, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.contrib.auth import password_validation

    compared: list[int] = []
    matcher = password_validation.SequenceMatcher
    monkeypatch.setattr(password_validation, "SequenceMatcher", lambda *a, **b: compared.append(1) or matcher(*a, **b))
    words = " ".join(f"word{number:05}" for number in range(100_000))
    found = wrong(post(URL, FIELDS | {"name": words, "director_email": words}))
    assert found == {"name": "max_length", "director_email": "invalid"}
    assert len(compared) < 400


def test_a_card_number_is_refused_in_its_fields(post: Post, outside: Outside) -> None:
    assert wrong(post(URL, FIELDS | {"name": "4242 4242 4242 4242"})) == {"name": "card_number"}
