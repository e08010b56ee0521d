"""docs/states.md, made from pipeline/states.py: `python manage.py states > docs/states.md`. A test compares."""

import inspect
import re
from collections.abc import Mapping
from typing import Any

from django.db.models import TextChoices

from pipeline.states import (
    BEGINS_FROM,
    DONE,
    PHASES,
    PIPELINE_EDGES,
    RUNNING,
    STEP_EDGES,
    PipelineState,
    StepState,
    Verb,
)

_INTRODUCTION = """# States

<!-- Made by `python manage.py states > docs/states.md` from pipeline/states.py: change that, not this. -->

A transition is one guarded UPDATE of the pipeline's row, with its event in the same transaction. No other edge
than these exists; `tests/pipeline/test_edges.py` walks each of them and tries all others.
"""

_PASSING = """A write may take two edges at once, with an event for each: the record of the last step decides, and a
pipeline that has nothing to do after its decision ends in the same write.
"""

Edges = Mapping[Any, frozenset[Any]]

# `NAME = …` and the comment lines under it.
_MEMBER = re.compile(r"^    (?P<name>[A-Z_]+) = .*\n(?P<sentence>(?:    # .*\n?)+)", re.MULTILINE)


def document() -> str:
    """The whole page."""
    parts = [
        _INTRODUCTION,
        "## Pipeline\n",
        _chart(PIPELINE_EDGES),
        _table(PipelineState, PIPELINE_EDGES),
        _PASSING,
        "## Step\n",
        _chart(STEP_EDGES),
        _table(StepState, STEP_EDGES),
        "## Verbs\n",
        _verbs(),
    ]
    return "\n".join(parts)


def sentences(machine: type[TextChoices]) -> dict[str, str]:
    """What stands under each member of the machine's class."""
    found = _MEMBER.finditer(inspect.getsource(machine))
    return {
        machine[match["name"]].value: " ".join(line.strip(" #") for line in match["sentence"].splitlines())
        for match in found
    }


def _chart(edges: Edges) -> str:
    first = next(iter(edges))
    lines = [f"    [*] --> {first}"]
    for before, afters in edges.items():
        lines += [f"    {before} --> {after}" for after in _in_order(edges, afters)]
        if not afters:
            lines.append(f"    {before} --> [*]")
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```", ""])


def _table(machine: type[TextChoices], edges: Edges) -> str:
    told = sentences(machine)
    lines: list[str] = ["| state | meaning | goes to |", "|---|---|---|"]
    for before, afters in edges.items():
        following = ", ".join(f"`{after}`" for after in _in_order(edges, afters)) or "nothing: it has ended"
        lines.append(f"| `{before}` | {told[before.value]} | {following} |")
    return "\n".join((*lines, ""))


def _verbs() -> str:
    lines: list[str] = ["| verb | may begin while the pipeline is | from the step's states | runs as | ends as |"]
    lines.append("|---|---|---|---|---|")
    for verb in Verb:
        phases = ", ".join(f"`{state}`" for state in _in_order(PIPELINE_EDGES, PHASES[verb]))
        begins = ", ".join(f"`{state}`" for state in _in_order(STEP_EDGES, BEGINS_FROM[verb]))
        lines.append(f"| {verb} | {phases} | {begins} | `{RUNNING[verb]}` | `{DONE[verb]}` |")
    return "\n".join([*lines, ""])


def _in_order(edges: Edges, some: frozenset[Any]) -> list[Any]:
    return [state for state in edges if state in some]
