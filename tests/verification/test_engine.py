"""The engine's own invariants: each broken by SQL, past the engine, and named by verify."""

import uuid
from datetime import timedelta

import pytest

from pipeline import transitions
from pipeline.errors import Refused
from pipeline.models import Pipeline
from pipeline.plan import Job
from pipeline.retry import RetryPolicy
from pipeline.start import start
from pipeline.states import Verb
from pipeline.testing import advance, drain, snapshot
from pipeline.verification import violations
from pipeline.verification.rules import most_attempts
from tests.verification.conftest import found, only, sql

pytestmark = pytest.mark.django_db(
    transaction=True, available_apps=["pipeline", "django.contrib.auth", "django.contrib.contenttypes"]
)


@pytest.fixture(autouse=True)
def the_engine_alone(settings) -> None:
    settings.PIPELINE = settings.PIPELINE | {"AUDITS": (), "OWNER_GRACE": timedelta(0), "ON_ATTENTION": ""}


@pytest.fixture
def begin(broker, world, define):
    """A pipeline of the usual shape: an effect before the pivot, one behind it, and somebody is told."""
    usual = define(
        world.step("logo"), world.step("posting"), world.step("payment", pivot=True), world.step("email", tells=True)
    )
    return lambda: start(usual, input={}, key=uuid.uuid4().hex).id


@pytest.fixture
def staging(begin):
    """Its first step is staged by an owner who holds no lock."""
    pipeline = begin()
    assert transitions.claim(Job(pipeline, "logo", Verb.STAGE), 1) is not None
    return pipeline


@pytest.fixture
def committed(begin, broker):
    pipeline = begin()
    assert drain(pipeline, broker) == "committed"
    return pipeline


@pytest.fixture
def rolled_back(begin, broker, world):
    world.will("payment.stage", Refused("card_declined"))
    pipeline = begin()
    assert drain(pipeline, broker) == "rolled_back"
    return pipeline


def test_whatever_is_in_order_is_quiet_and_untouched(staging, committed, rolled_back):
    before = [snapshot(each) for each in (staging, committed, rolled_back)]
    assert found() == set()
    assert [snapshot(each) for each in (staging, committed, rolled_back)] == before


# --- I1 ------------------------------------------------------------------------------------------


def test_i1_an_unfinished_pipeline_when_all_is_to_have_ended(staging):
    assert found() == set()
    assert only("I1", staging, settled=True).expected == "committed or rolled back"


def test_i1_a_pipeline_that_nobody_looks_at(staging):
    sql("UPDATE pipeline_pipeline SET due_at = now() - interval '10 minutes'")
    wrong = only("I1", staging)
    assert "has been due since" in wrong.found
    assert "sweep" in wrong.next_step


def test_i1_a_step_that_was_forgotten_by_an_ended_pipeline(committed):
    sql("UPDATE pipeline_step SET state = 'staged' WHERE name = 'logo'")
    assert ("I1", committed) in found()


# --- I6 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("DELETE FROM pipeline_event WHERE seq = 3", "seq is"),
        ("UPDATE pipeline_event SET type = 'hinted' WHERE seq = 1", "the first event is not accepted"),
        ("UPDATE pipeline_event SET type = 'committed' WHERE type = 'staged' AND step = 'logo'", "from staging to"),
        ("UPDATE pipeline_event SET type = 'hinted' WHERE type = 'pipeline_committed'", "the history ends in"),
        ("UPDATE pipeline_event SET type = 'decided_commit' WHERE type = 'commit_started'", "more than once"),
        ("UPDATE pipeline_step SET fence = 1 WHERE name = 'payment'", "its fence is 1 after 2"),
        ("UPDATE pipeline_step SET commit_attempts = 0 WHERE name = 'payment'", "and 0 are counted"),
        ("UPDATE pipeline_step SET attention = true WHERE name = 'payment'", "marked for attention"),
        ("UPDATE pipeline_step SET state = 'rolled_back' WHERE name = 'posting'", "is not turned back"),
    ],
)
def test_i6_a_history_that_cannot_be(committed, statement, says):
    sql(statement)
    told = [each for each in violations() if says in each.found]
    assert {(each.invariant, each.pipeline) for each in told} == {("I6", committed)}


def test_i6_a_late_owners_write(committed):
    sql("UPDATE pipeline_event SET type = 'staging_started', attempt = 1 WHERE type = 'staged' AND step = 'logo'")
    assert any("a late owner wrote" in each.found for each in violations())


def test_i6_both_committed_and_rolled_back(rolled_back):
    sql("UPDATE pipeline_step SET state = 'committed' WHERE name = 'logo'")
    assert any("is committed in a pipeline that is turned back" in each.found for each in violations())


def test_i6_turned_back_after_the_decision_without_a_refusal(committed):
    sql("UPDATE pipeline_event SET type = 'decided_rollback' WHERE type = 'commit_started' AND step = 'payment'")
    assert any("its pivot was not refused" in each.found for each in violations())


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE pipeline_pipeline SET effects = 5", "jobs left"),
        ("UPDATE pipeline_pipeline SET cursor = 3", "cursor is 3"),
        ("UPDATE pipeline_pipeline SET step_count = 9", "step_count is 9"),
        ("UPDATE pipeline_step SET owner = 1, lease_until = now(), state = 'staging' WHERE name = 'email'", "at once"),
    ],
)
def test_i6_counters_and_owners_that_do_not_agree(staging, statement, says):
    sql(statement)
    told = [each for each in violations() if says in each.found]
    assert {(each.invariant, each.pipeline) for each in told} == {("I6", staging)}


# --- I10 -----------------------------------------------------------------------------------------


def test_i10_an_upload_that_is_kept(committed):
    sql("INSERT INTO pipeline_attachment (pipeline_id, name, content) VALUES (%s, 'logo', 'x')", committed)
    assert only("I10", committed).found == "attachments are kept"


def test_i10_a_secret_that_is_kept(begin, broker, world):
    world.will("payment.commit", RuntimeError("not now"))
    pipeline = begin()
    broker.deliver_all()
    sql("UPDATE pipeline_pipeline SET secrets = '{\"password\": \"x\"}' WHERE state = 'committing'")
    assert only("I10", pipeline).found == "secrets are kept: ['password']"


def test_i10_what_is_kept_of_a_reaped_pipeline(committed):
    sql("UPDATE pipeline_pipeline SET reaped_at = now()")
    assert only("I10", committed).found == "steps or attachments"
    sql("DELETE FROM pipeline_step")
    assert found() == set()


# --- I11 -----------------------------------------------------------------------------------------


def test_i11_staging_that_outlives_its_deadline(staging):
    sql("UPDATE pipeline_pipeline SET deadline_at = now() - interval '10 minutes'")
    assert ("I11", staging) in found()


def test_i11_a_step_that_is_staged_over_and_over(staging):
    sql("UPDATE pipeline_step SET stage_attempts = 5000 WHERE name = 'logo'")
    assert only("I11", staging).found == "logo was staged 5000 times"


def test_i11_a_job_that_is_overdue_and_told_to_nobody(begin, broker, world):
    pipeline = begin()
    world.will("payment.commit", *[RuntimeError("no")] * 99)
    broker.deliver_all()
    assert found() == set()
    advance(timedelta(hours=2))
    sql("UPDATE pipeline_pipeline SET due_at = now()")
    assert only("I11", pipeline).expected == "a mark for a person once a job is overdue"


def test_the_bound_of_attempts_is_what_fits_in():
    policy = RetryPolicy(first=timedelta(seconds=1), factor=2, cap=timedelta(seconds=4), jitter=0)
    # at 0, 1, 3, 7, 11, … seconds
    assert [most_attempts(policy, timedelta(seconds=each)) for each in (0, 1, 3, 7, 11)] == [1, 2, 3, 4, 5]
    assert most_attempts(RetryPolicy(timedelta(0), 1, timedelta(0)), timedelta(seconds=1)) > 10**6


# --- the scope -----------------------------------------------------------------------------------


def test_one_pipeline_or_the_young_ones(committed, staging):
    sql("UPDATE pipeline_pipeline SET effects = 7 WHERE id = %s", staging)
    sql("INSERT INTO pipeline_attachment (pipeline_id, name, content) VALUES (%s, 'logo', 'x')", committed)
    sql("UPDATE pipeline_pipeline SET created_at = now() - interval '3 days' WHERE id = %s", committed)
    assert found() == {("I6", staging), ("I10", committed)}
    assert found(pipeline=committed) == {("I10", committed)}
    young = Pipeline.objects.get(pk=staging).created_at - timedelta(hours=1)
    assert found(since=young) == {("I6", staging)}


def test_a_large_table_is_read_batch_by_batch(committed, staging, monkeypatch, django_assert_num_queries):
    monkeypatch.setattr("pipeline.verification.facts.BATCH", 1)
    sql("INSERT INTO pipeline_attachment (pipeline_id, name, content) VALUES (%s, 'logo', 'x')", committed)
    sql("UPDATE pipeline_pipeline SET effects = 7 WHERE id = %s", staging)
    with django_assert_num_queries(3):
        assert found() == {("I6", staging), ("I10", committed)}
