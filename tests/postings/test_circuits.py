"""A provider that is down for everybody: its circuit opens, nothing is lost, and all come back."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from pipeline.models import Circuit, Pipeline, Step
from pipeline.retry import RetryPolicy
from pipeline.testing import SOON, ScriptedBroker, advance, drain, drain_all, state_of
from tests.postings.conftest import Outside

Submit = Callable[..., uuid.UUID]
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def patient(settings: Any) -> None:
    """Only `advance` brings it about that a circuit is tried again, however slow the machine."""
    settings.PIPELINE = settings.PIPELINE | {"CIRCUIT_RETRY": RetryPolicy(first=MINUTE, factor=2, cap=4 * MINUTE)}


def _asked(outside: Outside) -> int:
    return sum(fault["calls"] for fault in outside.sandbox.faults())


def test_while_stripe_is_down_submissions_are_accepted_and_wait_and_then_all_are_paid_once(
    outside: Outside, broker: ScriptedBroker, submit: Submit
) -> None:
    outside.fault("stripe", None, "down")
    first = [submit(has_logo=False) for _ in range(5)]
    broker.deliver_all()
    assert Circuit.objects.get(provider="stripe").opened_at is not None
    asked = _asked(outside)
    late = [submit(has_logo=False) for _ in range(3)]
    broker.deliver_all()
    assert _asked(outside) == asked
    assert set(Step.objects.filter(pipeline__in=late, name="payment").values_list("stage_attempts", "state")) == {
        (0, "pending")
    }
    outside.sandbox.http.delete("/_sandbox/faults").raise_for_status()
    drain_all([*first, *late], broker)
    assert Circuit.objects.get(provider="stripe").opened_at is None
    for pipeline in [*first, *late]:
        assert state_of(pipeline) == "committed"
        assert outside.effects(pipeline).count("captured") == 1
    assert max(Step.objects.filter(pipeline__in=late, name="payment").values_list("stage_attempts", flat=True)) == 1


@pytest.mark.parametrize(("provider", "route"), [("stripe", "payment_intents.create"), ("s3", "objects.put")])
def test_a_provider_that_drips_its_answers_opens_its_circuit_too(
    outside: Outside, broker: ScriptedBroker, submit: Submit, provider: str, route: str
) -> None:
    outside.fault(provider, route, "drip_head", seconds=0.3)
    pipelines = [submit() for _ in range(5)]
    broker.deliver_all()
    row = Circuit.objects.get(provider="storage" if provider == "s3" else provider)
    assert row.opened_at is not None
    outside.sandbox.http.delete("/_sandbox/faults").raise_for_status()
    drain_all(pipelines, broker)
    for pipeline in pipelines:
        assert state_of(pipeline) == "committed"
        outside.assert_agrees(pipeline)


def test_staging_s_deadline_passes_while_stripe_is_down_and_rolling_back_does_not_need_it(
    outside: Outside, broker: ScriptedBroker, submit: Submit
) -> None:
    outside.fault("stripe", None, "down")
    for _ in range(5):
        submit(has_logo=False)
    broker.deliver_all()
    pipeline = submit()
    broker.deliver_all()
    asked = _asked(outside)
    Circuit.objects.update(retry_at="2100-01-01T00:00:00Z")
    advance(timedelta(minutes=11), pipeline)
    assert drain(pipeline, broker, within=SOON) == "rolled_back"
    assert _asked(outside) == asked
    assert Pipeline.objects.get(pk=pipeline).error["code"] == "staging_timed_out"
    assert outside.effects(pipeline) == ["object_put", "object_deleted", "email_accepted"]


def test_a_pipeline_that_nobody_looked_at_for_long_asks_stripe_before_it_says_that_nothing_was_charged(
    outside: Outside, broker: ScriptedBroker, submit: Submit
) -> None:
    """Its rows may be a backup's, as after a restore without its command."""
    outside.fault("stripe", "payment_intents.list", "latency", seconds=0)
    pipeline = submit()
    advance(timedelta(minutes=30), pipeline)
    assert drain(pipeline, broker, within=SOON) == "rolled_back"
    assert _asked(outside) == 1
    outside.assert_agrees(pipeline)


def test_a_storage_that_asks_for_fewer_requests_is_left_alone_for_as_long_as_it_says(
    outside: Outside, broker: ScriptedBroker, submit: Submit
) -> None:
    outside.fault("s3", "objects.put", "rate_limit", seconds=200)
    pipelines = [submit() for _ in range(5)]
    broker.deliver_all()
    circuit = Circuit.objects.get(provider="storage")
    assert circuit.retry_at is not None
    assert circuit.opened_at is not None
    assert timedelta(seconds=199) < circuit.retry_at - circuit.opened_at <= timedelta(seconds=201)
    outside.sandbox.http.delete("/_sandbox/faults").raise_for_status()
    drain_all(pipelines, broker)
    assert {state_of(pipeline) for pipeline in pipelines} == {"committed"}
