"""A circuit per provider: while it is open, nobody attempts the provider's jobs (docs/decisions/0003-circuits.md).

What an outage means is a pure function; its state is one row, which every worker sees with its next claim.
"""

import json
import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

from django.db import transaction

from pipeline import circuit_statements, transitions
from pipeline.conf import Conf, conf
from pipeline.db import to_json
from pipeline.errors import IllegalAction, Refused, StepFailure
from pipeline.models import Circuit, Pipeline, Step
from pipeline.plan import Job
from pipeline.registry import providers
from pipeline.states import PipelineState, Verb

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class State:
    """A circuit: outages since the provider last answered, and what has come of them."""

    failures: int = 0
    openings: int = 0
    opened_at: datetime | None = None
    retry_at: datetime | None = None


class Way(Enum):
    """How a job that was not claimed may be claimed in spite of an open circuit."""

    SHUT = "not at all"
    FREE = "it asks the provider nothing"
    PROBE = "it finds out whether the provider is back"


def after_outage(
    state: State, *, is_probe: bool, now: datetime, chance: float, retry_after: timedelta | None, conf: Conf
) -> State:
    """The circuit after one more outage. Of an open one only its probe's counts. `chance` is in [0, 1)."""
    failures = state.failures + 1
    opens = state.opened_at is None and 0 < conf.CIRCUIT_AFTER <= failures
    if not opens and not (state.opened_at is not None and is_probe):
        return State(failures, state.openings, state.opened_at, state.retry_at)
    openings = state.openings + 1
    retry_at = now + conf.CIRCUIT_RETRY.delay(openings, chance, retry_after)
    return State(failures, openings, state.opened_at or now, retry_at)


def held_until(state: State, *, now: datetime, chance: float, conf: Conf) -> datetime:
    """When a job looks again: some time after the next probe, so that all do not come at once."""
    assert state.retry_at is not None
    spread = conf.CIRCUIT_RETRY.delay(state.openings, 0) / 2
    return max(state.retry_at, now) + chance * spread


def learn(
    provider: str, outcome: StepFailure | object, *, troubles: int, is_probe: bool = False, has_called: bool = True
) -> None:
    """What an attempt's outcome tells of its provider. Without troubles at its claim a success writes nothing."""
    if isinstance(outcome, StepFailure) and outcome.outage:
        _count(provider, outcome, is_probe=is_probe)
    elif troubles and has_called and (isinstance(outcome, Refused) or not isinstance(outcome, StepFailure)):
        _answered(provider)


def way_in(job: Job, pipeline: Pipeline, step: Step) -> Way:
    """For a job that could not be claimed. If an open circuit turned it away, it waits for the circuit from here on."""
    provider = provider_of(job.verb, pipeline, step)
    found = circuit_statements.FIND.row({"provider": provider}) if provider else None
    if found is None:
        return Way.SHUT
    now = found.pop("now")
    if _asks_nothing(job.verb, pipeline, step, now):
        return Way.FREE
    if found["retry_at"] <= now and circuit_statements.TAKE_PROBE.count(
        {"provider": provider, "margin": conf().LEASE_MARGIN}
    ):
        return Way.PROBE
    until = held_until(State(**found), now=now, chance=random.random(), conf=conf())  # noqa: S311 - jitter
    transitions.hold_back(job, until, _why(provider, found["opened_at"]))
    return Way.SHUT


def give_back(job: Job) -> None:
    """A probe found its job gone: the next one may probe at once."""
    step = Step.objects.select_related("pipeline").get(pipeline_id=job.pipeline, name=job.step)
    circuit_statements.GIVE_BACK.count({"provider": provider_of(job.verb, step.pipeline, step)})


def provider_of(verb: Verb, pipeline: Pipeline, step: Step) -> str:
    """The provider that the job calls; empty when it calls none."""
    known: dict[str, str] = json.loads(providers(verb))
    return known.get(f"{pipeline.workflow} {pipeline.version} {step.kind}", "")


def close(provider: str, *, by: str, reason: str) -> None:
    """A person knows that the provider is back. IllegalAction when its circuit is not open."""
    row = circuit_statements.CLOSE.row({"provider": provider})
    if row is None or row["opened_at"] is None:
        raise IllegalAction(f"The circuit of {provider} is not open: its jobs are tried as usual.")
    log.warning("circuit of %s: closed by %s (%s); it was open since %s", provider, by, reason, row["opened_at"])


def open_circuits() -> list[Circuit]:
    """Those whose jobs wait."""
    return list(Circuit.objects.exclude(opened_at=None).order_by("provider"))


def told(row: Circuit) -> str:
    """An open circuit in words: `open since 10:03:12, next try 10:04:10 (UTC)`."""
    if row.opened_at is None or row.retry_at is None:
        return "closed"
    since, until = row.opened_at.astimezone(UTC), row.retry_at.astimezone(UTC)
    return f"open since {since:%Y-%m-%d %H:%M:%S} UTC, next try {until:%H:%M:%S} UTC"


def _count(provider: str, failure: StepFailure, *, is_probe: bool) -> None:
    with transaction.atomic():
        row = circuit_statements.LOCK.row({"provider": provider})
        assert row is not None
        now = row.pop("now")
        before = State(**row)
        after = after_outage(
            before,
            is_probe=is_probe,
            now=now,
            chance=random.random(),  # noqa: S311 - jitter
            retry_after=failure.retry_after,
            conf=conf(),
        )
        error = {"kind": failure.kind, "code": failure.code, "detail": failure.detail}
        circuit_statements.WRITE.count({"provider": provider, "error": to_json(error)} | _columns(after))
    if after.openings != before.openings:
        told = "opened" if before.opened_at is None else "a probe failed"
        log.error("circuit of %s: %s (%s); next try at %s", provider, told, failure, after.retry_at)


def _answered(provider: str) -> None:
    row = circuit_statements.CLOSE.row({"provider": provider})
    if row is not None and row["opened_at"] is not None:
        log.warning("circuit of %s: closed, it answers again; it was open since %s", provider, row["opened_at"])


def _asks_nothing(verb: Verb, pipeline: Pipeline, step: Step, now: datetime) -> bool:
    """A stage past its deadline turns the pipeline back; what stored no call has nothing at the provider's."""
    if verb == Verb.STAGE:
        return pipeline.state == PipelineState.STAGING and now >= pipeline.deadline_at
    return verb == Verb.ROLLBACK and not step.calls and not step.undo_pending


def _why(provider: str, opened_at: datetime) -> Mapping[str, Any]:
    detail = f"{provider} is down since {opened_at:%H:%M:%S} UTC: it is tried again by one job at a time"
    return {"kind": "unavailable", "code": "circuit_open", "detail": detail}


def _columns(state: State) -> dict[str, Any]:
    return {
        "failures": state.failures,
        "openings": state.openings,
        "opened_at": state.opened_at,
        "retry_at": state.retry_at,
    }
