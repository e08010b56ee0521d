"""How much the broker holds already. What the sweep publishes behind a long queue only makes it longer: every
message of a waiting pipeline but the first is work for nothing.
"""

from pipeline import dispatch
from pipeline.conf import conf
from pipeline.states import OPEN, PipelineState, Verb
from pipeline.tasks import QUEUES

# The verb of the jobs that are open in a state.
_VERBS = dict.fromkeys(OPEN, Verb.STAGE) | {
    PipelineState.COMMITTING: Verb.COMMIT,
    PipelineState.ROLLING_BACK: Verb.ROLLBACK,
}


def states_with_room() -> list[str]:
    """The unfinished states whose jobs' queue is not full; none when the broker does not tell."""
    room = {verb for verb, queue in QUEUES.items() if _has_room(queue)}
    return [state.value for state, verb in _VERBS.items() if verb in room]


def _has_room(queue: str) -> bool:
    waiting = dispatch.waiting(queue)
    return waiting is not None and waiting < conf().QUEUE_FULL
