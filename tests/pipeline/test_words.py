"""A workflow speaks to its customers in its own words, in every state and wherever one is turned back."""

from dataclasses import fields
from datetime import timedelta

import pytest

from pipeline import actions
from pipeline.models import Pipeline
from pipeline.registry import all_workflows, words_of
from pipeline.states import PipelineState
from pipeline.testing import advance, drain
from pipeline.words import Words
from pipeline.workflow import Refused, Unknown, Wait

PROJECT = sorted(
    (workflow for workflow in all_workflows() if workflow.__module__.startswith(("postings.", "examples."))),
    key=lambda workflow: workflow.name,
)
OURS = Words(unharmed="Nobody got wet.")


@pytest.fixture
def wet(world, define):
    return define(world.step("pool"), world.step("towel"), words=OURS)


def test_there_is_a_headline_for_every_state():
    assert {field.name for field in fields(Words)} >= set(PipelineState.values)
    for state in PipelineState:
        assert Words().headline(state) == Words().headline(state.value) != ""


@pytest.mark.parametrize("workflow", PROJECT, ids=lambda workflow: workflow.name)
def test_each_workflow_of_the_project_has_words_of_its_own(workflow):
    assert workflow.words.committed != Words().committed
    assert workflow.words.unharmed != Words().unharmed


def test_the_projects_workflows_are_there():
    assert len(PROJECT) == 5


def test_of_an_unknown_workflow_general_words_are_said():
    assert words_of("nobody_knows_it", 7) == Words()


def _refuse(run):
    raise Refused("no")


def _wait(run):
    return Wait({"type": "confirm"}, run.now + timedelta(minutes=1))


@pytest.mark.parametrize(
    ("script", "code"),
    [(_refuse, "no"), (_wait, "customer_timed_out"), (Unknown("timeout"), "staging_timed_out")],
)
def test_a_problem_reassures_in_the_workflows_words(script, code, wet, begin, broker, world):
    world.will("towel.stage", *[script] * 80)
    pipeline = begin(wet)
    broker.deliver_all()
    advance(timedelta(minutes=11), pipeline)
    assert drain(pipeline, broker) == "rolled_back"
    error = Pipeline.objects.get(pk=pipeline).error
    assert (error["code"], OURS.unharmed in error["detail"]) == (code, True)


def test_a_cancellation_reassures_in_the_workflows_words(wet, begin, broker):
    pipeline = begin(wet)
    actions.cancel(pipeline)
    assert Pipeline.objects.get(pk=pipeline).error["detail"] == "This was cancelled. Nobody got wet."
    drain(pipeline, broker)
