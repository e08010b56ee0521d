"""This process behind a pooler: Django's connection, and owners', go where a test says."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection
from psycopg.conninfo import conninfo_to_dict

from tests.pgbouncer import PgBouncer, Role, ordinary_role, pgbouncer


@pytest.fixture
def role(transactional_db) -> Iterator[Role]:
    with ordinary_role() as made:
        yield made


@pytest.fixture
def pooler(role) -> Iterator[PgBouncer]:
    with pgbouncer(role) as server:
        yield server


@pytest.fixture
def lead(settings):
    """`with lead(database, owners):` leads Django's connection, and owners' where it is given, to other addresses."""

    @contextmanager
    def to(database: str, owners: str | None = None, **options: Any) -> Iterator[None]:
        given, parts = connection.settings_dict, conninfo_to_dict(database)
        before = {name: given[name] for name in ("HOST", "PORT", "NAME", "USER", "PASSWORD", "OPTIONS")}
        connection.close()
        given |= {"HOST": parts["host"], "PORT": parts["port"], "NAME": parts["dbname"]}
        given |= {"USER": parts["user"], "PASSWORD": parts["password"], "OPTIONS": given["OPTIONS"] | options}
        if owners is not None:
            settings.PIPELINE = settings.PIPELINE | {"OWNER_ADDRESS": conninfo_to_dict(owners)}
        try:
            yield
        finally:
            connection.close()
            given |= before

    return to
