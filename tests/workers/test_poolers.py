"""Real workers whose statements go through a PgBouncer in transaction mode, and owners' locks where they may."""

import time

import pytest

from pipeline.models import Event, Pipeline
from tests.pgbouncer import needs_pgbouncer, ordinary_role, pgbouncer
from tests.workers.conftest import wait_for_end, wait_until, was_taken_over

pytestmark = needs_pgbouncer


@pytest.fixture
def role(transactional_db):
    with ordinary_role() as made:
        yield made


@pytest.fixture
def pooler(role):
    with pgbouncer(role, server_lifetime="1", server_idle_timeout="1") as server:
        yield server


def owners_at(where, role, pooler):
    return role.direct if where == "PostgreSQL itself" else pooler.url("owners")


@pytest.fixture(params=["PostgreSQL itself", "a pool in session mode"])
def worker(request, start_worker, role, pooler):
    addresses = {"DATABASE_URL": pooler.url(), "DATABASE_OWNER_URL": owners_at(request.param, role, pooler)}
    running = start_worker(**addresses).wait()
    yield running
    running.kill()


def test_jobs_are_run_once_while_the_pool_retires_its_connections(worker, submit, ledger):
    """Longer than the pool's connections live; each job has one owner all the while."""
    until, pipelines = time.monotonic() + 5, []
    while time.monotonic() < until:
        pipelines.append(submit())
        wait_for_end(pipelines)
    assert not Event.objects.filter(type="taken_over").exists()
    for pipeline in pipelines:
        assert Pipeline.objects.get(pk=pipeline).state == "committed"
        ledger.assert_agrees(pipeline)


def test_a_killed_process_is_noticed_long_before_its_lease_ends(worker, place, submit, ledger):
    """Its lock is free as soon as PostgreSQL, or the pooler in between, sees its socket closed."""
    for _ in range(2):  # the worker's sweep may still be starting at the first
        (place[0] / "crash").write_text("payment.commit.effect")
        pipeline = submit()
        wait_until(lambda at=pipeline: was_taken_over(at, "payment"), 20)
        wait_for_end([pipeline])
        assert Event.objects.get(pipeline=pipeline, type="taken_over").data["why"] == "owner gone"
        ledger.assert_agrees(pipeline, repeats=1)


@pytest.mark.parametrize("owners", ["transaction mode", "by default"])
def test_a_worker_does_not_start_where_its_lock_would_mean_nothing(owners, start_worker, pooler):
    addresses = {"DATABASE_URL": pooler.url()}
    if owners == "transaction mode":
        addresses["DATABASE_OWNER_URL"] = pooler.url()
    worker = start_worker(**addresses)
    assert worker.process.wait(30) == 1
    said = worker.log.read_text()
    assert "pipeline.E208" in said
    assert "DATABASE_OWNER_URL" in said


def test_a_worker_does_not_start_without_limits(start_worker, role, pooler):
    role.unlimit()
    worker = start_worker(DATABASE_URL=pooler.url(), DATABASE_OWNER_URL=role.direct)
    assert worker.process.wait(30) == 1
    assert "pipeline.E207" in worker.log.read_text()
    assert "ALTER ROLE" in worker.log.read_text()
