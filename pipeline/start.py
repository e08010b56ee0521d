"""Making a pipeline: durable in one transaction, idempotent for ever by (scope, key)."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from pipeline import dispatch, transitions
from pipeline.conf import conf
from pipeline.errors import PipelineError
from pipeline.ids import new_pipeline_id
from pipeline.models import Pipeline
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
    """The pipeline of this key; `is_new` tells whether this call made it."""

    id: uuid.UUID
    is_new: bool


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
    with transaction.atomic():
        _queue_up(client)
        if not transitions.create(submission):
            return _existing(scope, key, fingerprint)
        _keep_below_ceiling(client)
        jobs = [Job(submission.id, step["name"], Verb.STAGE) for step in submission.steps]
        transaction.on_commit(lambda: _publish(jobs), robust=True)
    return Started(submission.id, is_new=True)


def find_by_key(scope: str, key: str, fingerprint: str) -> Started | None:
    """The pipeline that this key has made already, if any; KeyReused when its content was another."""
    if not Pipeline.objects.filter(scope=scope, key=key).exists():
        return None
    return _existing(scope, key, fingerprint)


def _existing(scope: str, key: str, fingerprint: str) -> Started:
    found = Pipeline.objects.values_list("id", "fingerprint").get(scope=scope, key=key)
    if found[1] != fingerprint:
        raise KeyReused("This Idempotency-Key was used for different content: send a new key with new content.")
    return Started(found[0], is_new=False)


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
    if conf().MAX_OPEN_PER_CLIENT and client:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [client])


def _keep_below_ceiling(client: str) -> None:
    """After the row is made, which is undone then: a key that has its pipeline already gets it, ceiling or not."""
    ceiling = conf().MAX_OPEN_PER_CLIENT
    if not ceiling or not client:
        return
    if Pipeline.objects.filter(client=client).exclude(state__in=TERMINAL).count() > ceiling:
        raise TooManyOpen(f"There are {ceiling} unfinished submissions already: wait until one of them has ended.")


def _publish(jobs: list[Job]) -> None:
    dispatch.publish_chain(jobs)
