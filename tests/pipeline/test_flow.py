"""Staging, decision, commit and rollback as a workflow's author expects them, with and without going on."""

from datetime import timedelta

import pytest

from pipeline import actions, marks, registry
from pipeline.errors import IllegalAction, PipelineError
from pipeline.models import Attachment, Event, Pipeline, Step
from pipeline.sweep import sweep_once
from pipeline.testing import IN_THE_END, SOON, advance, drain, history, state_of, throwaway, until_due
from pipeline.workflow import Planned, Refused, Skip, Unavailable, Unknown


@pytest.fixture(params=[True, False], ids=["going on", "by message"], autouse=True)
def go_on(request, tune):
    tune(GO_ON=request.param)
    return request.param


def types(pipeline, step=None):
    events = Event.objects.filter(pipeline=pipeline).order_by("seq")
    return [event.type for event in events if step is None or event.step == step]


def verbs(world):
    return [f"{entry.step}.{entry.verb}" for entry in world.entries]


def test_everything_is_staged_in_order_then_the_pivot_then_the_effects_then_somebody_is_told(
    posting, begin, broker, world
):
    pipeline = begin(posting)
    assert drain(pipeline, broker) == "committed"
    done = verbs(world)
    assert done[:5] == ["logo.stage", "posting.stage", "payment.stage", "email.stage", "payment.commit"]
    assert set(done[5:7]) == {"logo.commit", "posting.commit"}
    assert done[7:] == ["email.commit"]
    world.assert_agrees(pipeline)
    row = Pipeline.objects.get(pk=pipeline)
    assert row.result == {"logo": f"{pipeline}:logo:stage:do:1", "paid": f"{pipeline}:payment:commit:do:1"}
    assert row.error is None


def test_without_messages_the_sweep_alone_brings_it_to_its_end(posting, begin, broker, world):
    pipeline = begin(posting)
    for _ in range(100):
        broker.drop_all()
        advance(until_due(pipeline) + timedelta(milliseconds=1))
        sweep_once()
        broker.deliver()
        if state_of(pipeline) == "committed":
            break
    assert state_of(pipeline) == "committed"
    world.assert_agrees(pipeline)


@pytest.mark.parametrize("step", ["logo", "posting", "payment", "email"])
def test_a_refusal_while_staging_rolls_back_what_may_have_been_done_and_nothing_else(
    step, posting, begin, broker, world
):
    world.will(f"{step}.stage", Refused("bad", "the provider's text", title="Bad", message="Please.", field=step))
    pipeline = begin(posting)
    assert drain(pipeline, broker, within=SOON) == "rolled_back"
    world.assert_agrees(pipeline)
    names = ["logo", "posting", "payment", "email"]
    attempted = names[: names.index(step) + 1]
    assert {entry.step for entry in world.calls if entry.verb == "rollback"} == set(attempted)
    states = dict(Step.objects.filter(pipeline=pipeline).values_list("name", "state"))
    assert states == {name: "rolled_back" if name in attempted else "skipped" for name in names}
    error = Pipeline.objects.get(pk=pipeline).error
    assert error == {
        "type": "urn:problem:bad", "title": "Bad", "detail": "Please.", "code": "bad", "field": step, "step": step,
    }  # fmt: skip
    assert "the provider's text" not in str(error)


def test_people_are_told_of_a_rollback_only_when_all_effects_are_undone(posting, begin, broker, world):
    world.will("email.stage", Refused("no"))
    world.will("logo.rollback", Unavailable("down"), Unavailable("down"))
    pipeline = begin(posting)
    assert drain(pipeline, broker) == "rolled_back"
    assert verbs(world)[-1] == "email.rollback"


def test_a_refused_pivot_turns_the_whole_back(posting, begin, broker, world):
    world.will("payment.commit", Refused("expired", message="The hold has expired."))
    pipeline = begin(posting)
    assert drain(pipeline, broker, within=SOON) == "rolled_back"
    world.assert_agrees(pipeline)
    assert not {"logo.commit", "posting.commit", "email.commit"} & set(verbs(world))
    assert Pipeline.objects.get(pk=pipeline).error["code"] == "expired"


def test_an_unknown_pivot_is_asked_about_until_it_is_known_whatever_deadline_passes(posting, begin, broker, world):
    world.will("payment.commit", *[Unknown("timeout")] * 12)
    pipeline = begin(posting)
    assert drain(pipeline, broker, within=IN_THE_END) == "committed"
    assert types(pipeline, "payment").count("attempt_failed") == 12
    world.assert_agrees(pipeline)


def test_a_refused_commit_of_an_effect_is_tried_until_it_succeeds_and_marked_for_a_person(
    posting, begin, broker, world
):
    world.will("posting.commit", Refused("gone"), Refused("gone"))
    pipeline = begin(posting)
    broker.deliver_all()
    assert Pipeline.objects.get(pk=pipeline).attention == 1
    assert drain(pipeline, broker, within=IN_THE_END) == "committed"
    assert Pipeline.objects.get(pk=pipeline).attention == 0
    assert types(pipeline, "posting").count("attention") == 1


@pytest.mark.parametrize("verb", ["commit", "rollback"])
def test_a_refused_telling_step_is_skipped_a_person_is_told_and_the_rest_ends_well(verb, posting, begin, broker, world):
    if verb == "rollback":
        world.will("payment.commit", Refused("expired"))
    world.will(f"email.{verb}", Refused("bad_address"))
    pipeline = begin(posting)
    assert drain(pipeline, broker, within=IN_THE_END) == ("committed" if verb == "commit" else "rolled_back")
    assert Step.objects.get(pipeline=pipeline, name="email").state == "skipped"
    skipped = Event.objects.get(pipeline=pipeline, type="skipped", step="email")
    assert skipped.data == {"why": "bad_address"}
    assert Pipeline.objects.get(pk=pipeline).attention == 1
    [mark] = marks.standing_of(pipeline)
    assert (mark["code"], mark["about"]) == ("bad_address", "email")


@pytest.mark.parametrize(
    ("late", "asked"),
    [
        (timedelta(minutes=11), {"logo": False}),
        (timedelta(minutes=15), dict.fromkeys(("logo", "posting", "payment"), True)),
    ],
    ids=["a minute late", "five minutes late"],
)
def test_what_nobody_looked_at_for_long_is_undone_as_if_its_database_were_a_backup(
    late, asked, posting, begin, broker, world
):
    seen = {}
    for name in ("logo", "posting", "payment"):
        world.will(f"{name}.rollback", lambda run: seen.update({run.step: run.is_restored}))
    pipeline = begin(posting)
    advance(late, pipeline)
    assert drain(pipeline, broker, within=SOON) == "rolled_back"
    assert seen == asked


def test_an_unavailable_step_is_tried_again_later_under_the_same_key(posting, begin, broker, world):
    keys = []

    def timeout(run):
        keys.append(run.call("do", {"price": 1}).key)
        raise Unknown("timeout")

    world.will("payment.stage", timeout, timeout)
    pipeline = begin(posting)
    assert drain(pipeline, broker) == "committed"
    last = next(entry.key for entry in world.entries if (entry.step, entry.verb) == ("payment", "stage"))
    assert set(keys) == {last}
    assert Step.objects.get(pipeline=pipeline, name="payment").stage_attempts == 3


def test_a_defect_in_a_verb_counts_as_unknown_and_is_tried_again(posting, begin, broker, world):
    world.will("posting.stage", KeyError("secret value"))
    pipeline = begin(posting)
    assert drain(pipeline, broker) == "committed"
    failed = Event.objects.get(pipeline=pipeline, type="attempt_failed")
    assert failed.data["kind"] == "unknown"
    assert "secret value" not in str(failed.data)


@pytest.mark.parametrize(
    "outcome",
    [{"at": object()}, {"n": float("nan")}, {"text": "a\0b"}, "staged", ["staged"]],
    ids=["object", "nan", "nul", "text", "list"],
)
def test_an_outcome_that_cannot_be_stored_is_a_defect_like_any_other(outcome, posting, begin, broker, world):
    """And not a reason to begin again at once, for ever."""
    world.will("posting.stage", lambda _run: outcome)
    pipeline = begin(posting)
    broker.deliver_all()
    step = Step.objects.get(pipeline=pipeline, name="posting")
    assert (step.state, step.owner, step.error["code"]) == ("staging", None, "unexpected_error")
    assert until_due(pipeline) > timedelta(milliseconds=200)
    assert drain(pipeline, broker) == "committed"


def test_a_defect_in_the_workflows_result_leaves_the_pipeline_committed(begin, broker, world, define):
    pipeline = begin(define(world.step("logo"), result=lambda _input, steps: {"url": steps["nothing"]["url"]}))
    assert drain(pipeline, broker) == "committed"
    assert Pipeline.objects.get(pk=pipeline).result is None


def test_a_staging_that_lasts_too_long_rolls_back(posting, begin, broker, world):
    world.will("payment.stage", *[Unavailable("down")] * 100)
    pipeline = begin(posting)
    broker.deliver_all()
    advance(timedelta(minutes=9))
    sweep_once()
    broker.deliver_all()
    assert state_of(pipeline) == "staging"
    advance(timedelta(minutes=1, seconds=1))
    sweep_once()
    calls = len(world.calls)
    broker.deliver()
    assert state_of(pipeline) != "staging"
    assert world.calls[calls:][:1] != [("payment", "stage")]
    assert drain(pipeline, broker) == "rolled_back"
    world.assert_agrees(pipeline)
    assert "deadline_passed" in types(pipeline)
    assert Pipeline.objects.get(pk=pipeline).error["code"] == "staging_timed_out"


def test_a_pipeline_that_no_worker_began_in_time_is_turned_back_without_an_effect(posting, begin, broker, world):
    pipeline = begin(posting)
    broker.drop_all()
    advance(timedelta(minutes=11))
    assert drain(pipeline, broker) == "rolled_back"
    assert not [entry for entry in world.entries if entry.verb == "stage"]


# --- steps that are dynamic, optional, skipped, or have nothing to undo -----------------------------------


def test_the_plan_may_have_as_many_steps_of_one_kind_as_the_input_has_items(begin, broker, world, define):
    amounts = {}

    def stage(run):
        amounts[run.step] = run.args["amount"]
        return world.do(run)

    item = world.step("item")
    world.will("item_0.stage", stage)
    world.will("item_1.stage", stage)
    world.will("item_2.stage", stage)
    workflow = define(
        item,
        plan=lambda given: [
            Planned(item, name=f"item_{number}", label=f"Item {number}", args={"amount": amount})
            for number, amount in enumerate(given["amounts"])
        ],
    )
    pipeline = begin(workflow, input={"amounts": [5, 7, 9]})
    assert drain(pipeline, broker) == "committed"
    assert amounts == {"item_0": 5, "item_1": 7, "item_2": 9}
    assert sorted(verbs(world))[:3] == ["item_0.commit", "item_0.stage", "item_1.commit"]
    world.assert_agrees(pipeline)


def test_a_step_that_is_switched_off_is_not_in_new_pipelines(begin, broker, world, define):
    off = world.step("sms", tells=True, is_enabled=classmethod(lambda _cls: False))
    pipeline = begin(define(world.step("logo"), off))
    assert drain(pipeline, broker) == "committed"
    assert list(Step.objects.filter(pipeline=pipeline).values_list("name", flat=True)) == ["logo"]


def test_a_step_that_finds_itself_not_needed_is_skipped_and_has_no_other_jobs(posting, begin, broker, world):
    world.will("logo.stage", Skip("no logo was given"))
    pipeline = begin(posting)
    assert drain(pipeline, broker) == "committed"
    assert "logo.commit" not in verbs(world)
    assert Event.objects.get(pipeline=pipeline, type="skipped").data == {"why": "no logo was given"}


def test_a_skipped_step_is_not_rolled_back(posting, begin, broker, world):
    world.will("logo.stage", Skip())
    world.will("email.stage", Refused("no"))
    pipeline = begin(posting)
    assert drain(pipeline, broker, within=SOON) == "rolled_back"
    assert not [entry for entry in world.calls if (entry.step, entry.verb) == ("logo", "rollback")]


def test_a_pipeline_whose_every_step_is_skipped_is_committed(begin, broker, world, define):
    workflow = define(
        world.step("logo"), world.step("email", tells=True), result=lambda _input, steps: {"steps": sorted(steps)}
    )
    world.will("logo.stage", Skip())
    world.will("email.stage", Skip())
    pipeline = begin(workflow)
    assert drain(pipeline, broker) == "committed"
    assert types(pipeline)[-2:] == ["decided_commit", "pipeline_committed"]
    assert Pipeline.objects.get(pk=pipeline).result == {"steps": ["email", "logo"]}


def test_a_skipped_pivot_lets_the_rest_be_committed(posting, begin, broker, world):
    world.will("payment.stage", Skip("free of charge"))
    pipeline = begin(posting)
    assert drain(pipeline, broker) == "committed"
    assert "payment.commit" not in verbs(world)


def test_a_rollback_of_nothing_ends_at_once(posting, begin, broker, world):
    pipeline = begin(posting)
    actions.cancel(pipeline)
    assert state_of(pipeline) == "rolled_back"
    assert types(pipeline)[-6:] == ["decided_rollback", *["skipped"] * 4, "pipeline_rolled_back"]
    broker.deliver_all()
    assert world.calls == []


def test_a_step_that_asks_for_it_is_rolled_back_though_it_was_never_attempted(begin, broker, world, define):
    workflow = define(world.step("logo"), world.step("email", tells=True, undo_pending=True))
    world.will("logo.stage", Refused("no"))
    pipeline = begin(workflow)
    assert drain(pipeline, broker, within=SOON) == "rolled_back"
    assert verbs(world) == ["logo.rollback", "email.rollback"]


def test_verbs_that_are_left_out_do_nothing(begin, broker, world, define):
    pipeline = begin(define(world.step("logo", commit=None), world.step("mark", stage=None, rollback=None)))
    assert drain(pipeline, broker) == "committed"
    assert verbs(world) == ["logo.stage", "mark.commit"]


# --- secrets and attachments ------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["staged", "refused", "skipped"])
def test_secrets_and_attachments_are_erased_with_the_write_that_uses_them_up(ending, begin, broker, world, define):
    seen = []

    def stage(run):
        seen.append((run.secret("password"), run.attachment("logo")))
        if ending == "refused":
            raise Refused("no")
        return Skip() if ending == "skipped" else None

    workflow = define(
        world.step("account", secrets=("password",), attachments=("logo",)),
        world.step("other", secrets=("pin",)),
    )
    world.will("account.stage", stage)
    world.will("other.stage", Unavailable("down"))
    pipeline = begin(workflow, secrets={"password": "hunter2", "pin": "1"}, attachments={"logo": b"png"})
    assert "hunter2" not in str(Pipeline.objects.get(pk=pipeline).secrets)
    broker.deliver_all()
    assert seen == [("hunter2", b"png")]
    assert set(Pipeline.objects.get(pk=pipeline).secrets) == (set() if ending == "refused" else {"pin"})
    assert not Attachment.objects.filter(pipeline=pipeline).exists()
    drain(pipeline, broker)


def test_what_no_step_uses_up_is_erased_at_the_decision(posting, begin, broker):
    pipeline = begin(posting, secrets={"password": "x"}, attachments={"logo": b"png"})
    drain(pipeline, broker)
    assert Pipeline.objects.get(pk=pipeline).secrets == {}
    assert not Attachment.objects.filter(pipeline=pipeline).exists()


# --- what a process does not know, or may not begin ---------------------------------------------------------


def test_a_worker_that_does_not_know_the_workflow_leaves_the_job_uncounted_and_due_in_ten_seconds(begin, broker, world):
    step = world.step("logo")
    with throwaway(step, name="elsewhere") as workflow:
        pipeline = begin(workflow)
    broker.deliver_all()
    row = Step.objects.get(pipeline=pipeline)
    assert (row.state, row.stage_attempts, row.fence) == ("pending", 0, 0)
    assert timedelta(seconds=9) < until_due(pipeline) <= timedelta(seconds=10)
    assert types(pipeline) == ["accepted"]
    with throwaway(step, name="elsewhere"):
        assert drain(pipeline, broker) == "committed"


def test_a_worker_that_does_not_know_the_version_leaves_the_job(begin, broker, world, define):
    workflow = define(world.step("logo"), name="versioned", version=2)
    pipeline = begin(workflow)
    registry.forget(workflow)
    with throwaway(world.step("logo"), name="versioned", version=3):
        broker.deliver_all()
        assert Step.objects.get(pipeline=pipeline).stage_attempts == 0
    registry.register(workflow)


def test_a_worker_that_does_not_know_the_next_step_ends_its_own_and_leaves_that_one(begin, broker, world):
    logo, mark = world.step("logo"), world.step("mark")
    with throwaway(logo, mark, name="growing") as workflow:
        pipeline = begin(workflow)
    with throwaway(logo, name="growing"):
        broker.deliver_all()
        states = dict(Step.objects.filter(pipeline=pipeline).values_list("name", "state"))
        assert states == {"logo": "staged", "mark": "pending"}
        assert Step.objects.get(pipeline=pipeline, name="mark").stage_attempts == 0
    with throwaway(logo, mark, name="growing"):
        assert drain(pipeline, broker) == "committed"


def test_while_staging_is_paused_nothing_new_is_begun_and_the_begun_goes_on(posting, begin, broker, world, tune):
    world.will("posting.stage", Unavailable("down"))
    old = begin(posting)
    broker.deliver_all()
    tune(PAUSE_STAGING=True)
    new = begin(posting)
    broker.deliver_all()
    assert types(new) == ["accepted"]
    assert until_due(new) > timedelta(seconds=9)
    advance(timedelta(minutes=30), old)
    Pipeline.objects.filter(pk=old).update(deadline_at=Pipeline.objects.get(pk=new).deadline_at)
    assert drain(old, broker) == "committed"
    assert types(new) == ["accepted"]
    for _ in range(8):  # paused for longer than staging may take
        advance(timedelta(minutes=2), new)
        sweep_once()
        broker.deliver_all()
    tune(PAUSE_STAGING=False)
    assert drain(new, broker) == "committed"


def test_a_workflow_that_plans_nothing_or_something_impossible_is_not_started(begin, world, define):
    logo, pay, fee = world.step("logo"), world.step("pay", pivot=True), world.step("fee", pivot=True)
    stranger = world.step("stranger")
    plans = {
        "no step": [],
        "two steps named": [Planned(logo), Planned(logo)],
        "not among its steps": [Planned(stranger)],
        "two pivots": [Planned(pay), Planned(fee)],
    }
    for complaint, plan in plans.items():
        with pytest.raises(PipelineError, match=complaint):
            begin(define(logo, pay, fee, plan=lambda _given, plan=plan: plan))
    assert not Pipeline.objects.exists()


# --- cancellation -------------------------------------------------------------------------------------------


def test_a_cancelled_pipeline_rolls_back_and_says_so(posting, begin, broker, world):
    world.will("payment.stage", Unavailable("down"))
    pipeline = begin(posting)
    broker.deliver_all()
    actions.cancel(pipeline)
    assert drain(pipeline, broker) == "rolled_back"
    world.assert_agrees(pipeline)
    row = Pipeline.objects.get(pk=pipeline)
    assert row.is_cancelled
    assert row.error["code"] == "cancelled"


def test_a_cancellation_does_not_wait_for_the_next_attempt_of_a_failing_stage(posting, begin, broker, world):
    world.will("logo.stage", *[Unavailable("down")] * 8)
    pipeline = begin(posting)
    broker.deliver_all()
    for _ in range(6):
        advance(timedelta(seconds=31), pipeline)
        sweep_once()
        broker.deliver_all()
    assert until_due(pipeline) > timedelta(seconds=10)
    actions.cancel(pipeline)
    broker.deliver_all()
    assert state_of(pipeline) == "rolled_back", history(pipeline)


def test_a_decided_pipeline_cannot_be_cancelled(posting, begin, broker, world):
    world.will("payment.commit", Unknown("timeout"))
    pipeline = begin(posting)
    broker.deliver_all()
    assert state_of(pipeline) == "committing"
    with pytest.raises(IllegalAction, match="decided already"):
        actions.cancel(pipeline)
    assert drain(pipeline, broker) == "committed"
    with pytest.raises(IllegalAction):
        actions.cancel(pipeline)
