"""A database that can only be read, or does not answer, for a while: 503, and well as soon as it is back."""

import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import psycopg
import pytest
from django.db import InternalError, OperationalError, ProgrammingError, connection, transaction
from psycopg import sql

from pipeline.postgresql import base, sessions
from tests.api.conftest import APPS, SUBMISSION, URL, problem
from tests.api.test_server import served
from tests.workers.conftest import wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True, available_apps=APPS),
    pytest.mark.slow,
    pytest.mark.usefixtures("broker"),
]


def say(statement, *params):
    with connection.cursor() as cursor:
        cursor.execute(statement.format(database=connection.ops.quote_name(connection.settings_dict["NAME"])), params)


def cut_the_others():
    say(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )


@contextmanager
def only_readable():
    """Sessions that are opened meanwhile can only read, for as long as they live; those from before are cut."""
    say("ALTER DATABASE {database} SET default_transaction_read_only = on")
    cut_the_others()
    try:
        yield
    finally:
        say("ALTER DATABASE {database} RESET default_transaction_read_only")


@contextmanager
def away():
    """Nobody can connect, and those who were connected are cut."""
    params = connection.get_connection_params() | {"dbname": "postgres"}
    with psycopg.connect(**params, autocommit=True) as beside:
        name = sql.Identifier(connection.settings_dict["NAME"])
        cut_the_others()
        beside.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
        cut_the_others()
        try:
            yield
        finally:
            beside.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))


@pytest.fixture(params=["1", "0"], ids=["with a pool", "a connection a thread"])
def site(request, tmp_path, plan, django_user_model):
    django_user_model.objects.create_superuser("olga", password="of-the-tests")
    with served(tmp_path, DATABASE_POOL=request.param) as url, httpx.Client(base_url=url, timeout=20) as client:
        yield client


def submit(site):
    return site.post(URL, json=SUBMISSION, headers={"Idempotency-Key": uuid.uuid4().hex})


def log_in(site):
    """It writes the session, and when the user was last seen."""
    token = site.get("/admin/login/").cookies["csrftoken"]
    form = {"csrfmiddlewaretoken": token, "username": "olga", "password": "of-the-tests"}
    return site.post("/admin/login/", data=form)


def at_once(*acts):
    with ThreadPoolExecutor(len(acts)) as threads:
        return [each.result() for each in [threads.submit(act) for act in acts]]


def assert_unavailable(response, kind):
    assert response.status_code == 503, response.text
    assert response.headers["Retry-After"]
    assert response.headers["Content-Type"].startswith(kind)


def test_a_read_only_database_is_503_and_well_as_soon_as_it_can_be_written_to(site):
    assert submit(site).status_code == 202
    with only_readable():
        reading = at_once(*[lambda: site.get("/api/v1/plans/")] * 12)  # each with a session that can only read
        assert {response.status_code for response in reading} == {200}
        for response in at_once(*[lambda: submit(site)] * 4):
            assert_unavailable(response, "application/problem+json")
            assert response.json()["code"] == "unavailable"
        ready = site.get("/readyz")
        assert (ready.status_code, ready.json()["database"]) == (503, "read-only")
        assert_unavailable(log_in(site), "text/html")
    # A session that is younger than a second is believed, so the last ones before the end are used for so long.
    wait_until(lambda: site.get("/readyz").json()["database"] == "up", 10)
    wait_until(lambda: {response.status_code for response in at_once(*[lambda: submit(site)] * 12)} == {202}, 10)


def test_a_database_that_was_away_is_used_again_at_once(site):
    """By itself a pool tries after 1, 3, 7 and 15 s: in between it would have nothing to give."""
    assert submit(site).status_code == 202
    with away():
        until = time.monotonic() + 8.5
        ready = site.get("/readyz")
        assert (ready.status_code, ready.json()["database"]) == (503, "down")
        assert_unavailable(site.get("/"), "text/html")
        while time.monotonic() < until:
            assert_unavailable(submit(site), "application/problem+json")
    assert {response.status_code for response in at_once(*[lambda: submit(site)] * 4)} == {202}
    assert site.get("/readyz").status_code == 200


# --- what the driver says, and what it means -------------------------------------------------------


def fail(state):
    say(f"DO $$ BEGIN RAISE EXCEPTION 'made by a test' USING ERRCODE = '{state}'; END $$")


def backend():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]


@pytest.mark.parametrize("state", [*sorted(base.GONE), "08006", "08P01", "57P01", "57P02", "57P03", "57P05"])
def test_an_error_of_the_server_or_the_session_is_one_and_the_session_is_not_used_again(state):
    before = backend()
    with pytest.raises(OperationalError):
        fail(state)
    connection.close_if_unusable_or_obsolete()  # as after each request
    assert backend() != before


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("XX000", InternalError),
        ("25P01", InternalError),
        ("42601", ProgrammingError),
        ("57014", OperationalError),  # a statement that took too long: the session is well
        ("40P01", OperationalError),
        ("53200", OperationalError),
    ],
)
def test_what_is_our_own_mistake_or_passes_by_itself_ends_no_session(state, kind):
    before = backend()
    with pytest.raises(kind):
        fail(state)
    connection.close_if_unusable_or_obsolete()
    assert backend() == before


def test_a_session_that_was_ended_in_an_idle_transaction_is_one_of_them(db):
    before = backend()

    def be_idle():
        with transaction.atomic():
            say("SET LOCAL idle_in_transaction_session_timeout = '20ms'")
            time.sleep(0.2)
            say("SELECT 1")

    with pytest.raises(OperationalError):
        be_idle()
    connection.close_if_unusable_or_obsolete()
    assert backend() != before


@pytest.fixture
def read_only_session(monkeypatch):
    monkeypatch.setattr(sessions, "YOUNG", 0.0)
    say("SET default_transaction_read_only = on")
    yield
    connection.close()


def test_a_problem_names_no_detail_of_the_database(post, read_only_session):
    body = problem(post(SUBMISSION), 503, "unavailable")
    assert "read-only" not in json.dumps(body)


def test_what_a_kept_session_cannot_do_is_seen_before_it_is_used_again(read_only_session):
    """Once a request, as Django asks whether a kept connection is usable."""
    before = backend()
    connection.close_if_unusable_or_obsolete()
    assert backend() != before
