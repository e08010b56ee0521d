"""Everything that checks need of a pipeline, read by one statement: one snapshot, whatever moves meanwhile."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import JSONObject, Now

from pipeline.models import Attachment, Event, Pipeline, Step
from pipeline.verification.violation import Scope

BATCH: Final = 200  # pipelines of one statement: some hundred KiB, far from the statement timeout

_STEP = (
    "name",
    "position",
    "kind",
    "args",
    "wave",
    "state",
    "data",
    "calls",
    "error",
    "attention",
    "stage_attempts",
    "commit_attempts",
    "rollback_attempts",
    "owner",
    "fence",
    "verb_started_at",
)
_EVENT = ("seq", "type", "step", "attempt", "data")


@dataclass(frozen=True, slots=True)
class StepFacts:
    """One step's row."""

    name: str
    position: int
    kind: str
    args: dict[str, Any]
    wave: int
    state: str
    data: dict[str, Any]
    calls: dict[str, Any]
    error: dict[str, Any] | None
    attention: bool
    stage_attempts: int
    commit_attempts: int
    rollback_attempts: int
    owner: int | None
    fence: int
    verb_started_at: datetime | None

    def has_called(self, slot: str) -> bool:
        """Whether the call `VERB.NAME` was stored, so that it may have been sent."""
        return slot in self.calls


@dataclass(frozen=True, slots=True)
class EventFacts:
    """One line of the history."""

    seq: int
    type: str
    step: str | None
    attempt: int | None
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Facts:
    """A pipeline with its steps and its history as they were at `read_at`, the database's time."""

    row: Pipeline
    steps: tuple[StepFacts, ...]
    events: tuple[EventFacts, ...]
    has_attachments: bool
    read_at: datetime
    of: dict[str, StepFacts] = field(default_factory=dict)  # by kind; where several are of one kind, the last

    @property
    def id(self) -> uuid.UUID:
        """The pipeline's id."""
        return self.row.pk


def read_all(scope: Scope, *, workflow: str = "", ids: Sequence[uuid.UUID] | None = None) -> Iterator[Facts]:
    """The pipelines of the scope in order of age, batch by batch; of one workflow, or of these ids, if given."""
    rows = _chosen(scope, workflow)
    if ids is not None:
        rows = rows.filter(pk__in=ids)
    last: uuid.UUID | None = None
    while batch := list((rows.filter(pk__gt=last) if last else rows)[:BATCH]):
        last = batch[-1].pk
        yield from map(_facts, batch)


def read(pipeline: uuid.UUID) -> Facts:
    """One pipeline; Pipeline.DoesNotExist."""
    return _facts(_chosen(Scope(), "").get(pk=pipeline))


def _chosen(scope: Scope, workflow: str) -> QuerySet[Any]:
    steps = Step.objects.filter(pipeline=OuterRef("pk")).order_by("position")
    events = Event.objects.filter(pipeline=OuterRef("pk")).order_by("seq")
    rows: QuerySet[Any] = Pipeline.objects.order_by("pk").annotate(
        step_rows=ArraySubquery(steps.values(json=JSONObject(**{name: name for name in _STEP}))),
        event_rows=ArraySubquery(events.values(json=JSONObject(**{name: name for name in _EVENT}))),
        attached=Exists(Attachment.objects.filter(pipeline=OuterRef("pk"))),
        read_at=Now(),
    )
    if scope.pipeline is not None:
        rows = rows.filter(pk=scope.pipeline)
    if scope.since is not None:
        rows = rows.filter(created_at__gte=scope.since)
    return rows.filter(workflow=workflow) if workflow else rows


def _facts(row: Any) -> Facts:
    steps = tuple(StepFacts(**each | {"verb_started_at": _time(each["verb_started_at"])}) for each in row.step_rows)
    events = tuple(EventFacts(**each) for each in row.event_rows)
    return Facts(row, steps, events, row.attached, row.read_at, {step.kind: step for step in steps})


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
