import uuid
from itertools import islice

import pytest
from django.db import connection

from benchmarks.counting import Counts, count_trace, traced
from pipeline import registry
from pipeline.start import start
from pipeline.testing import state_of

PIPELINES = 5
# Measured at 189 and 16.5 to 17.6 KB, by how the indexes' pages split: the lightest of three has the fewest of
# them. One more index is ten records.
RECORDS, BYTES = 192, 17_500


def test_a_trace_counts_what_was_executed_and_not_what_was_only_prepared():
    prepared = ['F\t32\tParse\t "_pg3_0" "select 1" 0', "F\t4\tSync", "B\t4\tParseComplete", "B\t5\tReadyForQuery\t I"]
    executed = ['F\t9\tExecute\t "" 0', "F\t4\tSync", "B\t5\tReadyForQuery\t I"]
    assert count_trace(prepared) == (0, 0)
    assert count_trace(prepared + executed) == (1, 1)


def test_a_trace_counts_a_transaction_once_with_its_begin_and_commit_as_statements():
    lines = []
    for text, state in (("BEGIN", "T"), ("select 1", "T"), ("COMMIT", "I")):
        lines += [f'F\t10\tQuery\t "{text}"', 'B\t10\tCommandComplete\t "X"', f"B\t5\tReadyForQuery\t {state}"]
    assert count_trace(lines) == (1, 3)


@pytest.fixture
def nothing():
    from benchmarks.workflow import Nothing

    registry.register(Nothing)
    yield Nothing
    registry.forget(Nothing)


def run(workflow, broker):
    pipeline = start(workflow, input={}, key=str(uuid.uuid4())).id
    broker.deliver_all()
    return pipeline


def test_a_pipeline_of_four_steps_takes_no_more_messages_transactions_and_statements_than_it_did(broker, nothing):
    """Counted, so that it cannot pass by luck. Fewer is welcome: lower the numbers then."""
    run(nothing, broker)  # the owner's lock, the statements' preparation
    sent = len(broker.sent)
    with traced() as counted:
        pipelines = [run(nothing, broker) for _ in range(PIPELINES)]
    assert [state_of(pipeline) for pipeline in pipelines] == ["committed"] * PIPELINES
    each = Counts(len(broker.sent) - sent, *counted).each(PIPELINES)
    assert each.messages <= 1
    assert each.transactions <= 10
    assert each.statements <= 10


def test_a_pipeline_of_four_steps_writes_no_more_wal_than_it_did(broker, nothing):
    """What replication sends and a disk takes. Each index that a write touches counts, and each write."""
    if connection.pg_version < 180000:
        pytest.skip("PostgreSQL counts it by session since 18.")
    run(nothing, broker)
    rounds = (written_by(nothing, broker) for _ in range(50))
    records, size = min(islice((each for each in rounds if each is not None), 3))
    assert 0 < records / PIPELINES <= RECORDS
    assert size / PIPELINES <= BYTES


def written_by(workflow, broker):
    """(records, bytes) of some pipelines; None where a checkpoint came between, after which whole pages are written."""
    before = written()
    pipelines = [run(workflow, broker) for _ in range(PIPELINES)]
    records, whole_pages, size = (after - was for after, was in zip(written(), before, strict=True))
    assert [state_of(pipeline) for pipeline in pipelines] == ["committed"] * PIPELINES
    return None if whole_pages else (records, size)


def written():
    """(records, pages written whole, bytes) of this session so far."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute("SELECT wal_records, wal_fpi, wal_bytes FROM pg_stat_get_backend_wal(pg_backend_pid())")
        return [int(value) for value in cursor.fetchone()]
