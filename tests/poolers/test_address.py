"""DATABASE_URL is read as PostgreSQL reads it; what stands in its options takes no limit away."""

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from config import database
from config.database import LIMITS
from pipeline.postgresql.base import DatabaseWrapper
from tests.pgbouncer import ordinary_role


@pytest.fixture
def read(monkeypatch):
    def settings(address, **variables):
        for name in ("DATABASE_POOL", "DATABASE_FRESH", "DATABASE_PREPARE"):
            monkeypatch.delenv(name, raising=False)
        for name, value in ({"DATABASE_URL": address} | variables).items():
            monkeypatch.setenv(name, value)
        return database.from_environment()

    return settings


def parts(settings):
    return tuple(settings[name] for name in ("HOST", "PORT", "NAME", "USER", "PASSWORD"))


def test_one_host(read):
    settings = read("postgresql://me:p%40ss@db.example:5433/shop?sslmode=require")
    assert parts(settings) == ("db.example", "5433", "shop", "me", "p@ss")
    assert settings["OPTIONS"]["sslmode"] == "require"
    assert settings["OPTIONS"]["session_limits"] == LIMITS


def test_several_hosts(read):
    settings = read("postgres://me:x@db-1:5432,db-2:5433/shop?target_session_attrs=read-write")
    assert parts(settings) == ("db-1,db-2", "5432,5433", "shop", "me", "x")
    assert settings["OPTIONS"]["target_session_attrs"] == "read-write"


def test_a_socket(read):
    assert parts(read("postgresql://me@%2Fvar%2Frun%2Fpostgresql/shop")) == (
        "/var/run/postgresql",
        "",
        "shop",
        "me",
        "",
    )


@pytest.mark.parametrize(
    "wrong", ["sqlite:///shop.db", "mysql://me:hunter2@db/shop", "postgresql://me:hunter2@db/s?x=y"]
)
def test_what_is_no_address_of_postgresql_is_named_without_its_password(wrong, read):
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL") as refused:
        read(wrong)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "threshold", "shared"), [(None, 2, False), ("", None, False), ("1", 2, True), ("0", None, False)]
)
def test_statements_are_prepared_through_a_pooler_only_where_it_is_said(given, threshold, shared, read):
    variables = {} if given is None else {"DATABASE_PREPARE": given}
    options = read("postgresql://db/shop", **variables)["OPTIONS"]
    assert (options["prepare_threshold"], options["prepare_shared"]) == (threshold, shared)


@pytest.mark.django_db(transaction=True)
def test_a_host_that_cannot_be_written_to_is_passed_over_and_options_take_no_limit_away(read):
    """One server under two addresses: at the first nobody listens."""
    given = connection.settings_dict
    with ordinary_role() as role:
        role.unlimit()
        options = "target_session_attrs=read-write&options=-c%20search_path%3Dpublic"
        several = role.direct.replace("@", f"@{given['HOST']}:1,").partition("?")[0] + f"?{options}"
        one = DatabaseWrapper(given | read(several), alias="default")
        try:
            with one.cursor() as cursor:
                for name, value in LIMITS.items():
                    cursor.execute(f"SHOW {name}")
                    assert cursor.fetchone() == (value,)
        finally:
            one.close()
