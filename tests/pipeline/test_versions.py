"""Definitions change while pipelines run: version 2 has one step more, one less, and one by another name."""

import itertools
from contextlib import ExitStack
from datetime import timedelta

import pytest
from django.utils import timezone

from pipeline.checks import check_unfinished
from pipeline.models import Pipeline, Step
from pipeline.registry import find, forget
from pipeline.start import start
from pipeline.testing import drain, state_of, throwaway
from pipeline.workflow import Refused, Unavailable, Wait

NAME = "changing"
OLD = ("logo", "posting", "payment", "email")
NEW = ("logo", "entry", "payment", "sms", "indexing")  # posting renamed, email removed, sms and indexing added
_keys = itertools.count(1)


def steps_of(world, names):
    traits = {"payment": {"pivot": True}, "email": {"tells": True}, "sms": {"tells": True}}
    return [world.step(name, **traits.get(name, {})) for name in names]


@pytest.fixture
def deploy(world):
    """`deploy(1)` and `deploy(2)` register a version; `deploy.remove(1)` leaves it out of the code."""
    with ExitStack() as stack:

        class Deploy:
            def __call__(self, version):
                names = OLD if version == 1 else NEW
                return stack.enter_context(throwaway(*steps_of(world, names), name=NAME, version=version))

            def remove(self, version):
                forget(find(NAME, version))

            def change(self, *names):
                """The author forgot to give the changed definition another version."""
                self.remove(1)
                return stack.enter_context(throwaway(*steps_of(world, names), name=NAME, version=1))

        yield Deploy()


def submit(workflow):
    return start(workflow, input={}, key=f"version-{next(_keys)}").id


def at_every_place(broker, world, workflow):
    """Unfinished pipelines of the workflow: not begun, half staged, waiting, committing, rolling back."""
    made = {"staging": submit(workflow)}
    broker.drop_all()
    made["waiting"] = submit(workflow)
    world.will("payment.stage", Wait({"type": "confirm"}, deadline=timezone.now() + timedelta(minutes=30)))
    broker.deliver_all()
    made["committing"] = submit(workflow)
    world.will("payment.commit", Unavailable("down"))
    broker.deliver_all()
    made["rolling_back"] = submit(workflow)
    world.will("payment.stage", Refused("declined"))
    world.will("posting.rollback", Unavailable("down"))
    broker.deliver_all()
    assert {name: state_of(pipeline) for name, pipeline in made.items()} == {name: name for name in made}
    return made


def test_unfinished_pipelines_end_by_the_definition_they_began_with(broker, world, deploy):
    old = at_every_place(broker, world, deploy(1))
    new = submit(deploy(2))
    assert check_unfinished(None, databases=["default"]) == []
    for name, pipeline in old.items():
        assert drain(pipeline, broker) == ("rolled_back" if name == "rolling_back" else "committed")
        assert tuple(Step.objects.filter(pipeline=pipeline).values_list("name", flat=True)) == OLD
        world.assert_agrees(pipeline)
    assert drain(new, broker) == "committed"
    assert tuple(Step.objects.filter(pipeline=new).values_list("name", flat=True)) == NEW
    world.assert_agrees(new)


def test_a_version_that_the_code_has_no_more_is_named_before_it_strands_anybody(broker, world, deploy):
    old = at_every_place(broker, world, deploy(1))
    deploy.remove(1)
    deploy(2)
    found = check_unfinished(None, databases=["default"])
    assert {message.id for message in found} == {"pipeline.E401"}
    told = " ".join(message.msg for message in found)
    assert all(str(pipeline) in told for pipeline in old.values())
    assert f"{NAME} version 1 step email" in told


@pytest.mark.parametrize(
    ("names", "stranded"),
    [
        (("logo", "posting", "payment", "email", "sms"), None),  # added: the old ones know nothing of it
        (("logo", "posting", "payment"), "email"),  # removed
        (("logo", "entry", "payment", "email"), "posting"),  # renamed
    ],
    ids=["added", "removed", "renamed"],
)
def test_a_definition_changed_under_its_old_version_strands_nobody_unnamed(broker, world, deploy, names, stranded):
    pipeline = submit(deploy(1))
    deploy.change(*names)
    found = check_unfinished(None, databases=["default"])
    if stranded is None:
        assert found == []
        assert drain(pipeline, broker) == "committed"
        assert tuple(Step.objects.filter(pipeline=pipeline).values_list("name", flat=True)) == OLD
    else:
        [message] = found
        assert f"{NAME} version 1 step {stranded}" in message.msg
        assert str(pipeline) in message.msg


def test_what_this_code_does_not_know_is_left_untouched_until_it_does_again(broker, world, deploy):
    """A roll-back of the deploy, or a worker of the old code, finds everything as it was."""
    pipeline = submit(deploy(2))
    deploy.remove(2)
    deploy(1)
    broker.deliver_all()
    rows = Step.objects.filter(pipeline=pipeline)
    assert {(row.state, row.stage_attempts) for row in rows} == {("pending", 0)}
    deploy(2)
    assert drain(pipeline, broker) == "committed"
    assert Pipeline.objects.get(pk=pipeline).version == 2
    world.assert_agrees(pipeline)
