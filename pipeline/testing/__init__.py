"""The step author's test kit: run a workflow against a real PostgreSQL, with a scripted broker and a clock that moves.

    pytest_plugins = ["pipeline.testing.fixtures"]

    def test_a_lost_answer_is_asked_for(broker, start_posting):
        pipeline = start_posting()
        crash_at("payment.stage.effect")
        drain(pipeline, broker)
        assert state_of(pipeline) == "committed"

Everything commits: the fixtures empty the engine's tables afterwards. docs/testing-a-workflow.md tells the rest.
"""

from pipeline.testing.broker import Message, ScriptedBroker
from pipeline.testing.clock import advance, until_due
from pipeline.testing.consistency import assert_consistent, history, snapshot, state_of
from pipeline.testing.drive import IN_THE_END, IN_TIME, SOON, drain, drain_all
from pipeline.testing.faults import InjectedFailure, Killed, crash_at, disarm, fail_at, pause_at
from pipeline.testing.processes import Worker, as_workers, together
from pipeline.testing.workflows import throwaway
from pipeline.testing.world import Entry, World

__all__ = [
    "IN_THE_END",
    "IN_TIME",
    "SOON",
    "Entry",
    "InjectedFailure",
    "Killed",
    "Message",
    "ScriptedBroker",
    "Worker",
    "World",
    "advance",
    "as_workers",
    "assert_consistent",
    "crash_at",
    "disarm",
    "drain",
    "drain_all",
    "fail_at",
    "history",
    "pause_at",
    "snapshot",
    "state_of",
    "throwaway",
    "together",
    "until_due",
]
