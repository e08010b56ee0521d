"""What a worker does after a record: how it now sees the pipeline, and which of the new jobs are its own.

Going on here instead of by message is the fast path: the number of messages is what costs (docs/performance.md).
Pure functions; setting PIPELINE["GO_ON"] = False switches all of it off.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.decide import Done, GiveUp, Move
from pipeline.plan import Job, PipelineView, StepView, open_jobs, opened
from pipeline.states import DONE, OPEN, PipelineState, StepState, Verb, Wave
from pipeline.transitions import Advanced
from pipeline.workflow import Step, Workflow


def follower(view: PipelineView, job: Job, workflow: type[Workflow]) -> Job | None:
    """The job to begin in the same write as this one's success; None when that is for somebody else to do."""
    now, _, _ = split(workflow, view, opened_jobs(view, _if_it_succeeds(view, job)))
    return now[0] if now else None


def opened_jobs(before: PipelineView, after: PipelineView) -> list[Job]:
    """The jobs that became possible between two views."""
    fresh = opened((before.state, before.steps), (after.state, after.steps))
    return [Job(after.id, step.name, verb) for step, verb in fresh]


def split(workflow: type[Workflow], view: PipelineView, jobs: list[Job]) -> tuple[list[Job], list[Job], list[Job]]:
    """(mine, beside, others'): jobs that wait for no provider are done one after the other by the thread at hand; of
    those that wait it does one, and the rest run beside it, in parallel. A step that this process's definition does
    not have is for others.
    """
    known = {job: step for job in jobs if (step := _kind(workflow, view.step(job.step).kind)) is not None}
    quick = [job for job, step in known.items() if step.local or step.quick or step.does_nothing(job.verb)]
    slow = [job for job in known if job not in quick]
    return quick + slow[:1], slow[1:], [job for job in jobs if job not in known]


def _kind(workflow: type[Workflow], name: str) -> type[Step] | None:
    return next((step for step in workflow.steps if step.name == name), None)


def view_after(
    view: PipelineView, job: Job, recorded: Mapping[str, Any], move: Move, after: Advanced | str
) -> PipelineView:
    """The pipeline as this worker sees it after its record: the database's word, and its own step's change."""
    if isinstance(after, str):
        return _turned_back(view, view._replace(state=after))
    data = dict(recorded) | (dict(move.data) if isinstance(move, Done) else {})
    state = StepState.SKIPPED if isinstance(move, GiveUp) else DONE[job.verb]
    steps = tuple(
        step._replace(state=state.value, data=data) if step.name == job.step else _settled(step, job.verb, after)
        for step in view.steps
    )
    # With an older `seq` the record that ends the pipeline looks again: others have moved meanwhile.
    seq = after.seq if after.was_seq == view.seq else view.seq
    return _turned_back(view, view._replace(state=after.state, deadline_at=after.deadline_at, seq=seq, steps=steps))


def _if_it_succeeds(view: PipelineView, job: Job) -> PipelineView:
    steps = tuple(step._replace(state=DONE[job.verb].value) if step.name == job.step else step for step in view.steps)
    if view.state in OPEN:
        state = PipelineState.STAGING if open_jobs(PipelineState.STAGING, steps) else PipelineState.COMMITTING
        return view._replace(state=state.value, steps=steps)
    return view._replace(steps=steps)


def _turned_back(before: PipelineView, after: PipelineView) -> PipelineView:
    """Whoever turned the pipeline back, this worker or somebody else, has skipped what was never attempted."""
    if after.state != PipelineState.ROLLING_BACK or before.state == after.state:
        return after
    steps = (
        step._replace(state=StepState.SKIPPED.value)
        if step.state == StepState.PENDING and not step.undo_pending
        else step
        for step in after.steps
    )
    return after._replace(steps=tuple(steps))


def _settled(step: StepView, verb: Verb, after: Advanced) -> StepView:
    """A wave whose counter is 0 has ended, whatever this worker saw of it: others did the rest."""
    left = {Wave.PIVOT: after.pivots, Wave.EFFECT: after.effects, Wave.TELLING: after.tells}[Wave(step.wave)]
    if verb == Verb.STAGE or left or step.state in (StepState.SKIPPED, DONE[verb]):
        return step
    return step._replace(state=DONE[verb].value)
