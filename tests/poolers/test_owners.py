"""An owner is believed where its lock tells that its process lives, and begins nothing elsewhere."""

import time

import psycopg
import pytest

from pipeline import owner_session, ownership
from pipeline.connection_checks import check_connections
from pipeline.errors import UnsteadyOwner
from pipeline.ownership import Owner
from tests.pgbouncer import needs_pgbouncer, pgbouncer

pytestmark = [needs_pgbouncer, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def owner():
    made = Owner()
    yield made
    made.renounce()


def ids():
    return [message.id for message in check_connections(None, databases=["default"])]


def hint():
    (message,) = check_connections(None, databases=["default"])
    return message.hint


@pytest.mark.parametrize("pool_size", ["1", "5"])
@pytest.mark.parametrize("round_robin", ["0", "1"])
def test_an_address_in_transaction_mode_is_refused(pool_size, round_robin, role, lead, owner):
    with pgbouncer(role, server_round_robin=round_robin, max_db_connections=pool_size) as pooler:
        warm = [psycopg.connect(pooler.url(), autocommit=True) for _ in range(int(pool_size))]
        for session in warm[1:]:
            session.execute("BEGIN")  # so that the pool has several idle backends to give
        for session in warm:
            session.execute("SELECT 1")
        for session in warm:
            session.close()
        with lead(pooler.url()):
            with pytest.raises(UnsteadyOwner, match="DATABASE_OWNER_URL"):
                owner.id()
            assert owner.held() == 0
            assert ids() == ["pipeline.E208"]
            assert "DATABASE_OWNER_URL" in hint()


@pytest.mark.parametrize("owners", ["a pool in session mode", "PostgreSQL itself"])
def test_owners_have_an_address_of_their_own(owners, pooler, role, lead, owner):
    with lead(pooler.url(), role.direct if owners == "PostgreSQL itself" else pooler.url("owners")):
        assert ids() == []
        mine = owner.id()
        assert owner.is_alive(mine)
        assert owner_session.is_locked(mine)
        owner.renounce()
        until = time.monotonic() + 5
        while owner_session.is_locked(mine):
            assert time.monotonic() < until
            time.sleep(0.01)


def test_a_pool_in_session_mode_serves_for_everything(pooler, lead, owner):
    with lead(pooler.url("owners")):
        assert ids() == []
        assert owner.is_alive(owner.id())


def test_a_lock_that_others_do_not_see_is_refused(pooler, role, lead):
    elsewhere = role.direct.rpartition("/")[0] + "/postgres"
    with lead(pooler.url(), elsewhere):
        assert ids() == ["pipeline.E208"]
        assert "same database" in hint()


def test_a_pool_that_keeps_what_sessions_leave_is_refused(role, lead):
    with pgbouncer(role, server_reset_query="DEALLOCATE ALL") as pooler, lead(pooler.url(), pooler.url("owners")):
        assert ids() == ["pipeline.E208"]
        assert "DISCARD ALL" in hint()


def test_an_owner_whose_pool_changes_its_mode_begins_nothing_more(pooler, role, lead, owner, monkeypatch):
    """Its socket stays open all the while, and its lock is held: by a backend that is no longer its own."""
    monkeypatch.setattr(ownership, "PROVEN_FOR", 0.0)
    with lead(role.direct, pooler.url("owners")):
        mine = owner.id()
        assert owner.is_alive(mine)
        pooler.configure(owners_mode="transaction")
        pooler.tell("RELOAD")
        owner.is_alive(mine)  # the last statement of the old mode: its backend goes back to the pool
        with psycopg.connect(pooler.url("owners")) as other:
            other.execute("SELECT 1")  # in a transaction, so that the owner gets another backend
            assert not owner.is_alive(mine)
            assert owner.held() == 0
            assert owner_session.is_locked(mine), "the pool has the lock: nobody else can tell that it means nothing"
            with pytest.raises(UnsteadyOwner):
                owner.id()


def test_an_owner_that_gets_no_answer_begins_nothing_more(role, lead, owner, monkeypatch):
    monkeypatch.setattr(ownership, "PROVEN_FOR", 0.0)
    monkeypatch.setattr(owner_session, "PATIENCE", 0.2)
    with pgbouncer(role) as pooler, lead(role.direct, pooler.url("owners")):
        mine = owner.id()
        pooler.pause()
        began = time.monotonic()
        assert not owner.is_alive(mine)
        assert time.monotonic() - began < 5
        pooler.resume()


def test_a_server_connection_is_not_retired_while_an_owner_holds_it(role, lead, owner, monkeypatch):
    monkeypatch.setattr(ownership, "PROVEN_FOR", 0.0)
    times = {"server_lifetime": "1", "server_idle_timeout": "1", "server_check_delay": "0"}
    with pgbouncer(role, **times) as pooler, lead(role.direct, pooler.url("owners")):
        mine = owner.id()
        retired = psycopg.connect(pooler.url(), autocommit=True, prepare_threshold=None)
        before = retired.execute("SELECT pg_backend_pid()").fetchone()
        until = time.monotonic() + 20
        while retired.execute("SELECT pg_backend_pid()").fetchone() == before:
            assert time.monotonic() < until, "nothing was retired: this shows nothing"
            time.sleep(0.2)
        retired.close()
        assert owner.is_alive(mine)
        assert owner_session.is_locked(mine)
