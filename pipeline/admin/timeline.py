"""One pipeline's steps and events as rows for the page, with secrets left out."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from pipeline.admin.outlook import failure
from pipeline.models import Event, Pipeline, Step

SHOWN_EVENTS = 200  # the newest; a job that has failed for a week has more
_SECRET = re.compile(r"secret|password|token|authorization|api_?key", re.IGNORECASE)
_HIDDEN = "(not shown)"


@dataclass(frozen=True, slots=True)
class StepRow:
    """A step, its failure in one line, its recorded data and its provider calls."""

    step: Step
    failure: str
    attempts: list[tuple[str, int]]
    started: str
    finished: str
    data: str
    calls: list[str]


def step_rows(steps: Sequence[Step]) -> list[StepRow]:
    """In order. Calls are shown without their parameters, which hold personal data."""
    return [
        StepRow(
            step=step,
            failure=failure(step.error),
            attempts=[
                (verb, count)
                for verb, count in (
                    ("stage", step.stage_attempts),
                    ("commit", step.commit_attempts),
                    ("rollback", step.rollback_attempts),
                )
                if count
            ],
            started=_clock(step.started_at),
            finished=_clock(step.finished_at),
            data=as_text(step.data),
            calls=[
                f"{name}, generation {call.get('generation')}, first sent {call.get('first_sent_at')}"
                for name, call in step.calls.items()
            ],
        )
        for step in steps
    ]


def newest_events(pipeline: Pipeline) -> list[tuple[Event, str, str]]:
    """The newest SHOWN_EVENTS, oldest first, each with its time to the millisecond and its data as text."""
    events = list(Event.objects.filter(pipeline=pipeline).order_by("-seq")[:SHOWN_EVENTS])
    return [(event, _clock(event.at), as_text(event.data)) for event in reversed(events)]


def _clock(at: datetime | None) -> str:
    return timezone.localtime(at).strftime("%H:%M:%S.%f")[:-3] if at else ""


def as_text(value: Any) -> str:
    """Indented JSON without secrets; empty for nothing."""
    return json.dumps(without_secrets(value), indent=2, ensure_ascii=False) if value else ""


def without_secrets(value: Any) -> Any:
    """The same with every value hidden whose name says that it is a secret."""
    if isinstance(value, Mapping):
        return {name: _HIDDEN if _SECRET.search(str(name)) else without_secrets(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [without_secrets(inner) for inner in value]
    return value
