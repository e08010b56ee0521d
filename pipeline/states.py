"""States, verbs and waves, with the one table of legal edges. docs/states.md is made from it (a test compares)."""

from typing import Final

from django.db.models import IntegerChoices, TextChoices


class PipelineState(TextChoices):
    """The state of one durable run of a workflow."""

    STAGING = "staging", "Staging"
    # Its steps are brought about one after another, in a form that can still be undone.
    WAITING = "waiting", "Waiting for the customer"
    # A step needs the customer (3-D Secure); there is a deadline.
    COMMITTING = "committing", "Committing"
    # Everything is staged; each effect is made final by a job of its own.
    COMMITTED = "committed", "Committed"
    # Every commit job is done. Terminal.
    ROLLING_BACK = "rolling_back", "Rolling back"
    # Refused, cancelled or past its deadline; each effect is undone by a job of its own.
    ROLLED_BACK = "rolled_back", "Rolled back"
    # Every undo is done. Terminal.


class StepState(TextChoices):
    """The state of one step of a pipeline."""

    PENDING = "pending", "Pending"
    # Not begun.
    STAGING = "staging", "Staging"
    # Its stage job is being executed or waits for its next attempt: the effect may exist.
    STAGED = "staged", "Staged"
    # The effect exists in a form that can be undone and that nobody sees.
    COMMITTING = "committing", "Committing"
    # Its commit job is being executed or waits for its next attempt.
    COMMITTED = "committed", "Committed"
    # The effect is final. Terminal.
    ROLLING_BACK = "rolling_back", "Rolling back"
    # Its rollback job is being executed or waits for its next attempt.
    ROLLED_BACK = "rolled_back", "Rolled back"
    # Nothing is left of the effect. Terminal.
    SKIPPED = "skipped", "Skipped"
    # Not needed, never attempted, or given up where that is allowed. Terminal.


class Verb(TextChoices):
    """What a job does with a step."""

    STAGE = "stage", "Stage"
    COMMIT = "commit", "Commit"
    ROLLBACK = "rollback", "Roll back"


class Wave(IntegerChoices):
    """When a step's job runs after the decision: a wave starts when the one before has ended."""

    PIVOT = 0, "Pivot"
    # The one step whose commit may still be refused: first and alone.
    EFFECT = 1, "Effect"
    # Everything else that others can see, in parallel.
    TELLING = 2, "Telling"
    # Somebody is told; that cannot be undone, so it runs last.


class EventType(TextChoices):
    """What an event tells. Public and versioned: added to, never changed in meaning (API.md)."""

    ACCEPTED = "accepted"
    STAGING_STARTED = "staging_started"
    STAGED = "staged"
    WAITING = "waiting"
    ATTEMPT_FAILED = "attempt_failed"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    DEADLINE_PASSED = "deadline_passed"
    DECIDED_COMMIT = "decided_commit"
    DECIDED_ROLLBACK = "decided_rollback"
    COMMIT_STARTED = "commit_started"
    COMMITTED = "committed"
    ROLLBACK_STARTED = "rollback_started"
    ROLLED_BACK = "rolled_back"
    SKIPPED = "skipped"
    TAKEN_OVER = "taken_over"
    HINTED = "hinted"
    OPERATOR_ACTION = "operator_action"
    ATTENTION = "attention"
    SETTLED = "settled"
    PIPELINE_COMMITTED = "pipeline_committed"
    PIPELINE_ROLLED_BACK = "pipeline_rolled_back"


_P, _S = PipelineState, StepState

PIPELINE_EDGES: Final[dict[PipelineState, frozenset[PipelineState]]] = {
    _P.STAGING: frozenset({_P.WAITING, _P.COMMITTING, _P.ROLLING_BACK}),
    _P.WAITING: frozenset({_P.STAGING, _P.COMMITTING, _P.ROLLING_BACK}),
    _P.COMMITTING: frozenset({_P.COMMITTED, _P.ROLLING_BACK}),
    _P.ROLLING_BACK: frozenset({_P.ROLLED_BACK}),
    _P.COMMITTED: frozenset(),
    _P.ROLLED_BACK: frozenset(),
}

STEP_EDGES: Final[dict[StepState, frozenset[StepState]]] = {
    _S.PENDING: frozenset({_S.STAGING, _S.ROLLING_BACK, _S.SKIPPED}),
    _S.STAGING: frozenset({_S.STAGED, _S.ROLLING_BACK, _S.SKIPPED}),
    _S.STAGED: frozenset({_S.COMMITTING, _S.ROLLING_BACK}),
    _S.COMMITTING: frozenset({_S.COMMITTED, _S.ROLLING_BACK, _S.SKIPPED}),
    _S.ROLLING_BACK: frozenset({_S.ROLLED_BACK, _S.SKIPPED}),
    _S.COMMITTED: frozenset(),
    _S.ROLLED_BACK: frozenset(),
    _S.SKIPPED: frozenset(),
}

OPEN: Final = frozenset({_P.STAGING, _P.WAITING})  # not decided yet
TERMINAL: Final = frozenset({_P.COMMITTED, _P.ROLLED_BACK})
STEP_TERMINAL: Final = frozenset({_S.COMMITTED, _S.ROLLED_BACK, _S.SKIPPED})

RUNNING: Final[dict[Verb, StepState]] = {
    Verb.STAGE: _S.STAGING,
    Verb.COMMIT: _S.COMMITTING,
    Verb.ROLLBACK: _S.ROLLING_BACK,
}
DONE: Final[dict[Verb, StepState]] = {
    Verb.STAGE: _S.STAGED,
    Verb.COMMIT: _S.COMMITTED,
    Verb.ROLLBACK: _S.ROLLED_BACK,
}
# In which states of the pipeline a verb may be begun.
PHASES: Final[dict[Verb, frozenset[PipelineState]]] = {
    Verb.STAGE: frozenset({_P.STAGING, _P.WAITING}),
    Verb.COMMIT: frozenset({_P.COMMITTING}),
    Verb.ROLLBACK: frozenset({_P.ROLLING_BACK}),
}
# From which states of the step a verb may be begun; its running state is there for further attempts.
# A rollback of `pending` is for a step that asks for it (undo_pending).
BEGINS_FROM: Final[dict[Verb, frozenset[StepState]]] = {
    Verb.STAGE: frozenset({_S.PENDING, _S.STAGING}),
    Verb.COMMIT: frozenset({_S.STAGED, _S.COMMITTING}),
    Verb.ROLLBACK: frozenset({_S.PENDING, _S.STAGING, _S.STAGED, _S.COMMITTING, _S.ROLLING_BACK}),
}


def is_legal(before: PipelineState | StepState, after: PipelineState | StepState) -> bool:
    """Whether the edge stands in the table of its machine."""
    if isinstance(before, PipelineState):
        return after in PIPELINE_EDGES[before]
    return after in STEP_EDGES[before]
