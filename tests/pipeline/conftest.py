import itertools
from datetime import timedelta

import pytest

from pipeline import actions, transitions
from pipeline.decide import problem
from pipeline.models import Pipeline, Step
from pipeline.plan import Job, to_undo
from pipeline.start import start
from pipeline.states import EventType, Verb
from pipeline.testing import assert_consistent
from pipeline.transitions import Following

_keys = itertools.count(1)


@pytest.fixture(autouse=True)
def tune(settings):
    """`tune(GO_ON=False)` changes the engine's settings for one test. Owners that die are known to be dead at once."""

    def change(**changes):
        settings.PIPELINE = settings.PIPELINE | changes

    change(OWNER_GRACE=timedelta(0), ON_ATTENTION="", MAX_OPEN_PER_CLIENT=0)
    return change


@pytest.fixture
def broker(broker):
    """The kit's broker; whatever a test did, every pipeline is consistent when it ends."""
    yield broker
    for pipeline in Pipeline.objects.values_list("pk", flat=True):
        assert_consistent(pipeline)


@pytest.fixture
def begin(broker):
    """Start a pipeline under a key of its own; its id."""

    def make(workflow, **given):
        return start(workflow, **({"input": {}, "key": f"key-{next(_keys)}"} | given)).id

    return make


@pytest.fixture
def posting(world, define):
    """A workflow of the usual shape: two effects around a pivot, and somebody is told."""
    return define(
        world.step("logo"),
        world.step("posting"),
        world.step("payment", pivot=True),
        world.step("email", tells=True),
        result=lambda _input, steps: {"logo": steps["logo"].get("stage"), "paid": steps["payment"].get("commit")},
    )


class Hand:
    """Moves one pipeline transition by transition, as one owner."""

    def __init__(self, pipeline, owner=1):
        self.pipeline = pipeline
        self.owner = owner

    def claim(self, step, verb="stage"):
        claimed = transitions.claim(Job(self.pipeline, step, Verb(verb)), self.owner)
        return claimed[0] if claimed else None

    def done(self, begun, data=None, *, skip=False, then=None, result=None):
        return transitions.advance(
            self.job(begun),
            begun,
            data=data or {},
            note={},
            is_skipped=skip,
            then=Following(then, "") if then else None,
            seen_seq=self.row().seq,
            result=result,
        )

    def do(self, step, verb="stage", **options):
        begun = self.claim(step, verb)
        assert begun is not None, f"{step}.{verb} could not be claimed"
        assert self.done(begun, **options) is not None
        return begun

    def undo(self, *steps):
        """Undo these in turn, except those that turning back has skipped because nothing was attempted."""
        for step in steps:
            if self.step(step).state != "skipped":
                self.do(step, "rollback")

    def fail(self, begun, *, delay=timedelta(seconds=1), mark=False):
        return transitions.fail(self.job(begun), begun, error={"code": "x"}, delay=delay, mark=mark)

    def wait(self, begun, *, minutes=30):
        deadline = begun.now + timedelta(minutes=minutes)
        return transitions.wait(
            self.job(begun),
            begun,
            data={},
            next_action={"type": "confirm"},
            deadline=deadline,
            delay=timedelta(seconds=5),
        )

    def refuse(self, begun):
        return transitions.turn_back_by_owner(
            self.job(begun),
            begun,
            actions.views(self.row()),
            event=EventType.REFUSED,
            error=problem("refused", "Refused", "No.", begun.step),
            failure={"code": "refused"},
        )

    def cancel(self):
        row = self.row()
        return transitions.turn_back(
            self.pipeline,
            row.seq,
            to_undo(actions.views(row)),
            event=EventType.CANCELLED,
            error=problem("cancelled", "Cancelled", "Cancelled.", None),
            note={},
        )

    def job(self, begun):
        return Job(self.pipeline, begun.step, begun.verb)

    def row(self):
        return Pipeline.objects.get(pk=self.pipeline)

    def step(self, name):
        return Step.objects.get(pipeline=self.pipeline, name=name)


@pytest.fixture
def hand(broker, posting):
    """A posting's pipeline to be moved by hand."""
    return Hand(start(posting, input={}, key=f"hand-{next(_keys)}").id)
