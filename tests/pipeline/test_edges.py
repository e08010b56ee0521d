"""Every legal edge is walked; from every state, no function reaches a state that the table does not allow."""

from itertools import product

import pytest
from django.db import transaction

from pipeline import actions, marks, transitions
from pipeline.models import Event
from pipeline.plan import Job
from pipeline.states import (
    BEGINS_FROM,
    DONE,
    PHASES,
    PIPELINE_EDGES,
    RUNNING,
    STEP_EDGES,
    STEP_TERMINAL,
    TERMINAL,
    EventType,
    PipelineState,
    StepState,
    Verb,
    is_legal,
)
from pipeline.testing import assert_consistent, snapshot
from pipeline.transitions import Begun

STEPS = ("logo", "posting", "payment", "email")


def stage_all(hand):
    for step in STEPS:
        hand.do(step)


# --- situations: a pipeline and, of its steps, the one that is looked at --------------------------------


def fresh(hand):
    return "logo"


def staging(hand):
    hand.claim("logo")
    return "logo"


def staging_failed_once(hand):
    hand.fail(hand.claim("logo"))
    return "logo"


def staged(hand):
    hand.do("logo")
    return "logo"


def skipped(hand):
    hand.do("logo", skip=True)
    return "logo"


def waiting(hand):
    hand.wait(hand.claim("logo"))
    return "logo"


def waited(hand):
    hand.wait(hand.claim("logo"))
    marks.hint(hand.pipeline, {})
    hand.do("logo")
    return "logo"


def decided(hand):
    stage_all(hand)
    return "payment"


def decided_after_waiting(hand):
    for step in STEPS[:-1]:
        hand.do(step)
    hand.wait(hand.claim("email"))
    marks.hint(hand.pipeline, {})
    hand.do("email")
    return "payment"


def committing(hand):
    stage_all(hand)
    hand.claim("payment", "commit")
    return "payment"


def pivot_committed(hand):
    stage_all(hand)
    hand.do("payment", "commit")
    return "payment"


def pivot_refused(hand):
    stage_all(hand)
    hand.refuse(hand.claim("payment", "commit"))
    return "payment"


def committed(hand):
    pivot_committed(hand)
    hand.do("logo", "commit")
    hand.do("posting", "commit")
    hand.do("email", "commit")
    return "email"


def telling_given_up(hand):
    pivot_committed(hand)
    hand.do("logo", "commit")
    hand.do("posting", "commit")
    hand.do("email", "commit", skip=True)
    return "email"


def refused(hand):
    hand.do("logo")
    hand.refuse(hand.claim("posting"))
    return "posting"


def refused_staged(hand):
    refused(hand)
    return "logo"


def cancelled_while_running(hand):
    hand.claim("logo")
    hand.cancel()
    return "logo"


def cancelled_while_waiting(hand):
    waiting(hand)
    hand.cancel()
    return "logo"


def cancelled_untouched(hand):
    hand.cancel()
    return "logo"


def rolling_back(hand):
    refused(hand)
    hand.claim("posting", "rollback")
    return "posting"


def rolled_back_step(hand):
    refused(hand)
    hand.do("posting", "rollback")
    return "posting"


def rolled_back(hand):
    rolled_back_step(hand)
    hand.do("logo", "rollback")
    return "logo"


def rollback_skipped(hand):
    refused(hand)
    hand.fail(hand.claim("posting", "rollback"))
    actions.skip(hand.pipeline, "posting", by="ann", reason="gone already")
    return "posting"


SITUATIONS = [
    fresh,
    staging,
    staging_failed_once,
    staged,
    skipped,
    waiting,
    waited,
    decided,
    decided_after_waiting,
    committing,
    pivot_committed,
    pivot_refused,
    committed,
    telling_given_up,
    refused,
    refused_staged,
    cancelled_while_running,
    cancelled_while_waiting,
    cancelled_untouched,
    rolling_back,
    rolled_back_step,
    rolled_back,
    rollback_skipped,
]

# A record may decide and end in one write: the pipeline passes through the states between, event by event.
_PASSED = {"decided_commit": "committing", "decided_rollback": "rolling_back", "waiting": "waiting"}
_STEP_PASSED = {
    event.value: state.value
    for event, state in zip(
        (
            EventType.STAGING_STARTED,
            EventType.STAGED,
            EventType.COMMIT_STARTED,
            EventType.COMMITTED,
            EventType.ROLLBACK_STARTED,
            EventType.ROLLED_BACK,
            EventType.SKIPPED,
        ),
        (
            StepState.STAGING,
            StepState.STAGED,
            StepState.COMMITTING,
            StepState.COMMITTED,
            StepState.ROLLING_BACK,
            StepState.ROLLED_BACK,
            StepState.SKIPPED,
        ),
        strict=True,
    )
}


def walked_by_pipeline(pipeline):
    """The edges of the pipeline that its history tells of."""
    state, edges = "staging", set()
    for event in Event.objects.filter(pipeline=pipeline).order_by("seq"):
        after = _PASSED.get(event.type, state)
        if state == "waiting" and event.type in ("staged", "skipped"):
            after = "staging"
        if event.type.startswith("pipeline_"):
            after = event.type.removeprefix("pipeline_")
        if after != state:
            edges.add((state, after))
        state = after
    return edges


def walked_by_steps(pipeline):
    states, edges = {}, set()
    for event in Event.objects.filter(pipeline=pipeline).order_by("seq"):
        after = _STEP_PASSED.get(event.type)
        if event.step and after and states.get(event.step, "pending") != after:
            edges.add((states.get(event.step, "pending"), after))
            states[event.step] = after
    return edges


def pipeline_edges():
    return [(before, after) for before, afters in PIPELINE_EDGES.items() for after in sorted(afters)]


def step_edges():
    return [(before, after) for before, afters in STEP_EDGES.items() for after in sorted(afters)]


PIPELINE_WALKS = {
    ("staging", "waiting"): waiting,
    ("staging", "committing"): decided,
    ("staging", "rolling_back"): refused,
    ("waiting", "staging"): waited,
    ("waiting", "rolling_back"): cancelled_while_waiting,
    ("committing", "committed"): committed,
    ("committing", "rolling_back"): pivot_refused,
    ("rolling_back", "rolled_back"): rolled_back,
}
STEP_WALKS = {
    ("pending", "staging"): staging,
    ("pending", "skipped"): refused,
    ("staging", "staged"): staged,
    ("staging", "skipped"): skipped,
    ("staging", "rolling_back"): rolling_back,
    ("staged", "committing"): committing,
    ("staged", "rolling_back"): rolled_back,
    ("committing", "committed"): committed,
    ("committing", "skipped"): telling_given_up,
    ("rolling_back", "rolled_back"): rolled_back_step,
    ("rolling_back", "skipped"): rollback_skipped,
}


def name(edge):
    return f"{edge[0]}-{edge[1]}"


@pytest.mark.parametrize("edge", pipeline_edges(), ids=name)
def test_each_legal_edge_of_a_pipeline_is_walked(edge, hand):
    if edge == ("waiting", "committing"):
        # The last step's answer decides: the history passes staging on its way.
        decided_after_waiting(hand)
        assert {("waiting", "staging"), ("staging", "committing")} <= walked_by_pipeline(hand.pipeline)
        assert hand.row().state == "committing"
    else:
        PIPELINE_WALKS[edge](hand)
        assert edge in walked_by_pipeline(hand.pipeline)


@pytest.mark.parametrize("edge", step_edges(), ids=name)
def test_each_legal_edge_of_a_step_is_walked(edge, hand, begin, define, world):
    if edge == ("pending", "rolling_back"):
        workflow = define(world.step("logo"), world.step("email", tells=True, undo_pending=True))
        hand.pipeline = begin(workflow)
        hand.cancel()
        hand.do("email", "rollback")
    elif edge == ("committing", "rolling_back"):
        pivot_refused(hand)
        hand.do("payment", "rollback")
    else:
        STEP_WALKS[edge](hand)
    assert edge in walked_by_steps(hand.pipeline)


# --- what must not happen ------------------------------------------------------------------------------


def begun_as_it_stands(row, verb, **other):
    """The strongest claim to the step: its own fence and owner, whoever asks."""
    at = row.pipeline.updated_at
    given = {"owner": row.owner or 0, "fence": row.fence} | other
    return Begun(
        step=row.name, verb=verb, attempt=1, lease_until=at, verb_started_at=at, data={}, calls={},
        has_attention=False, now=at, **given,
    )  # fmt: skip


def attempts(hand, name):
    """Every function that writes state, tried on the step and its pipeline with the best credentials there are."""
    for verb in Verb:
        yield f"claim {verb}", lambda verb=verb: hand.claim(name, verb)
        begun = begun_as_it_stands(hand.step(name), verb)
        yield f"advance {verb}", lambda begun=begun: hand.done(begun)
        yield f"skip {verb}", lambda begun=begun: hand.done(begun, skip=True)
        yield f"fail {verb}", lambda begun=begun: hand.fail(begun)
        yield f"wait {verb}", lambda begun=begun: hand.wait(begun)
        yield f"refuse {verb}", lambda begun=begun: hand.refuse(begun)
    yield "cancel", hand.cancel
    yield "hint", lambda: marks.hint(hand.pipeline, {}) or None
    yield "hint while waiting", lambda: marks.hint(hand.pipeline, {}, only_waiting=True) or None
    yield "operator", lambda: marks.operator_action(hand.pipeline, {}) or None


def outcomes(hand, name):
    """(what was tried, states before, its answer, states after), each undone again."""
    before = (hand.row().state, hand.step(name).state)
    rows = snapshot(hand.pipeline)
    for label, attempt in list(attempts(hand, name)):
        with transaction.atomic():
            answer = attempt()
            after = (hand.row().state, hand.step(name).state)
            if answer is None:
                assert snapshot(hand.pipeline) == rows, f"{label} answered that it did nothing, and wrote"
            else:
                assert_consistent(hand.pipeline)
            transaction.set_rollback(True)
        yield label, before, answer, after


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.__name__)
def test_whatever_is_tried_only_legal_edges_are_taken_and_a_refusal_writes_nothing(situation, hand):
    name = situation(hand)
    taken = 0
    for label, before, answer, after in outcomes(hand, name):
        taken += answer is not None
        for old, new, kind in zip(before, after, (PipelineState, StepState), strict=True):
            passed = old == new or is_legal(kind(old), kind(new)) or (old, new) in ALL_IN_ONE_WRITE
            assert passed, f"{label}: {old} to {new}"
    is_over = hand.row().state in TERMINAL
    assert (taken == 0) == is_over, f"{taken} of the attempts did something in {hand.row().state}"


# Turning back what has nothing to undo ends it in the same write, with an event for each of the two edges.
ALL_IN_ONE_WRITE = {("staging", "rolled_back"), ("waiting", "rolled_back")}

# Where each state stands alone; the test above tries from all other situations too.
STEP_SITUATIONS = {
    "pending": fresh,
    "staging": staging,
    "staged": staged,
    "committing": committing,
    "committed": committed,
    "rolling_back": rolling_back,
    "rolled_back": rolled_back,
    "skipped": skipped,
}
PIPELINE_SITUATIONS = {
    "staging": staging,
    "waiting": waiting,
    "committing": committing,
    "committed": committed,
    "rolling_back": rolling_back,
    "rolled_back": rolled_back,
}


def illegal(kind):
    return [(a, b) for a, b in product(kind, kind) if a != b and not is_legal(a, b)]


REACHED: dict[str, set[tuple[str, str]]] = {}


def reached_from(situation, hand):
    """The states (pipeline's, step's) that any function reaches from the situation; found out once."""
    if situation.__name__ not in REACHED:
        name = situation(hand)
        before = (hand.row().state, hand.step(name).state)
        REACHED[situation.__name__] = {after for _, _, _, after in outcomes(hand, name)} | {before}
    return REACHED[situation.__name__]


@pytest.mark.parametrize("edge", illegal(StepState), ids=name)
def test_no_function_takes_a_step_along_an_illegal_edge(edge, hand):
    reached = {after for _, after in reached_from(STEP_SITUATIONS[edge[0]], hand)}
    assert edge[0] in reached
    assert edge[1] not in reached


@pytest.mark.parametrize("edge", [e for e in illegal(PipelineState) if e not in ALL_IN_ONE_WRITE], ids=name)
def test_no_function_takes_a_pipeline_along_an_illegal_edge(edge, hand):
    reached = {after for after, _ in reached_from(PIPELINE_SITUATIONS[edge[0]], hand)}
    assert edge[0] in reached
    assert edge[1] not in reached


@pytest.mark.parametrize("verb", Verb)
@pytest.mark.parametrize("wrong", ["fence", "owner"])
def test_a_write_under_another_fence_or_owner_fails(verb, wrong, hand):
    if verb == Verb.STAGE:
        step = staging(hand)
    elif verb == Verb.COMMIT:
        step = committing(hand)
    else:
        step = rolling_back(hand)
    row = hand.step(step)
    begun = begun_as_it_stands(row, verb, **{wrong: getattr(row, wrong) + 1})
    rows = snapshot(hand.pipeline)
    job = Job(hand.pipeline, step, verb)
    assert hand.done(begun) is None
    assert hand.done(begun, skip=True) is None
    assert hand.fail(begun) is None
    assert hand.wait(begun) is None
    assert hand.refuse(begun) is None
    assert transitions.record(job, begun, {"late": True}, {}) is None
    assert snapshot(hand.pipeline) == rows


def test_the_tables_of_verbs_agree_with_the_edges():
    for verb in Verb:
        for before in BEGINS_FROM[verb]:
            assert before == RUNNING[verb] or is_legal(before, RUNNING[verb])
        assert is_legal(RUNNING[verb], DONE[verb])
    assert {state for states in PHASES.values() for state in states} == set(PipelineState) - TERMINAL
    assert {state for state in StepState if not STEP_EDGES[state]} == STEP_TERMINAL
    assert {state for state in PipelineState if not PIPELINE_EDGES[state]} == TERMINAL
