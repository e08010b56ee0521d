"""What must hold of every pipeline at every moment between two transitions, and a pipeline as text."""

import uuid
from typing import Any

from pipeline.models import Event, Pipeline, Step
from pipeline.verification import read, wrong_with


def state_of(pipeline: uuid.UUID) -> str:
    """The pipeline's state now."""
    return Pipeline.objects.values_list("state", flat=True).get(pk=pipeline)


def history(pipeline: uuid.UUID) -> str:
    """The pipeline and its events as text, for people."""
    row = Pipeline.objects.get(pk=pipeline)
    steps = ", ".join(f"{step.name} {step.state}" for step in row.steps.order_by("position"))
    lines = [f"{row.workflow} {row.pk}: {row.state}, due {row.due_at}, left {row.pivots}/{row.effects}/{row.tells}"]
    lines += [f"  steps: {steps}"]
    lines += [
        f"  {event.seq:4} {event.at:%H:%M:%S.%f} {event.type:20} {event.step or '':12} {event.attempt or '':3}"
        f" {event.data or ''}"
        for event in row.events.order_by("seq")
    ]
    return "\n".join(lines)


def snapshot(pipeline: uuid.UUID) -> dict[str, Any]:
    """Every column of every row of the pipeline, to compare with a later one."""
    return {
        "pipeline": Pipeline.objects.filter(pk=pipeline).values().get(),
        "steps": list(Step.objects.filter(pipeline=pipeline).order_by("position").values()),
        "events": list(Event.objects.filter(pipeline=pipeline).order_by("seq").values()),
        "attachments": sorted(Pipeline.objects.get(pk=pipeline).attachments.values_list("name", flat=True)),
    }


def assert_consistent(pipeline: uuid.UUID) -> None:
    """The engine's own invariants hold of the pipeline, as `manage.py verify` checks them. AssertionError if not."""
    wrong = [f"{each.invariant}: {each.found}" for each in wrong_with(read(pipeline))]
    if wrong:
        raise AssertionError("\n".join(["inconsistent:", *wrong, history(pipeline)]))
