"""Making a pipeline: durable in one transaction, idempotent for ever by (scope, key)."""

import uuid
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.utils.crypto import constant_time_compare

from pipeline import crashpoints, dispatch, start_statements, transitions
from pipeline.conf import conf
from pipeline.errors import PipelineError
from pipeline.ids import new_pipeline_id
from pipeline.models import Pipeline, Step
from pipeline.plan import Job
from pipeline.secrets import encrypt
from pipeline.states import TERMINAL, Verb
from pipeline.transitions import Submission
from pipeline.workflow import Planned, Workflow


class KeyReused(PipelineError):
    """The idempotency key was used before, with different content."""


class TooManyOpen(PipelineError):
    """The client has as many unfinished pipelines as it may have."""


@dataclass(frozen=True, slots=True)
class Started:
    """The pipeline of this key; `is_new` tells whether this call made it, of what and when."""

    id: uuid.UUID
    is_new: bool
    submission: Submission | None = None
    at: datetime | None = None

    def made(self) -> tuple[Pipeline, list[Step]] | None:
        """The rows that this call stored, without reading them back: for the API's resource, not for saving."""
        return _as_made(self.submission, self.at) if self.submission and self.at else None


def start(
    workflow: type[Workflow],
    *,
    input: Mapping[str, Any],
    key: str,
    fingerprint: str = "",
    scope: str = "anonymous",
    user: int | None = None,
    client: str = "",
    secrets: Mapping[str, str] | None = None,
    attachments: Mapping[str, bytes] | None = None,
) -> Started:
    """Store a pipeline and, once that is committed, publish its chain (best effort).

    The same key with the same fingerprint gives the same pipeline, also concurrently; KeyReused with another
    fingerprint; TooManyOpen over the client's ceiling. Call it inside a transaction to store more with it.
    """
    planned = _checked(workflow, workflow.plan(input))
    submission = Submission(
        id=new_pipeline_id(),
        workflow=workflow.name,
        version=workflow.version,
        scope=scope,
        key=key,
        fingerprint=fingerprint,
        user=user,
        client=client,
        input=input,
        secrets={name: encrypt(value) for name, value in (secrets or {}).items()},
        steps=[_row(position, step) for position, step in enumerate(planned)],
        waves=[step.kind.wave().value for step in planned],
        attachments=attachments or {},
    )
    jobs = [Job(submission.id, step["name"], Verb.STAGE) for step in submission.steps]
    ceiling = conf().MAX_OPEN_PER_CLIENT if client else 0
    # Without a ceiling to keep it is one statement, and a transaction by itself.
    with transaction.atomic() if ceiling else nullcontext():
        if ceiling:
            _queue_up(client)
        made_at = transitions.create(submission)
        if made_at is None:
            return _existing(scope, key, fingerprint)
        if ceiling:
            _keep_below(ceiling, client)
        crashpoints.reached("submission", "accept", "stored")
        transaction.on_commit(lambda: _publish(jobs), robust=True)
    return Started(submission.id, is_new=True, submission=submission, at=made_at)


def find(scope: str, key: str, fingerprints: Sequence[str]) -> Started | None:
    """The pipeline that this key has made already, if any; KeyReused when its content was another."""
    found = start_statements.FIND.row({"scope": scope, "key": key})
    if found is None:
        return None
    if not any(constant_time_compare(found["fingerprint"], known) for known in fingerprints):
        raise KeyReused(
            "This Idempotency-Key was used for different content, perhaps by somebody else: "
            "send a new random one, such as a UUID."
        )
    return Started(found["id"], is_new=False)


def _existing(scope: str, key: str, fingerprint: str) -> Started:
    found = find(scope, key, [fingerprint])
    assert found is not None, "a pipeline is never deleted"
    return found


def _as_made(submission: Submission, at: datetime) -> tuple[Pipeline, list[Step]]:
    pipeline = Pipeline(
        id=submission.id,
        workflow=submission.workflow,
        version=submission.version,
        step_count=len(submission.steps),
        seq=1,
        created_at=at,
        updated_at=at,
    )
    return pipeline, [Step(pipeline=pipeline, **step) for step in submission.steps]


def _checked(workflow: type[Workflow], planned: Sequence[Planned]) -> Sequence[Planned]:
    """The plan, if a pipeline can run by it; PipelineError tells its author what is wrong."""
    names = [step.name or step.kind.name for step in planned]
    if not planned:
        raise PipelineError(f"{workflow.name} plans no step for this input: a pipeline needs one.")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise PipelineError(f"{workflow.name} plans two steps named {twice[0]!r}: give each Planned a name.")
    if foreign := [step.kind.name for step in planned if step.kind not in workflow.steps]:
        raise PipelineError(f"{workflow.name} plans {foreign[0]!r}, which is not among its steps: add it there.")
    if sum(step.kind.pivot for step in planned) > 1:
        raise PipelineError(f"{workflow.name} plans two pivots: only one commit may still be refused.")
    return planned


def _row(position: int, step: Planned) -> dict[str, Any]:
    kind = step.kind
    return {
        "position": position,
        "name": step.name or kind.name,
        "kind": kind.name,
        "args": dict(step.args),
        "label": step.label or kind.label,
        "doing": kind.doing or kind.label.lower(),
        "wave": kind.wave().value,
        "undo_pending": kind.undo_pending,
    }


def _queue_up(client: str) -> None:
    """One client's submissions wait for each other here, so that the count is exact."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [client])


def _keep_below(ceiling: int, client: str) -> None:
    """After the row is made, which is undone then: a key that has its pipeline already gets it, ceiling or not."""
    if Pipeline.objects.filter(client=client).exclude(state__in=TERMINAL).count() > ceiling:
        raise TooManyOpen(f"There are {ceiling} unfinished submissions already: wait until one of them has ended.")


def _publish(jobs: list[Job]) -> None:
    crashpoints.reached("submission", "accept", "committed")
    dispatch.publish_chain(jobs)
    crashpoints.reached("submission", "accept", "published")
