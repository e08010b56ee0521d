"""The pipeline resource of the HTTP API, as a pure function of its rows: API, pages and admin show the same."""

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from pipeline.models import Pipeline, Step
from pipeline.states import TERMINAL, PipelineState, StepState

PREFIX: Final = "/api/v1/pipelines/"

_STAGED: Final = frozenset({StepState.STAGED, StepState.COMMITTING, StepState.COMMITTED, StepState.SKIPPED})
_COMMITTED: Final = frozenset({StepState.COMMITTED, StepState.SKIPPED})
_UNDONE: Final = frozenset({StepState.ROLLED_BACK, StepState.SKIPPED})
_BACKWARD: Final = frozenset({PipelineState.ROLLING_BACK, PipelineState.ROLLED_BACK})

# What the customer is told of a failed attempt; details are for the admin and the logs.
_TROUBLE: Final = {
    "refused": "This was refused.",
    "unavailable": "The service is not available at the moment: it is tried again.",
    "unknown": "The outcome is not known yet: it is checked and, if need be, tried again.",
}

Json = dict[str, Any]


def render(pipeline: Pipeline, steps: Sequence[Step], base_url: str) -> Json:
    """The resource. `steps` in order of position; `base_url` like `https://jobs.example.com`, without a slash."""
    return {
        "id": str(pipeline.pk),
        "workflow": pipeline.workflow,
        "version": pipeline.version,
        "state": str(pipeline.state),
        **(_now(pipeline, steps) if pipeline.reaped_at is None else _reaped(pipeline)),
        "steps": [_step(step) for step in steps],
        "needs_attention": pipeline.attention > 0,
        "next_action": _next_action(pipeline),
        "error": pipeline.error,
        "result": pipeline.result,
        "created_at": rfc3339(pipeline.created_at),
        "updated_at": rfc3339(pipeline.updated_at),
        "finished_at": rfc3339(pipeline.finished_at),
        "links": links(pipeline.pk, base_url),
    }


def progress(state: str, steps: Sequence[Step]) -> Json:
    """How far it is: while rolling back `completed` counts what is undone; 100 percent only when committed."""
    staged = sum(step.state in _STAGED for step in steps)
    committed = sum(step.state in _COMMITTED for step in steps)
    undone = sum(step.state in _UNDONE for step in steps)
    percent = 100 * (staged + committed) // max(2 * len(steps), 1)
    return {
        "completed": undone if state in _BACKWARD else staged,
        "total": len(steps),
        "percent": 100 if state == PipelineState.COMMITTED else min(percent, 99),
    }


def message(pipeline: Pipeline, steps: Sequence[Step]) -> str:
    """One sentence for people, such as `2 of 4 steps completed: authorising the payment`."""
    counts = progress(pipeline.state, steps)
    so_far = f"{counts['completed']} of {counts['total']} step{'s' if counts['total'] != 1 else ''}"
    match pipeline.state:
        case PipelineState.WAITING:
            return f"{so_far} completed: waiting for your confirmation"
        case PipelineState.COMMITTING:
            final = sum(step.state in _COMMITTED for step in steps)
            return f"{so_far} completed: making them final ({final} of {counts['total']} done)"
        case PipelineState.COMMITTED:
            return f"{so_far} completed and final"
        case PipelineState.ROLLING_BACK:
            return f"Rolling back: {so_far} undone"
        case PipelineState.ROLLED_BACK:
            return f"Rolled back: {so_far} undone"
    doing = next((step.doing for step in steps if step.state not in _STAGED), "")
    return f"{so_far} completed: {doing}" if doing else f"{so_far} completed"


def links(pipeline: uuid.UUID, base_url: str) -> dict[str, str]:
    """Absolute addresses of everything that belongs to the pipeline."""
    own = f"{base_url}{path(pipeline)}"
    return {
        "self": own,
        "events": f"{own}events/",
        "stream": f"{own}stream/",
        "cancel": f"{own}cancel/",
        "resume": f"{own}resume/",
        "page": f"{base_url}/pipelines/{pipeline}/",
    }


def path(pipeline: uuid.UUID) -> str:
    """The resource's path."""
    return f"{PREFIX}{pipeline}/"


def encoded(resource: Mapping[str, Any]) -> bytes:
    """The resource's bytes: equal content is equal bytes."""
    return json.dumps(resource, separators=(",", ":"), ensure_ascii=False).encode()


def etag(body: bytes) -> str:
    """A strong entity tag of these bytes."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def rfc3339(at: datetime | None) -> str | None:
    """`2026-11-28T09:30:00.123456Z`."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z") if at is not None else None


def _step(step: Step) -> Json:
    return {
        "name": step.name,
        "label": step.label,
        "state": str(step.state),
        "attempts": step.attempts,
        "next_attempt_at": rfc3339(step.due_at),
        "started_at": rfc3339(step.started_at),
        "finished_at": rfc3339(step.finished_at),
        "error": _trouble(step.error),
    }


def _trouble(error: Mapping[str, Any] | None) -> Json | None:
    if error is None:
        return None
    kind = str(error.get("kind", "unknown"))
    return {"code": error.get("code", "unknown"), "detail": _TROUBLE.get(kind, _TROUBLE["unknown"])}


def _now(pipeline: Pipeline, steps: Sequence[Step]) -> Json:
    return {"message": message(pipeline, steps), "progress": progress(pipeline.state, steps)}


def _reaped(pipeline: Pipeline) -> Json:
    """Of a pipeline whose steps are erased: all of them were done, or undone."""
    percent = 100 if pipeline.state == PipelineState.COMMITTED else 0
    return {
        "message": f"{PipelineState(pipeline.state).label}; its details have been erased",
        "progress": {"completed": pipeline.step_count, "total": pipeline.step_count, "percent": percent},
    }


def _next_action(pipeline: Pipeline) -> Json | None:
    if pipeline.state in TERMINAL or pipeline.next_action is None:
        return None
    return dict(pipeline.next_action) | {"deadline": rfc3339(pipeline.deadline_at)}
