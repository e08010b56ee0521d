"""Workflows for one test."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pipeline.registry import forget
from pipeline.workflow import Planned, Step, Words, Workflow

_numbers = itertools.count(1)

Plan = Callable[[Mapping[str, Any]], Sequence[Planned]]
Result = Callable[[Mapping[str, Any], Mapping[str, Mapping[str, Any]]], Mapping[str, Any] | None]


@contextmanager
def throwaway(
    *steps: type[Step],
    name: str = "",
    version: int = 1,
    plan: Plan | None = None,
    result: Result | None = None,
    words: Words | None = None,
) -> Iterator[type[Workflow]]:
    """A workflow of these steps, registered until the block ends. `plan`, `result` and `words` as Workflow's own."""
    name = name or f"throwaway_{next(_numbers)}"
    body: dict[str, Any] = {"name": name, "version": version, "steps": list(steps), "words": words or Words()}
    if plan is not None:
        body["plan"] = staticmethod(plan)
    if result is not None:
        body["result"] = staticmethod(result)
    workflow = type(f"Throwaway_{name}_{version}", (Workflow,), body)
    try:
        yield workflow
    finally:
        forget(workflow)
