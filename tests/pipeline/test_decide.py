"""decide(): every outcome of every verb, for each kind of step, before and after the deadline."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from pipeline.conf import Conf
from pipeline.decide import AskLater, Done, GiveUp, Retry, Situation, TurnBack, decide, too_late
from pipeline.states import EventType, Verb
from pipeline.transitions import Begun
from pipeline.workflow import Refused, Skip, Step, Unavailable, Unknown, Wait

NOW = datetime(2026, 11, 21, tzinfo=UTC)
STEPS = {
    "effect": type("Effect", (Step,), {"name": "x"}),
    "pivot": type("Pivot", (Step,), {"name": "x", "pivot": True}),
    "telling": type("Telling", (Step,), {"name": "x", "tells": True}),
}
OUTCOMES = {
    "nothing": None,
    "data": {"id": 1},
    "skip": Skip("not needed"),
    "wait": Wait({"type": "confirm"}, NOW + timedelta(minutes=30)),
    "refused": Refused("declined", "raw text", title="Declined", message="Try another card.", field="card"),
    "unavailable": Unavailable("down"),
    "unknown": Unknown("timeout"),
}


def situation(kind="effect", verb=Verb.STAGE, state=None, late=False, overdue=False, marked=False, attempt=1):
    states = {Verb.STAGE: "staging", Verb.COMMIT: "committing", Verb.ROLLBACK: "rolling_back"}
    begun = Begun(
        step="x",
        verb=verb,
        owner=1,
        fence=1,
        attempt=attempt,
        lease_until=NOW + timedelta(seconds=60),
        verb_started_at=NOW - (timedelta(minutes=16) if overdue else timedelta(0)),
        data={},
        calls={},
        has_attention=marked,
        now=NOW,
    )
    return Situation(
        step=STEPS[kind],
        begun=begun,
        name="x",
        verb=verb,
        state=state or states[verb],
        deadline_at=NOW + (timedelta(0) if late else timedelta(minutes=5)),
        now=NOW,
        chance=0.0,
        conf=Conf(),
    )


def expected(outcome, kind, verb, late, waiting):  # noqa: PLR0911 - one line a rule
    """The rules in words, apart from the code's."""
    if outcome in ("nothing", "data"):
        return Done
    if outcome == "skip":
        return GiveUp
    if outcome == "refused":
        if verb == Verb.STAGE or (verb == Verb.COMMIT and kind == "pivot"):
            return TurnBack
        return GiveUp if kind == "telling" else Retry
    if outcome == "wait":
        if verb != Verb.STAGE:
            return Retry
        return TurnBack if late and waiting else AskLater
    if late and verb == Verb.STAGE and not waiting:
        return TurnBack
    return Retry


CASES = [
    case
    for case in product(OUTCOMES, STEPS, Verb, [False, True], [False, True])
    if case[2] == Verb.STAGE or not case[4]  # only staging waits for the customer
]


@pytest.mark.parametrize(("outcome", "kind", "verb", "late", "waiting"), CASES)
def test_each_outcome_means_one_thing(outcome, kind, verb, late, waiting):
    at = situation(kind, verb, state="waiting" if waiting else None, late=late)
    assert isinstance(decide(at, OUTCOMES[outcome]), expected(outcome, kind, verb, late, waiting))


def test_a_refusal_is_told_to_the_customer_without_the_providers_words():
    move = decide(situation(), OUTCOMES["refused"])
    assert move.event == EventType.REFUSED
    assert move.error == {
        "type": "urn:problem:declined",
        "title": "Declined",
        "detail": "Try another card.",
        "code": "declined",
        "field": "card",
        "step": "x",
    }
    assert move.failure == {"kind": "refused", "code": "declined", "detail": "raw text"}


@pytest.mark.parametrize(
    ("verb", "overdue", "marked", "mark"),
    [
        (Verb.STAGE, True, False, False),
        (Verb.COMMIT, False, False, False),
        (Verb.COMMIT, True, False, True),
        (Verb.COMMIT, True, True, False),
        (Verb.ROLLBACK, True, False, True),
    ],
)
def test_a_person_is_asked_for_after_fifteen_minutes_and_once(verb, overdue, marked, mark):
    assert decide(situation(verb=verb, overdue=overdue, marked=marked), Unknown("timeout")).mark is mark


@pytest.mark.parametrize("verb", [Verb.COMMIT, Verb.ROLLBACK])
@pytest.mark.parametrize("marked", [False, True])
def test_a_refusal_after_the_decision_asks_for_a_person_at_once_and_once(verb, marked):
    assert decide(situation(verb=verb, marked=marked), Refused("gone")).mark is not marked


def test_the_first_deadline_of_a_wait_stands():
    at = situation(state="waiting")
    move = decide(at, Wait({}, NOW + timedelta(days=3)))
    assert move.deadline == at.deadline_at


def test_a_wait_whose_deadline_has_passed_already_turns_back():
    move = decide(situation(), Wait({}, NOW - timedelta(seconds=1)))
    assert isinstance(move, TurnBack)
    assert move.error["code"] == "customer_timed_out"


def test_the_delay_grows_with_the_attempt_and_honours_the_provider():
    delays = [decide(situation(attempt=n), Unavailable("down")).delay for n in (1, 3, 50)]
    assert delays == [timedelta(seconds=0.5), timedelta(seconds=2), timedelta(seconds=30)]
    asked = Unavailable("busy", retry_after=timedelta(seconds=20))
    assert decide(situation(), asked).delay == timedelta(seconds=20)


def test_what_is_expected_is_waited_for_without_a_mark():
    tomorrow = NOW + timedelta(hours=10)
    move = decide(situation("telling", Verb.COMMIT, overdue=True), Unavailable("quota", until=tomorrow))
    assert (move.until, move.mark) == (tomorrow, False)
    assert decide(situation("telling", Verb.COMMIT, overdue=True), Unavailable("quota")).mark
    staging = situation()
    assert decide(staging, Unavailable("quota", until=tomorrow)).until == staging.deadline_at


def test_a_time_without_a_zone_is_a_mistake():
    with pytest.raises(ValueError, match="time zone"):
        Unavailable("quota", until=NOW.replace(tzinfo=None))


def test_a_deadline_is_told_with_the_last_failure():
    assert too_late(situation(), Unknown("timeout")).failure["code"] == "timeout"
    assert too_late(situation()).error["code"] == "staging_timed_out"
