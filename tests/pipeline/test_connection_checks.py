"""What the checks that ask the database say of it; tests/poolers shows what they say of poolers."""

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from pipeline import connection_checks, worker
from pipeline.connection_checks import check_connections

pytestmark = pytest.mark.django_db(transaction=True)


def found():
    return check_connections(None, databases=["default"])


def test_this_database_passes():
    assert found() == []


def test_an_older_postgresql_is_named(monkeypatch):
    monkeypatch.setattr(connection_checks, "OLDEST", 1000)
    (message,) = found()
    assert message.id == "pipeline.E206"
    assert "1000 or newer" in message.hint
    with pytest.raises(SystemExit, match=r"pipeline\.E206"):
        worker.refuse_wrong_connections()


def test_a_database_that_is_away_is_named_and_a_worker_waits_for_it(monkeypatch):
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "PORT", "1")
    (message,) = found()
    assert message.id == "pipeline.E209"
    assert "DATABASE_URL" in message.hint
    with pytest.raises(CommandError, match="E209"):
        call_command("check", databases=["default"])
    worker.refuse_wrong_connections()


def test_nothing_is_asked_unless_the_database_is_named(monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "PORT", "1")
    assert check_connections(None) == []
