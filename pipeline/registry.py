"""Which workflows this process knows, by name and version."""

import json
from functools import cache
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError, UnknownWorkflow
from pipeline.states import Verb
from pipeline.words import Words

if TYPE_CHECKING:
    from pipeline.workflow import Workflow

_workflows: dict[tuple[str, int], type["Workflow"]] = {}


def register(workflow: type["Workflow"]) -> None:
    """Called by every subclass of Workflow. A name and version stand for one definition."""
    if not hasattr(workflow, "name"):
        return  # an abstract base of the author's own
    known = _workflows.get((workflow.name, workflow.version))
    if known is not None and known.__qualname__ != workflow.__qualname__:
        raise PipelineError(
            f"{workflow.name} version {workflow.version} is defined twice: {known.__qualname__} and "
            f"{workflow.__qualname__}. Give one another name or version."
        )
    _workflows[workflow.name, workflow.version] = workflow
    _forget_jobs()


def forget(workflow: type["Workflow"]) -> None:
    """Undo `register`: for tests that define workflows of their own."""
    _workflows.pop((workflow.name, workflow.version), None)
    _forget_jobs()


def find(name: str, version: int) -> type["Workflow"]:
    """The definition; UnknownWorkflow when this process has none."""
    try:
        return _workflows[name, version]
    except KeyError:
        raise UnknownWorkflow(f"This process knows no workflow {name!r} version {version}.") from None


def words_of(name: str, version: int) -> Words:
    """How it speaks to its customers; general words for one that this process does not know."""
    known = _workflows.get((name, version))
    return known.words if known else Words()


def all_workflows() -> list[type["Workflow"]]:
    """Every registered definition."""
    return list(_workflows.values())


@cache
def known_jobs() -> tuple[str, ...]:
    """`workflow version kind` of every job that this process can do; a claim takes no other."""
    return tuple(
        f"{workflow.name} {workflow.version} {step.name}" for workflow in all_workflows() for step in workflow.steps
    )


@cache
def providers(verb: Verb) -> str:
    """A JSON object: `workflow version kind` to the provider that the verb calls, for those that call one."""
    return json.dumps(
        {
            f"{workflow.name} {workflow.version} {step.name}": provider
            for workflow in all_workflows()
            for step in workflow.steps
            if (provider := step.provider_of(verb))
        }
    )


def _forget_jobs() -> None:
    known_jobs.cache_clear()
    providers.cache_clear()
