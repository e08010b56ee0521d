"""Statements, transactions and messages, counted at the driver; and no transaction open while a provider is called."""

import psycopg
import pytest
from django.db import connection
from psycopg import RawCursor
from psycopg.pq import TransactionStatus

from pipeline.start import start
from pipeline.testing import drain, together


class Count:
    def __init__(self):
        self.statements, self.transactions = [], 0


@pytest.fixture
def count(monkeypatch):
    """Every statement that psycopg sends for Django's connection; the owner's own session is not it."""
    counted = Count()

    def counting(execute):
        def run(self, query, *args, **kwargs):
            if self.connection is connection.connection:
                counted.statements.append(str(query)[:80])
                counted.transactions += self.connection.info.transaction_status == TransactionStatus.IDLE
            return execute(self, query, *args, **kwargs)

        return run

    for kind in (psycopg.Cursor, RawCursor):
        if "execute" in vars(kind):
            monkeypatch.setattr(kind, "execute", counting(kind.execute))
    return counted


@pytest.mark.parametrize("go_on", [True, False])
def test_a_job_costs_at_most_three_statements_and_two_transactions(go_on, begin, broker, world, define, count, tune):
    """Beyond what its step writes: these steps write nothing."""
    tune(GO_ON=go_on)
    quiet = {verb: (lambda _self, _run: None) for verb in ("stage", "commit", "rollback")}
    workflow = define(
        world.step("a", **quiet),
        world.step("b", **quiet),
        world.step("pay", pivot=True, **quiet),
        world.step("email", tells=True, **quiet),
    )
    begin(workflow)
    broker.deliver_all()
    count.statements.clear()
    count.transactions = 0
    pipeline = begin(workflow)
    accepted = (len(count.statements), count.transactions)
    count.statements.clear()
    count.transactions = 0
    broker.deliver_all()
    executed, transactions, jobs = list(count.statements), count.transactions, 8
    assert drain(pipeline, broker) == "committed"
    assert accepted[0] <= 10
    assert accepted[1] == 1
    budget = {True: 2, False: 3}[go_on]
    assert len(executed) <= budget * jobs, executed
    assert transactions <= 2 * jobs
    sent = len(broker.sent) // 2
    assert sent <= (3 if go_on else 8)


@pytest.mark.parametrize("steps", [1, 4, 60])
def test_accepting_takes_the_same_few_statements_whatever_the_number_of_steps(
    steps, broker, world, define, count, tune
):
    tune(MAX_OPEN_PER_CLIENT=5)
    workflow = define(*(world.step(f"s{number}") for number in range(steps)))
    assert connection.ensure_connection() is None
    count.statements.clear()
    start(workflow, input={}, key="k", client="c", attachments={"logo": b"x" * 1000})
    assert len(count.statements) <= 6, count.statements


@pytest.mark.parametrize("go_on", [True, False])
def test_no_transaction_is_open_while_a_verb_that_is_not_local_runs(go_on, posting, begin, broker, world, tune):
    tune(GO_ON=go_on)
    seen = []

    def look(run):
        seen.append((connection.in_atomic_block, connection.connection.info.transaction_status))
        run.call("do", {})
        seen.append((connection.in_atomic_block, connection.connection.info.transaction_status))
        run.record(x=1)
        seen.append((connection.in_atomic_block, connection.connection.info.transaction_status))
        (others,) = together(open_transactions)
        assert others == 0
        return world.do(run)

    for step in ("logo", "posting", "payment", "email"):
        world.will(f"{step}.stage", look)
        world.will(f"{step}.commit", look)
    assert drain(begin(posting), broker) == "committed"
    assert len(seen) == 24
    assert set(seen) == {(False, TransactionStatus.IDLE)}


def open_transactions():
    """Transactions that are open in this database beside the one that asks."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND xact_start IS NOT NULL"
            " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        return cursor.fetchone()[0]


def test_a_local_verb_shares_the_transaction_of_its_record(begin, broker, world, define):
    seen = []

    def look(run):
        seen.append(connection.in_atomic_block)
        return world.do(run)

    world.will("posting.stage", look)
    assert drain(begin(define(world.step("posting", local=True))), broker) == "committed"
    assert seen == [True]
