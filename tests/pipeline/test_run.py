"""What a verb is given: recorded data, calls with their keys, secrets, the other steps."""

from datetime import timedelta

import pytest
from cryptography.fernet import Fernet

from pipeline import actions
from pipeline.errors import PipelineError
from pipeline.models import Pipeline, Step
from pipeline.run import REPLAY_HORIZON
from pipeline.secrets import decrypt
from pipeline.states import Verb
from pipeline.sweep import sweep_once
from pipeline.tasks import run_job
from pipeline.testing import IN_THE_END, Killed, advance, as_workers, crash_at, drain, until_due
from pipeline.workflow import Refused, Unavailable, Unknown


def again(pipeline, broker):
    advance(until_due(pipeline) + timedelta(milliseconds=1))
    sweep_once()
    broker.deliver_all()


def test_a_call_is_stored_before_it_is_sent_and_never_rebuilt(posting, begin, broker, world):
    calls = []

    def charge(run):
        price = 100 + run.attempt  # what the second attempt would send
        calls.append(run.call("create", {"amount": price}))
        stored = Step.objects.get(pipeline=run.pipeline_id, name="payment").calls["stage.create"]
        assert stored["params"] == {"amount": 101}
        if run.attempt < 3:
            raise Unknown("timeout")

    world.will("payment.stage", charge, charge, charge)
    pipeline = begin(posting)
    assert drain(pipeline, broker) == "committed"
    assert [call.params for call in calls] == [{"amount": 101}] * 3
    assert {call.key for call in calls} == {f"{pipeline}:payment:stage:create:1"}
    assert [call.is_new for call in calls] == [True, False, False]


def test_a_call_whose_process_died_at_once_is_the_same_for_the_next_one(posting, begin, broker, world):
    calls = []

    def charge(run):
        calls.append(run.call("create", {"attempt": run.attempt}))

    world.will("payment.stage", charge, charge)
    crash_at("payment.stage.effect")
    assert drain(begin(posting), broker) == "committed"
    assert [call.params for call in calls] == [{"attempt": 1}] * 2


def sent(run, name="create", **outcomes):
    """Send a call; the provider answers as the attempt's number says."""
    call = run.call(name, {"amount": 1})

    def act(_call):
        if outcome := outcomes.get(f"at_{run.attempt}"):
            raise outcome
        return "made"

    return run.send(call, act)


def recovered(run, log):
    def replay(call):
        log.append(f"replay {call.generation}")
        raise Refused("refused")

    def find():
        log.append("find")

    run.recover("create", replay=replay, find=find)


@pytest.mark.parametrize(
    ("before", "asked"),
    [
        ([Refused("no")], []),
        ([Unavailable("busy"), Refused("no")], []),
        ([Unavailable("busy"), Unavailable("busy"), Refused("no")], []),
        ([Unknown("timeout"), Refused("no")], ["find"]),
        ([Unavailable("busy"), Unknown("timeout"), Refused("no")], ["find"]),
        ([Unknown("timeout"), Unavailable("busy"), Refused("no")], ["find"]),
    ],
    ids=str,
)
def test_a_refused_call_made_nothing_unless_an_earlier_sending_is_in_doubt(
    posting, begin, broker, world, before, asked
):
    log = []
    outcomes = {f"at_{number}": outcome for number, outcome in enumerate(before, 1)}
    world.will("payment.stage", *[lambda run: sent(run, **outcomes)] * len(before))
    world.will("payment.rollback", lambda run: recovered(run, log))
    assert drain(begin(posting), broker, within=5 * timedelta(seconds=1)) == "rolled_back"
    assert log == asked


def test_a_call_in_doubt_is_sent_again_once_and_what_is_refused_then_is_looked_up(posting, begin, broker, world):
    log = []
    world.will("payment.stage", lambda run: sent(run, at_1=Unknown("timeout")))
    world.will("payment.rollback", lambda run: recovered(run, log))
    pipeline = begin(posting)
    broker.deliver_all()
    actions.cancel(pipeline)
    assert drain(pipeline, broker) == "rolled_back"
    assert log == ["replay 1", "find"]


def test_a_process_that_dies_before_it_stored_the_refusal_leaves_the_call_in_doubt(posting, begin, broker, world):
    log = []
    world.will("payment.stage", lambda run: sent(run, at_1=Killed()), lambda run: sent(run, at_2=Refused("no")))
    world.will("payment.rollback", lambda run: recovered(run, log))
    pipeline = begin(posting)
    with as_workers(1) as [worker], worker.acting(), pytest.raises(Killed):
        run_job(broker.waiting.pop().job, [])
    worker.die()
    assert drain(pipeline, broker, within=10 * timedelta(seconds=1)) == "rolled_back"
    assert log == ["find"]


def test_a_call_that_made_nothing_gets_a_new_key_as_a_provider_would_replay_its_refusal(posting, begin, broker, world):
    seen = []

    def charge(run):
        seen.append(run.call("create", {"amount": run.attempt}))
        run.send(seen[-1], lambda _call: _raise(Unavailable("busy")) if run.attempt < 3 else None)

    world.will("payment.stage", charge, charge, charge)
    assert drain(begin(posting), broker, within=5 * timedelta(seconds=1)) == "committed"
    assert [(call.generation, call.params, call.is_new) for call in seen] == [
        (1, {"amount": 1}, True),
        (2, {"amount": 1}, True),
        (3, {"amount": 1}, True),
    ]


def test_what_reading_back_showed_to_be_in_doubt_stays_so_for_the_next_generation(posting, begin, broker, world):
    """Where a provider knows no keys, what was sent before may come late."""
    log = []

    def charge(run):
        call = run.call("create", {})
        if run.attempt == 2:
            call = run.renew("create")
        run.send(call, lambda _call: _raise(Unknown("timeout") if run.attempt == 1 else Refused("no")))

    world.will("payment.stage", charge, charge)
    world.will("payment.rollback", lambda run: recovered(run, log))
    assert drain(begin(posting), broker) == "rolled_back"
    assert log == ["find"]


def _raise(error):
    raise error


def test_a_new_generation_has_a_new_key_and_the_same_parameters(posting, begin, broker, world):
    keys = []

    def charge(run):
        call = run.call("create", {"amount": 1})
        if run.attempt == 2:
            call = run.renew("create")
        keys.append((call.key.rsplit(":", 1)[1], call.generation, call.params, call.is_new))
        if run.attempt < 3:
            raise Unknown("timeout")

    world.will("payment.stage", charge, charge, charge)
    assert drain(begin(posting), broker) == "committed"
    assert keys == [("1", 1, {"amount": 1}, True), ("2", 2, {"amount": 1}, True), ("2", 2, {"amount": 1}, False)]


def test_a_call_may_be_repeated_for_twenty_hours_and_then_only_asked_about(posting, begin, broker, world):
    replayable = []

    def charge(run):
        replayable.append(run.call("capture", {}).is_replayable(run.now))
        raise Unavailable("down")

    world.will("payment.commit", charge, charge, charge)
    pipeline = begin(posting)
    broker.deliver_all()
    advance(REPLAY_HORIZON - timedelta(minutes=1))
    again(pipeline, broker)
    advance(timedelta(minutes=2))
    again(pipeline, broker)
    assert replayable == [True, True, False]
    assert drain(pipeline, broker, within=IN_THE_END) == "committed"


def test_a_rollback_sees_the_calls_of_staging(posting, begin, broker, world):
    seen = []

    def stage(run):
        run.call("create", {"amount": 1})
        raise Unknown("timeout")

    def rollback(run):
        assert run.has_called("create", Verb.STAGE)
        assert not run.has_called("capture", Verb.COMMIT)
        seen.append(run.earlier("create", Verb.STAGE))

    world.will("payment.stage", stage)
    world.will("payment.rollback", rollback)
    pipeline = begin(posting)
    broker.deliver_all()
    actions.cancel(pipeline)
    assert drain(pipeline, broker) == "rolled_back"
    assert (seen[0].key, seen[0].params, seen[0].is_new) == (
        f"{pipeline}:payment:stage:create:1",
        {"amount": 1},
        False,
    )


def test_what_is_recorded_between_two_calls_survives_a_death(posting, begin, broker, world):
    def stage(run):
        if "intent" not in run.data:
            run.record(intent="pi_1")
            assert run.data["intent"] == "pi_1"
            raise Unknown("timeout")
        return {"status": "held"}

    world.will("payment.stage", stage, stage)
    crash_at("payment.stage.effect")
    pipeline = begin(posting)
    assert drain(pipeline, broker) == "committed"
    assert Step.objects.get(pipeline=pipeline, name="payment").data == {
        "intent": "pi_1",
        "status": "held",
        "commit": f"{pipeline}:payment:commit:do:1",
    }


def test_a_verb_sees_the_input_its_arguments_and_the_other_steps(posting, begin, broker, world):
    seen = {}

    def look(run):
        seen.update(
            input=run.input, posting=run.of("posting"), nothing=run.of("nothing"), reference=run.reference,
            verb=run.verb.value, attempt=run.attempt, args=run.args, reason=run.reason,
        )  # fmt: skip

    world.will("posting.stage", lambda _run: {"id": "p1"})
    world.will("payment.stage", look)
    pipeline = begin(posting, input={"title": "Cook"})
    drain(pipeline, broker)
    assert seen == {
        "input": {"title": "Cook"},
        "posting": {"id": "p1"},
        "nothing": {},
        "reference": str(pipeline),
        "verb": "stage",
        "attempt": 1,
        "args": {},
        "reason": None,
    }


@pytest.mark.parametrize("cancelled", [True, False])
def test_a_rollback_knows_why_and_whether_the_customer_wanted_it(cancelled, posting, begin, broker, world):
    seen = []
    world.will("email.stage", Unavailable("down") if cancelled else Refused("bad_address"))
    world.will("email.rollback", lambda run: seen.append((run.reason["code"], run.is_cancelled)))
    pipeline = begin(posting)
    broker.deliver_all()
    if cancelled:
        actions.cancel(pipeline)
    assert drain(pipeline, broker) == "rolled_back"
    assert seen == [("cancelled", True) if cancelled else ("bad_address", False)]


@pytest.mark.parametrize("what", ["secret", "attachment"])
def test_a_secret_or_attachment_that_is_gone_is_an_error_that_says_so(what, posting, begin, broker, world):
    said = []

    def stage(run):
        with pytest.raises(PipelineError, match=f"no {what} 'logo'") as error:
            getattr(run, what)("logo")
        said.append(error)

    world.will("logo.stage", stage)
    assert drain(begin(posting), broker) == "committed"
    assert said


def test_keys_rotate_and_a_lost_one_is_named(posting, begin, broker, world, tune):
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    seen = []
    tune(SECRET_KEYS=(old,))
    pipeline = begin(posting, secrets={"password": "hunter2"})
    tune(SECRET_KEYS=(new,))
    with pytest.raises(PipelineError, match="add the old key again"):
        decrypt(Pipeline.objects.get(pk=pipeline).secrets["password"])
    tune(SECRET_KEYS=(new, old))
    world.will("logo.stage", lambda run: seen.append(run.secret("password")))
    drain(pipeline, broker)
    assert seen == ["hunter2"]
