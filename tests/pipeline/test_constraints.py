"""What must never be, the database refuses whoever writes it."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import F

from pipeline.models import Attachment, Event, Pipeline, Step
from pipeline.testing import drain

SOON = datetime(2100, 1, 1, tzinfo=UTC)


def refused(queryset, constraint, **changes):
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        queryset.update(**changes)


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"state": "done"}, "pipeline_finished_iff_terminal"),
        ({"state": "rolled_back"}, "pipeline_finished_iff_terminal"),
        ({"due_at": None}, "pipeline_due_until_done"),
        ({"finished_at": SOON}, "pipeline_due_until_done"),
        ({"cursor": 5}, "pipeline_counters_in_range"),
        ({"state": "committing"}, "pipeline_commits_when_all_staged"),
        ({"state": "waiting"}, "pipeline_waiting_iff_asked"),
        ({"next_action": {"type": "x"}}, "pipeline_waiting_iff_asked"),
        ({"staging_left": timedelta(1)}, "pipeline_waiting_iff_asked"),
        ({"state": "rolling_back"}, "pipeline_turns_back_for_a_reason"),
        ({"cursor": -1}, "pipeline_counters_in_range"),
        ({"pivots": -1}, "pipeline_counters_in_range"),
        ({"effects": -1}, "pipeline_counters_in_range"),
        ({"tells": -1}, "pipeline_counters_in_range"),
    ],
    ids=str,
)
def test_an_open_pipeline_cannot_be(changes, constraint, hand):
    refused(Pipeline.objects.filter(pk=hand.pipeline), constraint, **changes)


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"finished_at": None}, "pipeline_due_until_done"),
        ({"due_at": SOON}, "pipeline_due_until_done"),
        ({"effects": 1}, "pipeline_due_until_done"),
        ({"secrets": {"password": "x"}}, "pipeline_due_until_done"),
        ({"cursor": 0}, "pipeline_commits_when_all_staged"),
    ],
    ids=str,
)
def test_an_ended_pipeline_cannot_be(changes, constraint, posting, begin, broker):
    pipeline = begin(posting)
    drain(pipeline, broker)
    refused(Pipeline.objects.filter(pk=pipeline), constraint, **changes)


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"state": "done"}, "step_owned_only_while_running"),
        ({"wave": 3}, "step_wave_known"),
        ({"owner": 1}, "step_owned_only_while_running"),
        ({"owner": 1, "lease_until": SOON}, "step_owned_only_while_running"),
        ({"lease_until": SOON}, "step_owned_only_while_running"),
        ({"state": "skipped", "due_at": SOON}, "step_terminal_is_not_due"),
        ({"name": "posting"}, "step_name_once"),
        ({"position": F("position") + 1}, "step_position_once"),
    ],
    ids=str,
)
def test_a_step_cannot_be(changes, constraint, hand):
    refused(Step.objects.filter(pipeline=hand.pipeline, name="logo"), constraint, **changes)


def test_a_key_has_one_pipeline_and_an_event_one_number(hand):
    row = hand.row()
    with pytest.raises(IntegrityError, match="pipeline_key_once"), transaction.atomic():
        Pipeline.objects.create(
            workflow="x", version=1, scope=row.scope, key=row.key, step_count=1, pivots=0, effects=1, tells=0,
            due_at=SOON, deadline_at=SOON, created_at=SOON, updated_at=SOON,
        )  # fmt: skip
    with pytest.raises(IntegrityError), transaction.atomic():
        Event.objects.create(pipeline=row, seq=1, at=SOON, type="accepted")
    Attachment.objects.create(pipeline=row, name="logo", content=b"")
    with pytest.raises(IntegrityError, match="attachment_name_once"), transaction.atomic():
        Attachment.objects.create(pipeline=row, name="logo", content=b"")


def test_the_sweep_reads_by_one_partial_index(hand):
    """However many pipelines have ended."""
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        cursor.execute(
            "EXPLAIN SELECT id FROM pipeline_pipeline WHERE finished_at IS NULL AND due_at <= now() ORDER BY due_at"
        )
        plan = "\n".join(row[0] for row in cursor.fetchall())
        cursor.execute("SET enable_seqscan = on")
    assert "pipeline_due" in plan
