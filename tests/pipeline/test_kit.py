"""The test kit tells the truth: it fails where something is wrong, and moves what it says it moves."""

from datetime import datetime, timedelta

import pytest

from pipeline import dispatch, registry
from pipeline.models import Event, Pipeline, Step
from pipeline.testing import (
    IN_THE_END,
    SOON,
    ScriptedBroker,
    Worker,
    advance,
    assert_consistent,
    drain,
    history,
    throwaway,
    together,
    until_due,
)
from pipeline.workflow import Refused, Unavailable


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda p: Pipeline.objects.filter(pk=p).update(effects=1), "jobs left"),
        (lambda p: Pipeline.objects.filter(pk=p).update(seq=9), "seq is 9"),
        (lambda p: Pipeline.objects.filter(pk=p).update(cursor=2), "cursor is 2"),
        (lambda p: Event.objects.filter(pipeline=p, seq=1).delete(), "seq is"),
        (lambda p: Event.objects.filter(pipeline=p, type="staged").update(type="committed"), "staging to committed"),
        (lambda p: Event.objects.filter(pipeline=p, type="staged").update(type="decided_commit"), "committing"),
        (lambda p: Step.objects.filter(pipeline=p, name="email").update(state="skipped"), "the history ends in"),
        (lambda p: Step.objects.filter(pipeline=p, name="email").update(attention=True), "marked for attention"),
    ],
)
def test_an_inconsistent_pipeline_is_found(change, complaint, hand):
    hand.do("logo")
    assert_consistent(hand.pipeline)
    before = Pipeline.objects.filter(pk=hand.pipeline).values().get()
    change(hand.pipeline)
    with pytest.raises(AssertionError, match=complaint):
        assert_consistent(hand.pipeline)
    Pipeline.objects.filter(pk=hand.pipeline).update(**before)
    Pipeline.objects.all().delete()


def test_a_world_that_does_not_agree_is_found(posting, begin, broker, world):
    pipeline = begin(posting)
    with pytest.raises(AssertionError, match="has not ended"):
        world.assert_agrees(pipeline)
    drain(pipeline, broker)
    world.assert_agrees(pipeline)
    taken = next(entry for entry in world.entries if entry.verb == "commit")
    world.entries.remove(taken)
    with pytest.raises(AssertionError, match="was not committed"):
        world.assert_agrees(pipeline)
    world.entries += [taken, taken]
    with pytest.raises(AssertionError, match="more than once"):
        world.assert_agrees(pipeline)


def test_a_pipeline_that_does_not_end_fails_with_its_history(posting, begin, broker, world):
    world.will("payment.commit", *[Unavailable("down")] * 100)
    pipeline = begin(posting)
    with pytest.raises(AssertionError, match="not ended after 5 rounds") as failed:
        drain(pipeline, broker, within=IN_THE_END, rounds=5)
    assert "attempt_failed" in str(failed.value)
    assert str(pipeline) in str(failed.value)


def test_an_end_that_takes_longer_than_the_test_allows_is_a_failure(posting, begin, broker, world):
    """The clock moves by itself: without this, a loop of a day looks like an end at once."""
    world.will("payment.stage", *[Unavailable("down")] * 6)
    pipeline = begin(posting)
    with pytest.raises(AssertionError, match="not ended within 0:00:01"):
        drain(pipeline, broker, within=SOON)
    assert drain(pipeline, broker) == "committed"


def test_an_end_in_time_of_which_a_person_was_told_is_a_failure(posting, begin, broker, world):
    world.will("posting.commit", Refused("never"))
    pipeline = begin(posting)
    with pytest.raises(AssertionError, match="a person was told"):
        drain(pipeline, broker)
    assert drain(pipeline, broker, within=IN_THE_END) == "committed"


def test_time_moves_for_everything_that_is_due(posting, begin, broker, world):
    def call(run):
        run.call("do", {})
        raise Unavailable("down")

    world.will("payment.stage", call)
    pipeline = begin(posting)
    broker.deliver_all()
    before = Pipeline.objects.get(pk=pipeline), Step.objects.get(pipeline=pipeline, name="payment")
    due = until_due(pipeline)
    advance(timedelta(hours=1))
    after = Pipeline.objects.get(pk=pipeline), Step.objects.get(pipeline=pipeline, name="payment")
    for name in ("created_at", "deadline_at", "due_at"):
        assert getattr(before[0], name) - getattr(after[0], name) == timedelta(hours=1)
    assert before[1].verb_started_at - after[1].verb_started_at == timedelta(hours=1)
    sent = [datetime.fromisoformat(row.calls["stage.do"]["first_sent_at"]) for row in (before[1], after[1])]
    assert sent[0] - sent[1] == timedelta(hours=1)
    assert due > timedelta(0)
    assert until_due(pipeline) == timedelta(0)
    drain(pipeline, broker)


def test_time_stands_still_for_what_has_ended_and_may_move_for_one_alone(posting, begin, broker):
    ended, other, one = begin(posting), begin(posting), begin(posting)
    broker.waiting = [message for message in broker.waiting if message.job.pipeline == ended]
    drain(ended, broker)
    rows = {row.pk: row.created_at for row in Pipeline.objects.all()}
    advance(timedelta(minutes=1), one)
    moved = {row.pk for row in Pipeline.objects.all() if row.created_at != rows[row.pk]}
    assert moved == {one}
    advance(timedelta(minutes=1))
    moved = {row.pk for row in Pipeline.objects.all() if row.created_at != rows[row.pk]}
    assert moved == {one, other}


def test_the_broker_does_as_it_is_told(posting, begin, broker):
    for _ in range(3):
        begin(posting)
    first, second, third = broker.waiting
    assert broker.drop() == first
    broker.duplicate()
    assert broker.waiting == [second, third, second]
    broker.duplicate(first)
    assert broker.waiting[-1] == first
    broker.reorder(1)
    assert sorted(map(id, broker.waiting)) == sorted(map(id, [second, third, second, first]))
    broker.drop_all()
    assert broker.deliver() is None
    assert broker.sent == [first, second, third]
    assert broker.replay_all() == 3


def test_messages_that_breed_messages_are_a_failure(posting, begin, broker):
    pipeline = begin(posting)
    message = broker.waiting[0]
    broker.waiting += [message] * 5
    with pytest.raises(AssertionError, match="2 messages delivered"):
        broker.deliver_all(bound=2)
    broker.drop_all()
    drain(pipeline, broker)


def test_a_workflow_is_forgotten_with_its_block(world):
    with throwaway(world.step("logo"), name="shortlived") as workflow:
        assert registry.find("shortlived", 1) is workflow
    assert workflow not in registry.all_workflows()


def test_functions_run_together_and_their_errors_are_raised():
    assert together(lambda: 1, lambda: 2) == [1, 2]
    with pytest.raises(ZeroDivisionError):
        together(lambda: 1, lambda: 1 / 0)


def test_workers_are_owners_of_their_own(broker):
    one, two = Worker(), Worker()
    before = two.id
    assert one.id != before
    two.die()
    assert two.id not in {one.id, before}
    one.close()
    two.close()


def test_a_broker_that_is_left_gives_celery_its_place_back():
    with ScriptedBroker():
        assert dispatch._sender is not None
    assert dispatch._sender is None


def test_a_history_tells_everything_in_order(posting, begin, broker):
    pipeline = begin(posting)
    drain(pipeline, broker)
    lines = history(pipeline).splitlines()
    assert "committed" in lines[0]
    assert [line.split()[2] for line in lines[2:4]] == ["accepted", "staging_started"]
