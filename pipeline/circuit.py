"""A circuit per provider: while it is open, nobody attempts the provider's jobs (docs/decisions/0003-circuits.md).

What an outage means is a pure function; its state is one row, which every worker sees with its next claim.
"""

import json
import logging
import random
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

from django.db import transaction

from pipeline import circuit_statements, transitions
from pipeline.conf import Conf, conf
from pipeline.db import to_json
from pipeline.errors import IllegalAction, Misconfigured, PipelineError, Refused, StepFailure
from pipeline.models import Circuit, Pipeline, Step
from pipeline.plan import Job
from pipeline.registry import find, providers
from pipeline.run import Run
from pipeline.states import PipelineState, Verb
from pipeline.workflow import Step as Kind

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class State:
    """A circuit: outages since the provider last answered, whose they were, and what has come of them."""

    failures: int = 0
    failing: tuple[str, ...] = ()  # the pipelines of the outages that count towards opening it, repeats included
    openings: int = 0
    opened_at: datetime | None = None
    retry_at: datetime | None = None


class Way(Enum):
    """How a job that was not claimed may be claimed in spite of an open circuit."""

    SHUT = "not at all"
    FREE = "it asks the provider nothing"
    PROBE = "it finds out whether the provider is back"


def after_outage(
    state: State,
    *,
    pipeline: str,
    is_probe: bool,
    is_for_all: bool = False,
    now: datetime,
    chance: float,
    retry_after: timedelta | None,
    conf: Conf,
) -> State:
    """The circuit after one more outage. Of an open one only its probe's counts. `chance` is in [0, 1).

    CIRCUIT_AFTER outages open it, of which one pipeline may add about half: what it asks may fail for ever while
    others pass. An outage that `is_for_all` opens it at once.
    """
    failing = _counting(state.failing, pipeline, conf.CIRCUIT_AFTER)
    counted = replace(state, failures=state.failures + 1, failing=failing)
    opens = state.opened_at is None and conf.CIRCUIT_AFTER > 0 and (is_for_all or len(failing) >= conf.CIRCUIT_AFTER)
    if not opens and not (state.opened_at is not None and is_probe):
        return counted
    openings = state.openings + 1
    retry_at = now + conf.CIRCUIT_RETRY.delay(openings, chance, retry_after)
    return replace(counted, openings=openings, opened_at=state.opened_at or now, retry_at=retry_at)


def _counting(failing: tuple[str, ...], pipeline: str, needed: int) -> tuple[str, ...]:
    """The outages that count, with one more of this pipeline unless its share is used up."""
    share = (needed + 1) // 2  # three of five: two pipelines together can open a circuit, one alone cannot
    return (*failing, pipeline)[:needed] if failing.count(pipeline) < share else failing


def held_until(state: State, *, now: datetime, chance: float, conf: Conf) -> datetime:
    """When a job looks again: some time after the next probe, so that all do not come at once."""
    assert state.retry_at is not None
    spread = conf.CIRCUIT_RETRY.delay(state.openings, 0) / 2
    return max(state.retry_at, now) + chance * spread


def learn(
    provider: str,
    outcome: StepFailure | object,
    *,
    pipeline: uuid.UUID,
    troubles: int,
    is_probe: bool = False,
    has_called: bool = True,
) -> None:
    """Count an attempt's outcome for its provider. A success writes nothing unless there were troubles at its claim."""
    if isinstance(outcome, StepFailure) and outcome.outage:
        _count(provider, outcome, str(pipeline), is_probe=is_probe)
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


def _count(provider: str, failure: StepFailure, pipeline: str, *, is_probe: bool) -> None:
    with transaction.atomic():
        row = circuit_statements.LOCK.row({"provider": provider})
        assert row is not None
        now = row.pop("now")
        before = State(**row | {"failing": tuple(row["failing"])})
        after = after_outage(
            before,
            pipeline=pipeline,
            is_probe=is_probe,
            is_for_all=isinstance(failure, Misconfigured),
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
    """A stage past its deadline asks nothing: it turns the pipeline back. Otherwise the step decides."""
    if verb == Verb.STAGE and pipeline.state == PipelineState.STAGING and now >= pipeline.deadline_at:
        return True
    kind = find(pipeline.workflow, pipeline.version).step(step.kind)
    try:
        return not kind().calls_provider(_glance(verb, pipeline, step, kind, now))
    except Exception:  # an author's mistake: the job waits for the circuit
        log.exception("pipeline %s: calls_provider of %s failed", pipeline.pk, step.name)
        return False


def _glance(verb: Verb, pipeline: Pipeline, step: Step, kind: type[Kind], now: datetime) -> Run:
    """The attempt that the job would be, before anybody has claimed it."""
    return Run(
        pipeline_id=pipeline.pk,
        step=step.name,
        verb=verb,
        attempt=0,
        input=pipeline.input,
        args=step.args,
        data=step.data,
        calls=step.calls,
        others={other.name: other.data for other in pipeline.steps.all()},
        reason=pipeline.error,
        is_cancelled=pipeline.is_cancelled,
        created_at=pipeline.created_at,
        ledger=_LooksOnly(now),
        is_restored=step.undo_pending and not kind.undo_pending,
    )


class _LooksOnly:
    """Implements run.Ledger for an attempt that nobody has claimed: it has a clock, and writes nothing."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def check(self) -> None:
        raise PipelineError("calls_provider may only look at what is stored: it calls nobody.")

    def record(self, data: Mapping[str, Any], calls: Mapping[str, Any]) -> None:
        raise PipelineError("calls_provider may only look at what is stored: it records nothing.")

    def secret(self, name: str) -> str:
        raise PipelineError(f"calls_provider may only look at what is stored: the secret {name!r} is for the verbs.")

    def attachment(self, name: str) -> bytes:
        raise PipelineError(f"calls_provider may only look at what is stored: attachment {name!r} is for the verbs.")


def _why(provider: str, opened_at: datetime) -> Mapping[str, Any]:
    detail = f"{provider} is down since {opened_at:%H:%M:%S} UTC: it is tried again by one job at a time"
    return {"kind": "unavailable", "code": "circuit_open", "detail": detail}


def _columns(state: State) -> dict[str, Any]:
    return {
        "failures": state.failures,
        "failing": to_json(state.failing),
        "openings": state.openings,
        "opened_at": state.opened_at,
        "retry_at": state.retry_at,
    }
