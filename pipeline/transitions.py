"""The only writer of state. Each function is one guarded statement; None means the guard did not hold: the
caller lost a race and stops quietly.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final, NamedTuple

from pipeline import circuit_statements, db, start_statements, statements, sweep_statements
from pipeline.conf import conf
from pipeline.db import Constant, Statement, to_array, to_json
from pipeline.owner_session import LOCK_CLASS
from pipeline.plan import Job, PipelineView, StepView, Undo, to_undo
from pipeline.registry import known_jobs, providers
from pipeline.states import BEGINS_FROM, DONE, PHASES, RUNNING, EventType, PipelineState, StepState, Verb

Json = Mapping[str, Any]

_STARTED = {
    Verb.STAGE: EventType.STAGING_STARTED,
    Verb.COMMIT: EventType.COMMIT_STARTED,
    Verb.ROLLBACK: EventType.ROLLBACK_STARTED,
}
_BEGIN: Final[Mapping[Verb, dict[str, Constant]]] = {
    verb: {
        "begin_verb": verb.value,
        "begin_state": RUNNING[verb].value,
        "begin_event": _STARTED[verb].value,
        "begin_phases": to_array(tuple(PHASES[verb])),
        "begin_from": to_array(tuple(BEGINS_FROM[verb])),
    }
    for verb in Verb
}
_BEGIN_NOTHING: Final[dict[str, Constant]] = dict.fromkeys(
    ("begin", "begin_verb", "begin_state", "begin_event", "provider")
) | dict.fromkeys(("begin_phases", "begin_from"), "{}")


# What is the same for every job of a kind is written into its statement, once: PostgreSQL plans it away.
@cache
def _claim(verb: Verb, known: str, providers: str, lease: timedelta, *, despite: bool) -> Statement:
    same: dict[str, Constant] = {"known": known, "providers": providers, "lease": lease, "despite": despite}
    return statements.CLAIM.given(_BEGIN[verb] | same)


@cache
def _advance(
    verb: Verb, then: Verb | None, known: str, lease: timedelta, look_again: timedelta, *, is_skipped: bool, calls: bool
) -> Statement:
    """`calls`: whether `then` calls a provider, whose circuit may be open."""
    done = (StepState.SKIPPED if is_skipped else DONE[verb]).value
    same: dict[str, Constant] = {
        "running": RUNNING[verb].value,
        "done_state": done,
        "done_event": done,  # the event is named as the state that is reached
        "is_stage": verb == Verb.STAGE,
        "less": is_skipped or verb != Verb.STAGE,
        "despite": False,
        "known": known,
        "lease": lease,
        "look_again": look_again,
    }
    following = _BEGIN[then] if then else _BEGIN_NOTHING
    return statements.ADVANCE.given(same | following | ({} if calls else {"provider": None}))


_OPEN = [PipelineState.STAGING, PipelineState.WAITING]


@dataclass(frozen=True, slots=True)
class Begun:
    """A job that this process owns now: its step, fence and lease, and what was recorded before."""

    step: str
    verb: Verb
    owner: int
    fence: int
    attempt: int
    lease_until: datetime
    verb_started_at: datetime
    data: dict[str, Any]
    calls: dict[str, Any]
    has_attention: bool
    now: datetime  # the database's clock at the claim
    troubles: int = 0  # outages of its provider since that last answered


class Following(NamedTuple):
    """A job to begin in the write that records another, unless the circuit of the provider that it calls is open."""

    job: Job
    provider: str  # empty: it calls none


@dataclass(frozen=True, slots=True)
class Advanced:
    """A recorded job: what the pipeline is now, and the next job if this process began it in the same write."""

    state: str
    was: str
    pivots: int
    effects: int
    tells: int
    deadline_at: datetime
    was_seq: int
    seq: int
    begun: Begun | None


@dataclass(frozen=True, slots=True)
class Submission:
    """Everything that `create` stores. `steps` are rows of the definition, `attachments` bytes by name."""

    id: uuid.UUID
    workflow: str
    version: int
    scope: str
    key: str
    fingerprint: str
    user: int | None
    client: str
    input: Json
    secrets: Json
    steps: Sequence[Json]
    waves: Sequence[int]
    attachments: Mapping[str, bytes]


def create(submission: Submission) -> datetime | None:
    """Store a new pipeline, at that time; None when its scope and key are taken already."""
    row = start_statements.CREATE.row(
        {
            "id": submission.id,
            "workflow": submission.workflow,
            "version": submission.version,
            "scope": submission.scope,
            "key": submission.key,
            "fingerprint": submission.fingerprint,
            "user": submission.user,
            "client": submission.client,
            "input": to_json(submission.input),
            "secrets": to_json(submission.secrets),
            "steps": to_json(submission.steps),
            "step_count": len(submission.steps),
            "pivots": submission.waves.count(0),
            "effects": submission.waves.count(1),
            "tells": submission.waves.count(2),
            "attachment_names": list(submission.attachments),
            "attachment_contents": list(submission.attachments.values()),
            "look_again": conf().REPUBLISH_AFTER,
            "deadline": conf().STAGING_DEADLINE,
        },
    )
    return row["at"] if row is not None else None


def claim(job: Job, owner: int, *, despite: bool = False) -> tuple[Begun, PipelineView] | None:
    """Begin the job if it is its turn, it is due and nobody owns it; `despite` its provider's open circuit."""
    settings = conf()
    known = to_array(known_jobs())
    row = _claim(job.verb, known, providers(job.verb), settings.LEASE, despite=despite).row(
        {"pipeline": job.pipeline, "begin": job.step, "owner": owner, "paused": settings.PAUSE_STAGING}
    )
    if row is None:
        return None
    view = PipelineView(
        id=job.pipeline,
        workflow=row["workflow"],
        version=row["version"],
        state=row["state"],
        input=row["input"],
        secrets=row["secrets"],
        deadline_at=row["deadline_at"],
        reason=row["reason"],
        is_cancelled=row["is_cancelled"],
        created_at=row["created_at"],
        seq=row["seq"],
        steps=_steps(row),
    )
    return _begun(row, job.verb, owner), look_again(view) if row["is_stale"] else view


def hold_back(job: Job, until: datetime, error: Json) -> datetime | None:
    """An open circuit turned the job away: when it is due again, or None if it was not the circuit."""
    params = {"until": until, "error": to_json(error), "attention_after": conf().ATTENTION_AFTER}
    begin = {"begin": job.step, "known": to_array(known_jobs()), "providers": providers(job.verb), "despite": False}
    row = circuit_statements.HOLD_BACK.row({"pipeline": job.pipeline} | _BEGIN[job.verb] | begin | params)
    return row["due_at"] if row else None


def look_again(view: PipelineView) -> PipelineView:
    """The same with all steps as they are now, and the `seq` that they belong to."""
    row = statements.LOOK.row({"pipeline": view.id})
    assert row is not None
    return view._replace(seq=row["seq"], steps=_steps(row))


def advance(
    job: Job,
    begun: Begun,
    *,
    data: Json,
    note: Json,
    is_skipped: bool = False,
    erase: Sequence[str] = (),
    seen_seq: int,
    result: Json | None = None,
    then: Following | None = None,
) -> Advanced | None:
    """Record that the job ended well, or that its step is skipped; begin `then` in the same write.

    `erase` names the secrets and attachments that this step used up. `result` is what the pipeline answers if
    this ends its commit, made from the steps as they were at `seen_seq`: if others have moved since, nothing
    is written.
    """
    settings = conf()
    row = _advance(
        job.verb,
        then.job.verb if then else None,
        to_array(known_jobs()),
        settings.LEASE,
        settings.REPUBLISH_AFTER,
        is_skipped=is_skipped,
        calls=bool(then and then.provider),
    ).row(
        _guard(job, begun)
        | {
            "begin": then.job.step if then else None,
            "provider": then.provider if then else None,
            "by_owner": begun.owner or None,
            "data": to_json(data),
            "note": to_json(note),
            "erase": to_array(tuple(erase)),
            "marks": int(begun.has_attention),
            "seen_seq": seen_seq,
            "result": to_json(result) if result is not None else None,
        },
    )
    return _advanced(row, then, begun.owner) if row is not None else None


def fail(
    job: Job, begun: Begun, *, error: Json, delay: timedelta, mark: bool, until: datetime | None = None
) -> str | None:
    """Record a failed attempt and when the next one is due; `mark` asks for a person. The pipeline's state.

    With `until` it is due then, and what makes a job overdue counts from there.
    """
    given = {"verb": job.verb.value, "error": to_json(error), "delay": delay, "mark": mark, "until": until}
    row = statements.FAIL.row(_guard(job, begun) | given)
    return row["state"] if row else None


def wait(job: Job, begun: Begun, *, data: Json, next_action: Json, deadline: datetime, delay: timedelta) -> str | None:
    """Record that the customer is needed, until the deadline; look again after the delay. The state then."""
    row = statements.WAIT.row(
        _guard(job, begun)
        | {"data": to_json(data), "next_action": to_json(next_action), "deadline": deadline, "delay": delay},
    )
    return row["state"] if row else None


def turn_back_by_owner(
    job: Job, begun: Begun, steps: Sequence[StepView], *, event: EventType, error: Json, failure: Json
) -> str | None:
    """The job's owner found that the pipeline cannot go on: decide to roll back. The state then."""
    states = [PipelineState.COMMITTING] if job.verb == Verb.COMMIT else _OPEN
    asked = to_array(tuple(step.name for step in steps if step.undo_pending))
    return _turn_back(
        _guard(job, begun) | {"seen_seq": None, "failure": to_json(failure), "asked": asked},
        states,
        to_undo(steps),
        event=event,
        error=error,
        note=failure,
        is_cancelled=False,
    )


def turn_back(pipeline: uuid.UUID, seq: int, undo: Undo, *, event: EventType, error: Json, note: Json) -> str | None:
    """Somebody outside the jobs (customer, operator) turns it back, having seen it at `seq`. The state then."""
    nobody = {"pipeline": pipeline, "step": None, "running": None, "fence": None, "owner": None, "attempt": None}
    return _turn_back(
        nobody | {"seen_seq": seq, "failure": None, "asked": "{}"},
        _OPEN,
        undo,
        event=event,
        error=error,
        note=note,
        is_cancelled=event == EventType.CANCELLED,
    )


def _turn_back(
    guard: dict[str, Any],
    states: Sequence[str],
    undo: Undo,
    *,
    event: EventType,
    error: Json,
    note: Json,
    is_cancelled: bool,
) -> str | None:
    row = statements.TURN_BACK.row(
        guard
        | {
            "from_states": to_array(tuple(states)),
            "event": event.value,
            "error": to_json(error),
            "note": to_json(note),
            "pivots": undo.pivots,
            "effects": undo.effects,
            "tells": undo.tells,
            "left": undo.total,
            "is_cancelled": is_cancelled,
            "look_again": conf().REPUBLISH_AFTER,
        },
    )
    return row["state"] if row else None


def record(job: Job, begun: Begun, data: Json, calls: Json) -> datetime | None:
    """Merge into the step's data and calls while its owner runs it; the database's time."""
    row = statements.RECORD.row(_guard(job, begun) | {"data": to_json(data), "calls": to_json(calls)})
    return row["now"] if row else None


def release_abandoned() -> list[tuple[uuid.UUID, str]]:
    """Free every job whose owner is gone or whose lease has ended; (pipeline, step) of each, due at once."""
    rows = sweep_statements.ABANDONED.rows(
        {"grace": conf().OWNER_GRACE, "lock_class": LOCK_CLASS, "batch": conf().SWEEP_BATCH},
    )
    freed: list[tuple[uuid.UUID, str]] = []
    for row in rows:
        guard = {"pipeline": row["pipeline_id"], "step": row["name"], "fence": row["fence"], "owner": row["owner"]}
        if sweep_statements.RELEASE.row(guard | {"why": row["why"], "attention_after": conf().ATTENTION_AFTER}):
            freed.append((row["pipeline_id"], row["name"]))
    return freed


def postpone(pipeline: uuid.UUID, seq: int) -> None:
    """Leave a job untouched for a while: this process does not know it, or is told to start nothing new."""
    settings = conf()
    params = {
        "pipeline": pipeline,
        "seen_seq": seq,
        "delay": settings.POSTPONE,
        "paused": settings.PAUSE_STAGING,
        "deadline": settings.STAGING_DEADLINE,
    }
    statements.POSTPONE.count(params)


def _guard(job: Job, begun: Begun) -> dict[str, Any]:
    return {
        "pipeline": job.pipeline,
        "step": job.step,
        "running": RUNNING[job.verb].value,
        "fence": begun.fence,
        "owner": begun.owner,
        "attempt": begun.attempt,
    }


def _steps(row: db.Row) -> tuple[StepView, ...]:
    return tuple(StepView(**step) for step in row["steps"])


def _advanced(row: db.Row, then: Following | None, owner: int) -> Advanced:
    return Advanced(
        state=row["state"],
        was=row["was"],
        pivots=row["pivots"],
        effects=row["effects"],
        tells=row["tells"],
        deadline_at=row["deadline_at"],
        was_seq=row["was_seq"],
        seq=row["seq"],
        begun=_begun(row, then.job.verb, owner) if then is not None and row["begun"] else None,
    )


def _begun(row: db.Row, verb: Verb, owner: int) -> Begun:
    return Begun(
        step=row["begun"],
        verb=verb,
        owner=owner,
        fence=row["fence"],
        attempt=row["attempt"],
        lease_until=row["lease_until"],
        verb_started_at=row["verb_started_at"],
        data=row["data"] or {},
        calls=row["calls"] or {},
        has_attention=row["attention"],
        now=row["now"],
        troubles=row["troubles"] or 0,
    )
