"""A provider that is down: its jobs wait uncounted, one at a time probes it, and they come back one by one."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from pipeline import actions, circuit
from pipeline.circuit import State, after_outage, held_until
from pipeline.conf import Conf
from pipeline.errors import IllegalAction
from pipeline.models import Circuit, Event, Pipeline, Step
from pipeline.retry import RetryPolicy, retry_after
from pipeline.states import Verb
from pipeline.sweep import sweep_once
from pipeline.testing import (
    IN_THE_END,
    Killed,
    advance,
    as_workers,
    crash_at,
    drain,
    drain_all,
    state_of,
    together,
)
from pipeline.workflow import Misconfigured, Refused, Skip, Unavailable, Unknown, Wait

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
SECOND = timedelta(seconds=1)
CONF = Conf(CIRCUIT_AFTER=3, CIRCUIT_RETRY=RetryPolicy(first=2 * SECOND, factor=2, cap=60 * SECOND, jitter=0))
OPEN = State(failures=3, failing=("a", "b", "c"), openings=1, opened_at=NOW - SECOND, retry_at=NOW)


@pytest.fixture(autouse=True)
def three(tune):
    """Three outages open a circuit here, and failed attempts are repeated soon."""
    soon = RetryPolicy(first=timedelta(milliseconds=1), factor=1, cap=timedelta(milliseconds=1), jitter=0)
    # Long enough for a loaded machine: only `advance` brings it about that a circuit is tried again.
    retry = RetryPolicy(first=60 * SECOND, factor=2, cap=600 * SECOND, jitter=0)
    tune(CIRCUIT_AFTER=3, CIRCUIT_RETRY=retry, STAGE_RETRY=soon, FINISH_RETRY=soon, STAGING_DEADLINE=timedelta(days=1))
    return tune


@pytest.fixture
def paid(world, define):
    """Its payment, and nothing else, asks Stripe."""
    return define(
        world.step("logo"),
        world.step("payment", pivot=True, provider="stripe"),
        world.step("email", tells=True),
    )


@pytest.fixture
def down(world):
    """From now on Stripe is down for that verb; `up()` brings it back."""

    def fail(place="payment.stage", failure=None):
        world.will(place, *[failure or Unavailable("stripe_unreachable")] * 500)

    fail.up = world._scripts.clear
    return fail


def opened(begin, broker, paid, down, place="payment.stage"):
    """A pipeline whose failure, with those of two others, has opened Stripe's circuit."""
    down(place)
    pipeline = begin(paid)
    broker.deliver_all()
    for _ in range(2):
        circuit.learn("stripe", Unavailable("stripe_unreachable"), pipeline=uuid.uuid4(), troubles=1)
    assert row().opened_at is not None
    return pipeline


def let_pass(broker, step, *, times=1):
    broker.deliver_all()
    for _ in range(times):
        advance(step)
        sweep_once()
        broker.deliver_all()


def back(pipeline, provider="stripe"):
    """A person knows that the provider is back, and has this pipeline tried at once."""
    circuit.close(provider, by="ann", reason="it is back")
    actions.retry_now(pipeline, by="ann", reason="it is back")


def shut(provider="stripe"):
    """Its circuit is open, and it is not tried again soon."""
    state = {"failures": 9, "openings": 1, "opened_at": NOW, "retry_at": datetime(2100, 1, 1, tzinfo=UTC)}
    Circuit.objects.update_or_create(provider=provider, defaults=state)


def row():
    return Circuit.objects.get(provider="stripe")


def attempts(pipeline, step="payment"):
    return Step.objects.get(pipeline=pipeline, name=step).attempts


def calls(world, verb="stage", step="payment"):
    return [entry.pipeline for entry in world.calls if (entry.step, entry.verb) == (step, verb)]


# --- the decision ---------------------------------------------------------------------------------------


def outage(state, *, of="c", is_probe=False, is_for_all=False, chance=0.5, pause=None, conf=CONF):
    given = {"pipeline": of, "is_probe": is_probe, "is_for_all": is_for_all, "chance": chance}
    return after_outage(state, now=NOW, retry_after=pause, conf=conf, **given)


def test_it_opens_after_so_many_outages_in_a_row():
    one = outage(State(), of="a")
    two = outage(one, of="b")
    assert (one, two) == (State(1, ("a",)), State(2, ("a", "b")))
    assert outage(two) == State(3, ("a", "b", "c"), 1, NOW, NOW + 2 * SECOND)


def test_one_pipeline_alone_opens_nothing_however_often_it_fails():
    state = State()
    for _ in range(100):
        state = outage(state, of="a")
    assert state == State(100, ("a", "a"))


def test_two_pipelines_open_it_together_so_that_a_shop_with_few_customers_has_a_circuit():
    once_each = outage(outage(State(), of="a"), of="b")
    assert once_each.opened_at is None
    assert outage(once_each, of="b").opened_at == NOW
    five = replace(CONF, CIRCUIT_AFTER=5)
    state = State()
    for _ in range(100):
        state = outage(state, of="a", conf=five)
    state = outage(state, of="b", conf=five)
    assert state.opened_at is None
    assert outage(state, of="b", conf=five).opened_at == NOW


def test_what_is_wrong_for_all_opens_it_at_once_unless_it_is_switched_off():
    assert outage(State(), is_for_all=True).opened_at == NOW
    assert outage(State(), is_for_all=True, conf=Conf(CIRCUIT_AFTER=0)) == State(1)


def test_it_keeps_no_more_outages_than_it_needs():
    state = State()
    for number in range(50):
        state = outage(state, of=str(number))
    assert state.failing == ("0", "1", "2")


def test_of_an_open_one_only_the_probe_s_outage_counts():
    assert outage(OPEN) == replace(OPEN, failures=4)
    assert outage(OPEN, is_probe=True) == replace(OPEN, failures=4, openings=2, retry_at=NOW + 4 * SECOND)


def test_a_probe_that_was_overtaken_by_a_success_opens_nothing():
    assert outage(State(), is_probe=True) == State(1, ("c",))


def test_its_delay_grows_to_a_cap_and_retry_after_is_a_floor():
    late = replace(OPEN, failures=30, openings=20)
    assert outage(late, is_probe=True).retry_at == NOW + 60 * SECOND
    two = State(2, ("a", "b"))
    assert outage(two, pause=10 * SECOND).retry_at == NOW + 10 * SECOND
    assert outage(two, pause=SECOND).retry_at == NOW + 2 * SECOND


def test_it_can_be_switched_off():
    assert outage(State(1000, ("a",)), conf=Conf(CIRCUIT_AFTER=0)).opened_at is None


@pytest.mark.parametrize(("chance", "seconds"), [(0, 0), (0.5, 0.5), (0.999, 0.999)])
def test_jobs_come_back_spread_over_half_the_delay(chance, seconds):
    assert held_until(OPEN, now=NOW, chance=chance, conf=CONF) == NOW + seconds * SECOND
    late = replace(OPEN, failures=30, openings=20)
    assert held_until(late, now=NOW, chance=chance, conf=CONF) == NOW + 30 * seconds * SECOND


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"retry-after": "0"}, 0),
        ({"Retry-After": "Sat, 21 Nov 2020 10:00:00 GMT"}, 0),
        ({"Retry-After": "9" * 40}, 10**9),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-1"}, None),
        ({}, None),
        (None, None),
    ],
)
def test_the_pause_that_a_provider_asks_for(headers, seconds):
    assert retry_after(headers) == (None if seconds is None else seconds * SECOND)


# --- opening --------------------------------------------------------------------------------------------


def test_outages_of_several_pipelines_open_it_and_nobody_else_is_attempted(begin, broker, paid, down, world):
    down()
    first = [begin(paid) for _ in range(3)]
    broker.deliver_all()
    assert row().opened_at is not None
    late = [begin(paid) for _ in range(2)]
    broker.deliver_all()
    assert calls(world) == first
    assert [attempts(pipeline) for pipeline in late] == [0, 0]
    assert [state_of(pipeline) for pipeline in late] == ["staging", "staging"]


def test_one_pipeline_that_fails_for_ever_keeps_no_other_waiting(begin, broker, paid, world):
    poisoned = begin(paid)
    world.will("payment.stage", *[Unknown("server_error")] * 20)
    let_pass(broker, timedelta(milliseconds=10), times=19)
    assert attempts(poisoned) == 20
    assert row().opened_at is None
    assert drain(begin(paid), broker) == "committed"


def test_what_is_wrong_with_our_settings_opens_it_at_once_and_a_person_is_told_once(begin, broker, paid, down):
    down("payment.stage", Misconfigured("key_refused", "check STRIPE_SECRET_KEY"))
    pipelines = [begin(paid) for _ in range(3)]
    let_pass(broker, 200 * SECOND, times=4)
    assert row().opened_at is not None
    told = Event.objects.filter(type="attention")
    assert [(event.pipeline_id, event.data["detail"]) for event in told] == [(pipelines[0], "check STRIPE_SECRET_KEY")]
    down.up()
    back(pipelines[0])
    drain_all(pipelines, broker, within=IN_THE_END)
    assert {state_of(pipeline) for pipeline in pipelines} == {"committed"}


def test_what_is_wrong_with_one_request_of_ours_is_told_and_keeps_no_other_waiting(begin, broker, paid, world):
    world.will("payment.stage", Misconfigured("amount_too_small", "raise the price", outage=False))
    pipeline = begin(paid)
    broker.deliver_all()
    assert Event.objects.get(type="attention").pipeline_id == pipeline
    assert not Circuit.objects.exists()
    assert drain(begin(paid), broker) == "committed"


def test_a_setting_that_is_missing_is_told_by_its_name(begin, broker, paid, world):
    world.will("payment.stage", ImproperlyConfigured("STRIPE_SECRET_KEY is not set"))
    begin(paid)
    broker.deliver_all()
    assert Event.objects.get(type="attention").data["detail"] == "STRIPE_SECRET_KEY is not set"
    assert row().opened_at is not None


def test_a_waiting_job_says_why_and_until_when(begin, broker, paid, down):
    opened(begin, broker, paid, down)
    pipeline = begin(paid)
    broker.deliver_all()
    step = Step.objects.get(pipeline=pipeline, name="payment")
    assert (step.state, step.error["kind"], step.error["code"]) == ("pending", "unavailable", "circuit_open")
    assert "stripe is down since" in step.error["detail"]
    assert step.due_at >= row().retry_at
    assert Pipeline.objects.get(pk=pipeline).due_at == step.due_at


def test_waiting_uses_up_no_attempts_however_often_it_is_looked_at(begin, broker, paid, down, world):
    pipeline = opened(begin, broker, paid, down)
    Circuit.objects.update(retry_at=datetime(2100, 1, 1, tzinfo=UTC))
    before = (attempts(pipeline), len(world.calls))
    for _ in range(5):
        Step.objects.filter(pipeline=pipeline, name="payment").update(due_at=None)
        Pipeline.objects.update(due_at=NOW)
        let_pass(broker, SECOND)
    assert (attempts(pipeline), len(world.calls)) == before
    down.up()
    back(pipeline)
    assert drain(pipeline, broker) == "committed"


@pytest.mark.parametrize("go_on", [True, False])
def test_who_goes_on_with_the_next_step_respects_it(begin, broker, paid, down, world, tune, go_on):
    opened(begin, broker, paid, down)
    tune(GO_ON=go_on)
    pipeline = begin(paid)
    broker.deliver_all()
    assert Step.objects.get(pipeline=pipeline, name="logo").state == "staged"
    assert calls(world).count(pipeline) == 0


@pytest.mark.parametrize(
    "failure", [Refused("card_declined"), Unknown("in_use", outage=False), RuntimeError("a defect")]
)
def test_what_is_no_outage_opens_nothing(begin, broker, paid, down, failure):
    down("payment.stage", failure)
    for _ in range(5):
        begin(paid)
    let_pass(broker, timedelta(milliseconds=10), times=5)
    assert not Circuit.objects.exists()


def test_steps_without_a_provider_have_no_circuit(begin, broker, posting, down):
    down("logo.stage")
    for _ in range(5):
        begin(posting)
    let_pass(broker, timedelta(milliseconds=10), times=5)
    assert not Circuit.objects.exists()


# --- what is not held -----------------------------------------------------------------------------------


def test_verbs_that_call_nobody_go_on(begin, broker, world, define):
    shut("s3")
    workflow = define(
        world.step("logo", provider="s3", stage=None, commit=None),
        world.step("email", tells=True, provider="s3", offline=(Verb.STAGE, Verb.COMMIT)),
    )
    assert drain(begin(workflow), broker) == "committed"


def test_a_step_that_says_it_calls_nobody_waits_for_nobody(begin, broker, world, define):
    """Asked of the run while the circuit is open; the step's answer may depend on all that is stored."""
    world.will("logo.stage", Skip("no logo"))
    logo = world.step("logo", provider="s3", calls_provider=lambda _self, run: bool(run.input["logo"]))
    workflow = define(logo, world.step("email", tells=True))
    shut("s3")
    assert drain(begin(workflow, input={"logo": False}), broker) == "committed"
    waiting = begin(workflow, input={"logo": True})
    broker.deliver_all()
    assert (state_of(waiting), attempts(waiting, "logo")) == ("staging", 0)


@pytest.mark.parametrize("act", ["call", "record", "secret", "attachment"])
def test_a_step_that_acts_when_it_is_asked_is_held(begin, broker, world, define, act):
    def acts(_self, run):
        {"call": lambda: run.call("x"), "record": lambda: run.record(a=1)}.get(act, lambda: getattr(run, act)("x"))()
        return False

    workflow = define(world.step("logo", provider="s3", calls_provider=acts))
    shut("s3")
    pipeline = begin(workflow)
    broker.deliver_all()
    assert (state_of(pipeline), attempts(pipeline, "logo")) == ("staging", 0)
    step = Step.objects.get(pipeline=pipeline, name="logo")
    assert (step.data, step.calls) == ({}, {})


def test_it_is_found_by_the_step_s_kind_and_not_by_its_name(begin, broker, world, define):
    from pipeline.workflow import Planned

    item = world.step("item", provider="ledger")
    workflow = define(item, plan=lambda _input: [Planned(item, "item-1"), Planned(item, "item-2")])
    shut("ledger")
    pipeline = begin(workflow)
    broker.deliver_all()
    assert world.calls == []
    back(pipeline, "ledger")
    assert drain(pipeline, broker) == "committed"


# --- half open ------------------------------------------------------------------------------------------


def test_a_probe_that_succeeds_closes_it_and_all_come_back(begin, broker, paid, down, caplog):
    pipelines = [opened(begin, broker, paid, down), *(begin(paid) for _ in range(6))]
    broker.deliver_all()
    down.up()
    drain_all(pipelines, broker)
    assert {state_of(pipeline) for pipeline in pipelines} == {"committed"}
    assert {attempts(pipeline) for pipeline in pipelines[1:]} == {1}
    assert (row().opened_at, row().failures, row().error) == (None, 0, None)
    assert "circuit of stripe: opened" in caplog.text
    assert "circuit of stripe: closed, it answers again" in caplog.text


def test_waiting_jobs_come_back_at_times_of_their_own(begin, broker, paid, down):
    opened(begin, broker, paid, down)
    pipelines = [begin(paid) for _ in range(8)]
    broker.deliver_all()
    dues = list(Step.objects.filter(pipeline__in=pipelines, name="payment").values_list("due_at", flat=True))
    assert len(set(dues)) == 8
    assert all(row().retry_at <= due <= row().retry_at + 30 * SECOND for due in dues)


def test_a_probe_that_fails_opens_it_for_longer_and_lets_nobody_else_in(begin, broker, paid, down, world):
    pipeline = opened(begin, broker, paid, down)
    others = [begin(paid) for _ in range(3)]
    broker.deliver_all()
    seen = []
    for _ in range(6):
        before = len(world.calls)
        advance(row().retry_at - row_now() + 301 * SECOND)
        sweep_once()
        broker.deliver_all()
        assert len(calls(world)) + len(calls(world, step="logo")) == len(world.calls)
        assert len(world.calls) == before + 1, "one probe"
        seen.append(row().retry_at - row_now())
    for left, minutes in zip(seen, (2, 4, 8, 10, 10, 10), strict=True):
        assert timedelta(minutes=minutes - 1) < left <= timedelta(minutes=minutes)
    assert sum(map(attempts, [pipeline, *others])) == 1 + 6


def row_now():
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        return cursor.fetchone()[0]


def test_of_two_workers_that_come_at_once_one_probes(begin, broker, paid, down, world):
    opened(begin, broker, paid, down)
    pipelines = [begin(paid) for _ in range(2)]
    broker.deliver_all()
    Circuit.objects.update(retry_at=NOW)
    Step.objects.filter(name="payment").update(due_at=None)
    before = len(world.calls)
    from pipeline.executor import run
    from pipeline.plan import Job

    jobs = [Job(pipeline, "payment", Verb.STAGE) for pipeline in pipelines]
    together(*(lambda job=job: run(job) for job in jobs))
    assert len(world.calls) == before + 1
    assert sorted(map(attempts, pipelines)) == [0, 1]


def test_a_probe_whose_worker_dies_is_followed_by_another_in_a_quarter_of_a_minute(begin, broker, paid, down, world):
    pipeline = opened(begin, broker, paid, down)
    down.up()
    Circuit.objects.update(retry_at=NOW)
    Step.objects.filter(name="payment").update(due_at=None)
    Pipeline.objects.update(due_at=NOW)
    crash_at("payment.stage.claimed")
    sweep_once()
    with as_workers(1) as [worker], worker.acting():
        try:
            broker.deliver_all()
        except Killed:
            raise AssertionError("the kit's broker takes deaths upon itself") from None
    left = row().retry_at - row_now()
    assert timedelta(seconds=10) < left <= timedelta(seconds=15)
    assert drain(pipeline, broker) == "committed"


def test_a_probe_that_finds_its_job_done_leaves_the_next_one_to_probe(begin, broker, paid, down, world):
    opened(begin, broker, paid, down)
    Circuit.objects.update(retry_at=NOW)
    pipeline = begin(paid)
    from pipeline.executor import run
    from pipeline.plan import Job

    run(Job(pipeline, "payment", Verb.COMMIT))  # a message of no use: it is not its turn
    assert row().retry_at <= row_now()
    assert row().opened_at is not None


@pytest.mark.parametrize("answer", [Refused("card_declined"), None])
def test_a_probe_s_refusal_is_an_answer_and_a_success_that_asked_nothing_is_none(
    begin, broker, paid, down, world, answer
):
    pipeline = opened(begin, broker, paid, down)
    down.up()
    if answer is None:
        world.will("payment.stage", lambda _run: Skip("not needed"))
    else:
        world.will("payment.stage", lambda run: (run.call("ask"), _raise(answer)))
    Circuit.objects.update(retry_at=NOW)
    Step.objects.filter(name="payment").update(due_at=None)
    Pipeline.objects.update(due_at=NOW)
    sweep_once()
    broker.deliver_all()
    assert (row().opened_at is None) == (answer is not None)
    drain(pipeline, broker)


def _raise(error):
    raise error


# --- successes ------------------------------------------------------------------------------------------


def test_a_success_ends_the_row_of_outages(begin, broker, paid, world):
    outages = [Unavailable("down"), Unavailable("down")]
    for _ in range(3):
        world.will("payment.stage", *outages)
        assert drain(begin(paid), broker) == "committed"
        assert (row().failures, row().opened_at) == (0, None)


def test_a_success_on_a_closed_circuit_writes_nothing(begin, broker, paid):
    Circuit.objects.create(provider="stripe")

    def version():
        with connection.cursor() as cursor:
            cursor.execute("SELECT xmin::text, ctid::text FROM pipeline_circuit")
            return cursor.fetchall()

    before = version()
    assert drain(begin(paid), broker) == "committed"
    assert version() == before


# --- deadlines and rolling back -------------------------------------------------------------------------


def test_staging_s_deadline_passes_while_it_is_open_and_nothing_is_asked(begin, broker, paid, down, world):
    opened(begin, broker, paid, down)
    pipeline = begin(paid)
    broker.deliver_all()
    Circuit.objects.update(retry_at=datetime(2100, 1, 1, tzinfo=UTC))
    world.will("payment.rollback", *[lambda run: None if not run.calls else pytest.fail("it began")] * 9)
    assert drain(pipeline, broker, within=IN_THE_END) == "rolled_back"
    assert Pipeline.objects.get(pk=pipeline).error["code"] == "staging_timed_out"
    assert calls(world).count(pipeline) == 0
    assert row().opened_at is not None
    world.assert_agrees(pipeline)


def test_it_is_due_at_its_deadline_even_if_the_circuit_is_tried_later(begin, broker, paid, down):
    opened(begin, broker, paid, down)
    Circuit.objects.update(retry_at=datetime(2100, 1, 1, tzinfo=UTC))
    pipeline = begin(paid)
    broker.deliver_all()
    row_of = Pipeline.objects.get(pk=pipeline)
    assert row_of.due_at == row_of.deadline_at


def test_a_rollback_that_has_to_ask_waits_and_the_others_do_not(begin, broker, paid, world):
    world.will("payment.stage", lambda run: (run.call("hold"), _raise(Unknown("no_answer"))))
    pipeline = begin(paid)
    broker.deliver_all()
    shut("stripe")
    actions.cancel(pipeline)
    broker.deliver_all()
    states = dict(Step.objects.filter(pipeline=pipeline).values_list("name", "state"))
    assert (states["logo"], states["payment"]) == ("rolled_back", "staging")
    assert calls(world, "rollback") == []
    back(pipeline)
    assert drain(pipeline, broker) == "rolled_back"


def test_a_telling_rollback_is_an_effect_of_its_own_and_waits(begin, broker, world, define):
    workflow = define(
        world.step("payment", pivot=True), world.step("email", tells=True, undo_pending=True, provider="mail")
    )
    shut("mail")
    world.will("payment.stage", Refused("card_declined"))
    pipeline = begin(workflow)
    broker.deliver_all()
    assert (state_of(pipeline), calls(world, "rollback", "email")) == ("rolling_back", [])
    back(pipeline, "mail")
    assert drain(pipeline, broker) == "rolled_back"
    assert len(calls(world, "rollback", "email")) == 1


def test_the_customer_s_deadline_waits_for_the_provider_s_answer(begin, broker, paid, world):
    deadline = row_now() + timedelta(minutes=30)
    world.will("payment.stage", lambda run: (run.call("ask"), Wait({"type": "confirm"}, deadline))[1])
    pipeline = begin(paid)
    broker.deliver_all()
    assert state_of(pipeline) == "waiting"
    shut("stripe")
    asked = len(calls(world))
    let_pass(broker, timedelta(minutes=40), times=3)
    assert (state_of(pipeline), len(calls(world))) == ("waiting", asked)
    back(pipeline)
    assert drain(pipeline, broker) == "committed"


def test_a_hint_does_not_get_past_it_and_is_published_once(begin, broker, paid, down, world):
    pipeline = opened(begin, broker, paid, down)
    Circuit.objects.update(retry_at=datetime(2100, 1, 1, tzinfo=UTC))
    before = len(world.calls)
    assert actions.hint(pipeline, by="stripe")
    let_pass(broker, timedelta(seconds=3))
    assert len(world.calls) == before
    assert sweep_once() == 0, "it waits for the circuit, and not for the next publication"
    down.up()
    back(pipeline)
    assert drain(pipeline, broker) == "committed"


# --- people ---------------------------------------------------------------------------------------------


def test_a_decided_job_that_waits_for_fifteen_minutes_is_marked_once(begin, broker, paid, down):
    pipeline = opened(begin, broker, paid, down, "payment.commit")
    assert state_of(pipeline) == "committing"
    Circuit.objects.update(retry_at=datetime(2100, 1, 1, tzinfo=UTC))

    def marks():
        return Event.objects.filter(pipeline=pipeline, type="attention").count()

    for _ in range(3):
        Step.objects.filter(pipeline=pipeline, name="payment").update(due_at=NOW)
        Pipeline.objects.filter(pk=pipeline).update(due_at=NOW)
        let_pass(broker, timedelta(minutes=4))
    assert (marks(), Pipeline.objects.get(pk=pipeline).attention) == (0, 0)
    for _ in range(3):
        Step.objects.filter(pipeline=pipeline, name="payment").update(due_at=NOW)
        Pipeline.objects.filter(pk=pipeline).update(due_at=NOW)
        let_pass(broker, timedelta(minutes=4))
    assert (marks(), Pipeline.objects.get(pk=pipeline).attention) == (1, 1)
    assert Event.objects.get(pipeline=pipeline, type="attention").data["code"] == "circuit_open"
    down.up()
    back(pipeline)
    assert drain(pipeline, broker) == "committed"
    assert Pipeline.objects.get(pk=pipeline).attention == 0


def test_a_person_closes_it(begin, broker, paid, down, caplog):
    pipeline = opened(begin, broker, paid, down)
    down.up()
    circuit.close("stripe", by="ann", reason="they told us")
    assert circuit.open_circuits() == []
    assert "closed by ann (they told us)" in caplog.text
    assert drain(pipeline, broker) == "committed"
    with pytest.raises(IllegalAction, match="not open"):
        circuit.close("stripe", by="ann", reason="again")


def test_it_is_told_in_words():
    circuits = Circuit(provider="stripe", opened_at=NOW, retry_at=NOW + 70 * SECOND)
    assert circuit.told(circuits) == "open since 2026-11-21 10:00:00 UTC, next try 10:01:10 UTC"
    assert circuit.told(Circuit(provider="stripe")) == "closed"
