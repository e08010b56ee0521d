"""Through a pooler sessions have their limits from the role, or are refused; and nothing is left on them."""

import re
import subprocess

import psycopg
import pytest
from django.contrib.auth import get_user_model
from django.db import OperationalError, connection, transaction

from config.database import LIMITS
from pipeline import db
from pipeline.connection_checks import check_connections
from pipeline.db import Statement
from pipeline.postgresql import sessions
from tests.pgbouncer import PROGRAM, documented, needs_pgbouncer, pgbouncer

pytestmark = [needs_pgbouncer, pytest.mark.django_db(transaction=True)]
POOLS = ["postings", "owners"]
WISHES = {"plan_cache_mode": "auto", "enable_seqscan": "on", "enable_bitmapscan": "on"}  # as PostgreSQL has them
BACKEND = Statement("SELECT pg_backend_pid() AS pid", {})


def shown(names, run):
    return {name: run(f"SHOW {name}") for name in names}


def ask(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0]


@pytest.fixture
def as_worker(monkeypatch):
    monkeypatch.setattr(db, "wishes", db.wishes)
    before = dict(db.wishes)
    db.go_by_index()
    yield
    db.wishes.clear()
    db.wishes.update(before)


@pytest.mark.parametrize("pool", POOLS)
def test_the_documented_limits_are_in_force(pool, pooler, lead):
    with lead(pooler.url(pool)):
        assert shown(LIMITS, ask) == LIMITS


def test_the_page_names_the_limits_that_the_settings_ask_for():
    assert dict(re.findall(r"SET (\w+) = '(\w+)'", documented("sql"))) == LIMITS


@pytest.mark.parametrize("pool", POOLS)
def test_a_statement_over_the_limit_is_ended(pool, pooler, role, lead):
    with psycopg.connect(role.direct, autocommit=True) as session:
        session.execute(f"ALTER ROLE CURRENT_USER IN DATABASE {role.database} SET statement_timeout = '200ms'")
    with lead(pooler.url(pool)), pytest.raises(OperationalError, match="statement timeout"):
        ask("SELECT pg_sleep(20)")


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("value", ["0", "1h"])
def test_a_session_without_its_limits_is_refused_and_the_cure_named(pool, name, value, pooler, role, lead):
    with psycopg.connect(role.direct, autocommit=True) as session:
        session.execute(f"ALTER ROLE CURRENT_USER IN DATABASE {role.database} SET {name} = '{value}'")
    with lead(pooler.url(pool), pooler.url("owners")):
        with pytest.raises(OperationalError, match="ALTER ROLE") as refused:
            ask("SELECT 1")
        with pytest.raises(OperationalError):
            ask("SELECT 1")  # nor is it used afterwards
        (message,) = check_connections(None, databases=["default"])
        assert message.id == "pipeline.E207"
        (cure,) = re.findall(r"(ALTER ROLE .*?;)", message.hint)
        assert f"{name} = '{LIMITS[name]}'" in cure
        assert cure in str(refused.value)
        with psycopg.connect(role.direct, autocommit=True) as session:
            session.execute(cure)
        pooler.tell("RECONNECT")
        connection.close()
        assert shown(LIMITS, ask) == LIMITS


def test_postgresqls_own_sessions_are_given_their_limits(role, lead, as_worker):
    role.unlimit()
    with lead(role.direct):
        assert shown(LIMITS, ask) == LIMITS
        assert shown(WISHES, ask) == {
            "plan_cache_mode": "force_generic_plan",
            "enable_seqscan": "off",
            "enable_bitmapscan": "off",
        }


@pytest.mark.parametrize("pool", POOLS)
def test_nothing_is_left_on_a_session_that_others_get(pool, role, lead, as_worker):
    with pgbouncer(role, max_db_connections="1", server_reset_query="") as pooler:
        with lead(pooler.url(pool)):
            mine = ask("SELECT pg_backend_pid()")
            BACKEND.rows({})
            connection.close()
        with psycopg.connect(pooler.url(pool), autocommit=True, prepare_threshold=None) as other:
            assert other.execute("SELECT pg_backend_pid()").fetchone() == (mine,), "another session: this shows nothing"
            run = lambda statement: other.execute(statement).fetchone()[0]  # noqa: E731
            assert shown(WISHES, run) == WISHES
            assert run("SELECT count(*) FROM pg_prepared_statements") == 0


def test_statements_go_on_when_another_backend_answers(pooler, lead):
    """Guarded statements, which are else prepared, and rows that are read in portions."""
    get_user_model().objects.bulk_create(get_user_model()(username=f"reader-{number}") for number in range(30))
    with lead(pooler.url()):
        mine, others = set(), []
        names = get_user_model().objects.order_by("pk").values_list("username", flat=True).iterator(chunk_size=10)
        read = [next(names)]
        for _ in range(5):
            mine.add(BACKEND.row({})["pid"])
            others.append(psycopg.connect(pooler.url()))
            others[-1].execute("SELECT 1")  # in a transaction that takes the backend away
        read += names
        for other in others:
            other.close()
        assert len(mine) > 1, "one backend answered: this shows nothing"
        assert len(read) == 30


def test_a_transaction_keeps_its_backend(pooler, lead):
    with lead(pooler.url()), transaction.atomic():
        before = BACKEND.row({})
        with psycopg.connect(pooler.url()) as other:
            other.execute("SELECT 1")
            assert BACKEND.row({}) == before


def carries_prepared_statements():
    said = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True).stdout if PROGRAM else ""
    found = re.search(r"PgBouncer (\d+)\.(\d+)", said)
    return bool(found) and (int(found[1]), int(found[2])) >= (1, 21)


@pytest.mark.skipif(not carries_prepared_statements(), reason="pgbouncer is older than 1.21")
def test_a_pooler_that_carries_prepared_statements_may_be_used_so(role, lead):
    with pgbouncer(role, max_prepared_statements="200") as pooler, lead(pooler.url(), prepare_shared=True):
        for _ in range(5):
            BACKEND.row({})
        assert sessions.is_shared(connection.connection)
        assert connection.connection._prepared._names
