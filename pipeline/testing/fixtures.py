"""pytest fixtures of the kit: `pytest_plugins = ["pipeline.testing.fixtures"]` in a conftest.py."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest
from django.db import connection

from pipeline.ownership import owner
from pipeline.testing.broker import ScriptedBroker
from pipeline.testing.faults import disarm
from pipeline.testing.workflows import throwaway
from pipeline.testing.world import World
from pipeline.workflow import Workflow

# Whose tables are emptied after a test, and no signal sent: a tenth of the time that all of them take.
_APPS = ["pipeline", "django.contrib.auth", "django.contrib.contenttypes"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that asks for `broker` commits for real; without a mark of its own, the engine's tables are emptied."""
    for item in items:
        if "broker" in getattr(item, "fixturenames", ()) and item.get_closest_marker("django_db") is None:
            item.add_marker(pytest.mark.django_db(transaction=True, available_apps=_APPS))


@pytest.fixture(scope="session")
def quick_flush() -> Iterator[None]:
    """Empty tables by DELETE: for a few rows it takes milliseconds, and TRUNCATE a hundred."""
    operations: Any = type(connection.ops)
    truncate = operations.sql_flush

    def delete(_self: Any, _style: Any, tables: Sequence[str], **_: Any) -> list[str]:
        return [f'DELETE FROM "{table}"' for table in tables]

    operations.sql_flush = delete
    yield
    operations.sql_flush = truncate


@pytest.fixture
def broker(quick_flush: None) -> Iterator[ScriptedBroker]:
    """A scripted broker in Celery's place; afterwards nothing is armed and this process holds no lock.

    Tests whose steps write to tables of other apps name those: `django_db(transaction=True, available_apps=[…])`.
    """
    with ScriptedBroker() as scripted:
        yield scripted
    disarm()
    owner().renounce()


@pytest.fixture
def world() -> World:
    """A world without effects yet."""
    return World()


@pytest.fixture
def define() -> Iterator[Callable[..., type[Workflow]]]:
    """`define(*steps, …)` makes a workflow for this test, as `throwaway` does."""
    with ExitStack() as stack:

        def make(*steps: Any, **options: Any) -> type[Workflow]:
            return stack.enter_context(throwaway(*steps, **options))

        yield make
