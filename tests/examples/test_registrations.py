"""Registering an institution: all of it or nothing, and nobody sees half of it."""

import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from examples.registrations.models import Institution, Profile
from pipeline import actions
from pipeline.models import Pipeline, Step
from pipeline.plan import Job
from pipeline.states import Verb
from pipeline.tasks import run_job
from pipeline.testing import IN_THE_END, SOON, ScriptedBroker, crash_at, drain, drain_all, state_of, together
from tests.postings.conftest import Outside

Register = Callable[..., uuid.UUID]


@pytest.fixture(autouse=True)
def sandbox(outside: Outside) -> Outside:
    return outside


def users(outside: Outside) -> list[dict[str, Any]]:
    """The users at Supabase, by its own account."""
    from examples.registrations.providers import supabase

    return [user.model_dump() for user in supabase._send(lambda client: client.admin.list_users())]


def test_a_committed_registration_is_an_institution_in_trial_a_user_and_a_profile(
    outside: Outside, broker: ScriptedBroker, register: Register
) -> None:
    pipeline = register(subdomain="greenfield", director_email="head@example.com")
    assert drain(pipeline, broker) == "committed"
    institution = Institution.objects.get(pipeline_id=pipeline)
    assert (institution.subdomain, institution.state) == ("greenfield", "trial")
    [user] = users(outside)
    assert (user["email"], user["app_metadata"]["pipeline_id"]) == ("head@example.com", str(pipeline))
    assert user["app_metadata"]["registration"] == "complete"
    profile = Profile.objects.get(institution=institution)
    assert (str(profile.user), profile.email) == (user["id"], "head@example.com")
    assert str(profile.user) == str(uuid.uuid5(pipeline, "director"))
    result = Pipeline.objects.get(pk=pipeline).result
    assert result == {"institution": {"id": str(institution.pk), "subdomain": "greenfield"}}
    assert outside.effects(pipeline) == ["user_created"]


def test_until_the_decision_the_institution_is_pending_and_its_director_banned(
    outside: Outside, broker: ScriptedBroker, register: Register
) -> None:
    outside.fault("supabase", "users.update", "error_before", times=1)
    pipeline = register()
    crash_at("profile.stage.claimed")
    broker.deliver_all()
    assert state_of(pipeline) == "staging"
    assert Institution.objects.get(pipeline_id=pipeline).state == "pending"
    [user] = users(outside)
    assert user["app_metadata"]["registration"] == "pending"
    assert drain(pipeline, broker) == "committed"


def test_an_address_that_supabase_knows_ends_in_rolled_back_and_names_its_field(
    outside: Outside, broker: ScriptedBroker, register: Register
) -> None:
    first = register(director_email="head@example.com")
    assert drain(first, broker) == "committed"
    second = register(director_email="head@example.com")
    assert drain(second, broker, within=SOON) == "rolled_back"
    error = Pipeline.objects.get(pk=second).error
    assert (error["code"], error["field"], error["step"]) == ("email_taken", "director_email", "user")
    assert "head@example.com" not in str(error)
    assert not Institution.objects.filter(pipeline_id=second).exists()
    assert outside.entries(second) == []
    assert [user["app_metadata"]["pipeline_id"] for user in users(outside)] == [str(first)]


def test_a_subdomain_lost_in_the_race_ends_in_rolled_back_and_names_its_field(
    outside: Outside, broker: ScriptedBroker, register: Register
) -> None:
    pipelines = [register(subdomain="greenfield") for _ in range(4)]
    broker.drop_all()
    together(*[lambda p=pipeline: run_job(Job(p, "institution", Verb.STAGE), []) for pipeline in pipelines])
    drain_all(pipelines, broker)
    states = [state_of(pipeline) for pipeline in pipelines]
    assert sorted(states) == ["committed", "rolled_back", "rolled_back", "rolled_back"]
    for pipeline in Pipeline.objects.filter(state="rolled_back"):
        assert (pipeline.error["code"], pipeline.error["field"]) == ("subdomain_taken", "subdomain")
    assert Institution.objects.count() == 1
    assert len(users(outside)) == 1


def test_a_subdomain_is_free_again_after_a_rollback(
    outside: Outside, broker: ScriptedBroker, register: Register
) -> None:
    drain(register(director_email="head@example.com"), broker)
    lost = register(subdomain="greenfield", director_email="head@example.com")
    assert drain(lost, broker, within=SOON) == "rolled_back"
    assert drain(register(subdomain="greenfield"), broker) == "committed"


def test_a_cancelled_registration_leaves_nothing(outside: Outside, broker: ScriptedBroker, register: Register) -> None:
    crash_at("profile.stage.claimed")
    pipeline = register()
    broker.deliver_all()
    actions.cancel(pipeline)
    assert drain(pipeline, broker) == "rolled_back"
    assert outside.effects(pipeline) == ["user_created", "user_deleted"]
    assert users(outside) == []
    assert not Institution.objects.exists()
    assert not Profile.objects.exists()


def test_a_user_that_comes_into_being_after_the_rollback_began_is_deleted_too(
    outside: Outside, broker: ScriptedBroker, register: Register
) -> None:
    outside.fault("supabase", "users.create", "late", times=1, seconds=1.0)
    pipeline = register()
    broker.deliver_all()
    actions.cancel(pipeline)
    broker.deliver_all()
    assert state_of(pipeline) == "rolling_back", "it waits for what may still come"
    until = time.monotonic() + 5
    while not users(outside):
        assert time.monotonic() < until, "the late request never came"
        time.sleep(0.02)
    assert drain(pipeline, broker) == "rolled_back"
    assert outside.effects(pipeline) == ["user_created", "user_deleted"]


def test_a_password_that_supabase_refuses_names_its_field(
    outside: Outside, broker: ScriptedBroker, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    from supabase_auth.errors import AuthWeakPasswordError

    from examples.registrations.providers import supabase

    def refuse(_attributes: object) -> None:
        raise AuthWeakPasswordError("Password should be longer", 422, ["length"])

    monkeypatch.setattr(supabase._client().admin, "create_user", refuse)
    pipeline = register()
    assert drain(pipeline, broker, within=SOON) == "rolled_back"
    assert Pipeline.objects.get(pk=pipeline).error["field"] == "director_password"


def test_a_user_that_somebody_else_has_deleted_calls_a_person(
    outside: Outside, broker: ScriptedBroker, register: Register
) -> None:
    from examples.registrations.providers import supabase

    crash_at("profile.stage.claimed")
    pipeline = register()
    broker.deliver_all()
    supabase.delete(str(uuid.uuid5(pipeline, "director")))
    with pytest.raises(AssertionError, match="not ended"):
        drain(pipeline, broker, rounds=12, within=IN_THE_END)
    assert Pipeline.objects.get(pk=pipeline).attention == 1
    assert Step.objects.get(pipeline=pipeline, name="user").error["code"] == "user_not_found"
