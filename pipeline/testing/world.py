"""A world outside the database: steps whose effects are lines in a list, and a comparison with the pipeline."""

import uuid
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipeline.models import Pipeline
from pipeline.run import Run
from pipeline.states import PipelineState, StepState, Verb
from pipeline.workflow import Outcome, Step

# What a verb is told to do next: raise, return an outcome, or call a function with the run.
Script = BaseException | Outcome | Callable[[Run], Outcome]


@dataclass(frozen=True, slots=True)
class Entry:
    """One effect that happened."""

    pipeline: uuid.UUID
    step: str
    verb: str
    attempt: int
    key: str


class World:
    """Keeps what happened, whatever the database thinks. Its steps are idempotent by key, as a provider is."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.calls: list[Entry] = []
        self._scripts: dict[tuple[str, str], deque[Script]] = defaultdict(deque)

    def step(self, name: str, **traits: Any) -> type[Step]:
        """A step of that name with three recording verbs.

        `traits` are Step's class attributes; a verb given as None is left out.
        """
        verbs = {verb.value: self._verb(verb.value) for verb in Verb}
        given = {"name": name, "label": name.capitalize()} | verbs | traits
        return type(name.capitalize(), (Step,), {key: value for key, value in given.items() if value is not None})

    def will(self, place: str, *scripts: Script) -> None:
        """What the next calls of `STEP.VERB` do, one after another; afterwards it does its effect again.

        An exception or an outcome happens without the effect; a function decides for itself (`world.do`).
        """
        step, verb = place.rsplit(".", 1)
        self._scripts[step, verb].extend(scripts)

    def do(self, run: Run) -> Outcome:
        """The effect: once per key, whatever is repeated."""
        key = run.call("do", {"input": dict(run.input)}).key
        entry = Entry(run.pipeline_id, run.step, run.verb.value, run.attempt, key)
        if all(entry.key != other.key for other in self.entries):
            self.entries.append(entry)
        return {run.verb.value: key}

    def count(self, pipeline: uuid.UUID, step: str, verb: str) -> int:
        """How many effects (not calls) the verb of the step had."""
        return sum((entry.pipeline, entry.step, entry.verb) == (pipeline, step, verb) for entry in self.entries)

    def assert_agrees(self, pipeline: uuid.UUID) -> None:
        """The effects are those that the ended pipeline tells of, each once and in a right order."""
        row = Pipeline.objects.get(pk=pipeline)
        assert row.is_terminal, f"{row} has not ended: {row.state}"
        for step in row.steps.all():
            done = [entry.verb for entry in self.entries if (entry.pipeline, entry.step) == (pipeline, step.name)]
            wrong = _disagreement(row.state, step.state, done)
            assert wrong is None, f"{step.name} is {step.state} in a pipeline {row.state}, but {wrong}: {done}"

    def _verb(self, verb: str) -> Callable[[Step, Run], Outcome]:
        def run_verb(_step: Step, run: Run) -> Outcome:
            self.calls.append(Entry(run.pipeline_id, run.step, verb, run.attempt, ""))
            scripts = self._scripts[run.step, verb]
            if not scripts:
                return self.do(run)
            script = scripts.popleft()
            if isinstance(script, BaseException):
                raise script
            return script(run) if callable(script) else script

        return run_verb


def _disagreement(pipeline_state: str, step_state: str, done: list[str]) -> str | None:
    if twice := [verb for verb, times in Counter(done).items() if times > 1]:
        return f"{', '.join(twice)} happened more than once"
    if pipeline_state == PipelineState.COMMITTED and "rollback" in done:
        return "it was rolled back"
    if step_state == StepState.COMMITTED and "commit" not in done:
        return "it was not committed"
    if pipeline_state == PipelineState.ROLLED_BACK:
        if "commit" in done:
            return "it was committed"
        if "stage" in done and done[-1] != "rollback":
            return "something is left of it"
    return None
