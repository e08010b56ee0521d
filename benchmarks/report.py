"""The two forms of a result: the table that is printed and the JSON that is kept."""

import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import number
from benchmarks.goals import GOALS, Measured

_HEADS = ("goal", "ratio", "now", "holds", "then", "what")
_SAME = ("processor", "cores", "memory_gib")  # of a machine


def as_json(machine: Mapping[str, Any], versions: Mapping[str, str], measured: Sequence[Measured]) -> dict[str, Any]:
    """What is written to a file. Goals that were not measured are absent."""
    return {
        "machine": dict(machine),
        "versions": dict(versions),
        "goals": {one.goal.id: one.as_json() for one in measured},
    }


def merged(path: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """With the goals that the file has and this run has not measured, if they were measured on such a machine."""
    try:
        kept = json.loads(path.read_text())
        is_same = all(kept["machine"][name] == content["machine"][name] for name in _SAME)
        goals = kept["goals"] | content["goals"] if is_same else content["goals"]
    except (FileNotFoundError, KeyError, ValueError):
        goals = content["goals"]
    return {**content, "goals": {name: goals[name] for name in GOALS if name in goals}}


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write it whole, by rename."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    fresh.replace(path)


def as_text(machine: Mapping[str, Any], versions: Mapping[str, str], measured: Sequence[Measured]) -> str:
    """The table, what each number is made of, the machine and the versions."""
    rows = [_HEADS, *(_row(one) for one in measured)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.append("")
    for one in measured:
        lines += textwrap.wrap(f"{one.goal.id}: {one.detail}", 110, subsequent_indent="     ", break_on_hyphens=False)
    lines.append("")
    lines += textwrap.wrap(_pairs("Machine", machine), 110, subsequent_indent="  ")
    lines += textwrap.wrap(_pairs("Versions", versions), 110, subsequent_indent="  ")
    return "\n".join(lines)


def _row(one: Measured) -> tuple[str, ...]:
    goal = one.goal
    holds = "yes" if goal.holds(one.ratio) else "NO"
    return goal.id, number(one.ratio), goal.bound(goal.now), holds, goal.bound(goal.later), goal.what


def _pairs(head: str, pairs: Mapping[str, Any]) -> str:
    return f"{head}: " + ", ".join(f"{name} {value}" for name, value in pairs.items())
