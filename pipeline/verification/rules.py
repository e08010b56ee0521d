"""The engine's own invariants, of one pipeline's rows: I1, I6, I10, I11. Pure; PostgreSQL alone."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from pipeline.conf import conf
from pipeline.retry import RetryPolicy
from pipeline.states import OPEN, STEP_TERMINAL, TERMINAL, EventType, PipelineState, StepState, Wave
from pipeline.verification.facts import Facts, StepFacts
from pipeline.verification.history import wrong_history
from pipeline.verification.violation import Violation

_P, _S, _E = PipelineState, StepState, EventType

# How late the next look, or the end of staging, may be before nobody seems to sweep. A backlog is no violation.
SLACK: Final = timedelta(minutes=5)
_LIVE: Final = "a worker or `manage.py sweep` is running and knows the workflow: look at readyz"
_DEFECT: Final = "keep the rows and the history (admin) for the engine's developers: its own writes cannot do this"


def wrong_with(facts: Facts) -> Iterator[Violation]:
    """Everything that is not as it must be at any moment between two transitions, whatever time it is."""
    if facts.row.reaped_at is not None:  # its steps and history are erased; constraints hold what is left
        if facts.steps or facts.has_attachments:
            yield _of(facts, "I10", "nothing but the row of what was reaped", "steps or attachments", _DEFECT)
        return
    for found in wrong_history(facts):
        yield _of(facts, "I6", "a legal path of the state machine, fences rising", found, _DEFECT)
    for found in _wrong_counters(facts):
        yield _of(facts, "I6", "counters that agree with the steps", found, _DEFECT)
    for found in _wrong_owners(facts):
        yield _of(facts, "I6", "at most one owner of a job that runs", found, _DEFECT)
    for found in _kept(facts):
        yield _of(facts, "I10", "nothing of a secret or an upload once it is decided", found, _DEFECT)
    for found in _wrong_ends(facts):
        yield _of(facts, "I1", "every step of an ended pipeline ended, every other one due", found, _DEFECT)
    yield from _too_many_attempts(facts)


def overdue(facts: Facts, *, settled: bool = False) -> Iterator[Violation]:
    """What should have happened by now: nobody seems to sweep. `settled`: everything should have ended."""
    row, settings = facts.row, conf()
    if row.state in TERMINAL:
        return
    if settled:
        yield _of(facts, "I1", "committed or rolled back", f"it is {row.state}, due {row.due_at}", _LIVE)
    elif row.due_at is not None and facts.read_at - row.due_at > SLACK:
        found = f"it is {row.state} and has been due since {row.due_at}"
        yield _of(facts, "I1", "that somebody looks at what is due", found, _LIVE)
    if row.state in OPEN and facts.read_at - row.deadline_at > settings.LEASE + SLACK and not settings.PAUSE_STAGING:
        found = f"it is {row.state}, its deadline was {row.deadline_at}"
        yield _of(facts, "I11", "rolled back once its deadline has passed", found, _LIVE)
    for step in facts.steps:
        if step.error and not step.attention and _is_untold(facts, step):
            found = f"{step.name} is {step.state} since {step.verb_started_at} and is not marked"
            yield _of(facts, "I11", "a mark for a person once a job is overdue", found, _LIVE)


def _of(facts: Facts, invariant: str, expected: str, found: str, next_step: str) -> Violation:
    return Violation(invariant, facts.id, expected, found, next_step)


def _wrong_counters(facts: Facts) -> Iterator[str]:
    row, steps = facts.row, facts.steps
    staged = {_P.STAGING, _P.WAITING, _P.COMMITTING}
    finished = {_S.SKIPPED, _S.COMMITTED} if row.state in staged else STEP_TERMINAL
    # While rolling back, what was never attempted and does not ask for a rollback is skipped already.
    left = Counter(step.wave for step in steps if step.state not in finished)
    counted = {Wave.PIVOT: row.pivots, Wave.EFFECT: row.effects, Wave.TELLING: row.tells}
    for wave, count in counted.items():
        if count != left[wave]:
            yield f"{Wave(wave).label} jobs left: {count} counted, {left[wave]} are"
    if row.step_count != len(steps):
        yield f"step_count is {row.step_count}, and it has {len(steps)}"
    past = [step for step in steps if step.state in {_S.STAGED, _S.SKIPPED}]
    if row.state in OPEN and row.cursor != len(past):
        yield f"cursor is {row.cursor} with {len(past)} steps staged or skipped"
    if row.attention < sum(step.attention for step in steps):
        yield "steps are marked for attention and the pipeline is not"
    if row.state in TERMINAL and any(step.attention for step in steps):
        yield "a step of an ended pipeline is marked for attention"


def _wrong_owners(facts: Facts) -> Iterator[str]:
    owned = [step for step in facts.steps if step.owner is not None]
    for step in owned:
        if step.state not in {_S.STAGING, _S.COMMITTING, _S.ROLLING_BACK}:
            yield f"{step.name} is {step.state} and has an owner"
    if facts.row.state in OPEN and len(owned) > 1:
        yield f"{len(owned)} steps are staged at once"


def _kept(facts: Facts) -> Iterator[str]:
    if facts.row.state in OPEN:
        return
    if facts.row.secrets:
        yield f"secrets are kept: {sorted(facts.row.secrets)}"
    if facts.has_attachments:
        yield "attachments are kept"


def _wrong_ends(facts: Facts) -> Iterator[str]:
    if facts.row.state not in TERMINAL:
        if facts.row.due_at is None:
            yield "unfinished and never due"
        return
    for step in facts.steps:
        if step.state not in STEP_TERMINAL:
            yield f"{step.name} is {step.state} in an ended pipeline"


def _too_many_attempts(facts: Facts) -> Iterator[Violation]:
    """I11: bounded while staging."""
    row = facts.row
    # Each of these makes a job due at once; the last attempt finds the deadline passed.
    hurried = row.hints + sum(event.type == _E.TAKEN_OVER for event in facts.events) + 1
    bound = most_attempts(conf().STAGE_RETRY, row.deadline_at - row.created_at) + hurried
    for step in facts.steps:
        if step.stage_attempts > bound:
            found = f"{step.name} was staged {step.stage_attempts} times"
            yield _of(facts, "I11", f"at most {bound} attempts to stage a step in its time", found, _DEFECT)


def _is_untold(facts: Facts, step: StepFacts) -> bool:
    """Overdue for so long that an attempt has failed, or should have been made, after the time for a mark."""
    settings = conf()
    longest = settings.ATTENTION_AFTER + settings.FINISH_RETRY.cap + settings.LEASE + SLACK
    since = step.verb_started_at
    return step.state in (_S.COMMITTING, _S.ROLLING_BACK) and since is not None and facts.read_at - since > longest


def most_attempts(policy: RetryPolicy, time: timedelta) -> int:
    """How many attempts fit into the time if every pause is as short as the policy allows."""
    attempts, passed = 1, timedelta(0)
    while passed + (shortest := policy.delay(attempts, 1.0)) <= time:
        if not shortest:
            return 2**31
        if shortest == policy.delay(attempts + 1, 1.0):  # from here on they are all alike
            return attempts + int((time - passed) / shortest)
        passed += shortest
        attempts += 1
    return attempts
