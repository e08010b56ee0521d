"""The documentation's chart is the code's."""

from io import StringIO
from pathlib import Path

from django.core.management import call_command

from pipeline.states import PIPELINE_EDGES, STEP_EDGES, EventType, PipelineState, StepState
from pipeline.states_chart import document, sentences

PAGE = Path(__file__).resolve().parents[2] / "docs" / "states.md"


def test_the_page_is_what_the_command_prints():
    out = StringIO()
    call_command("states", stdout=out)
    assert PAGE.read_text() == out.getvalue(), "run `python manage.py states > docs/states.md`"


def test_every_state_has_its_sentence_and_every_edge_its_arrow():
    for machine, edges in ((PipelineState, PIPELINE_EDGES), (StepState, STEP_EDGES)):
        assert set(sentences(machine)) == set(machine.values)
        assert all(sentence.endswith(".") for sentence in sentences(machine).values())
        for before, afters in edges.items():
            assert all(f"{before} --> {after}" in document() for after in afters)


def test_the_events_are_the_public_ones():
    assert set(EventType.values) == {
        "accepted", "staging_started", "staged", "waiting", "attempt_failed", "refused", "cancelled",
        "deadline_passed", "decided_commit", "decided_rollback", "commit_started", "committed",
        "rollback_started", "rolled_back", "skipped", "taken_over", "hinted", "operator_action", "attention",
        "settled", "pipeline_committed", "pipeline_rolled_back",
    }  # fmt: skip
