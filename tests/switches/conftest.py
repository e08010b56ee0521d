"""The matrix's shop, and the table of what was noticed."""

from typing import Any

import pytest

from tests.matrix.conftest import clients, shop  # noqa: F401 - fixtures
from tests.sandbox.conftest import shared_sandbox  # noqa: F401 - a fixture
from tests.switches.switches import Switch

_APPS = ["pipeline", "postings", "django.contrib.auth", "django.contrib.contenttypes", "rest_framework.authtoken"]
# The first lines of a failed run: which scenario and which trouble it was.
_ABOUT = ("sold", "turned_back", "crash at", "exception at", "duplicate at", "zombie at", "inconsistent")
_rows: list[tuple[str, str, str]] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """As the matrix's tests."""
    for item in items:
        if "/tests/switches/" in str(item.path) and item.get_closest_marker("django_db") is None:
            item.add_marker(pytest.mark.django_db(transaction=True, available_apps=_APPS))


def noticed(switch: Switch, failure: AssertionError) -> None:
    """Keep a line for the table: the part that failed, and the last sentence of why."""
    why = next((line for line in str(failure).splitlines() if _says_why(line)), "")
    _rows.append((switch.name, switch.part.__name__.replace("_", " "), why[:90]))


def _says_why(line: str) -> bool:
    return bool(line) and not line.startswith(_ABOUT)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Which switch was noticed by what; `pytest` itself fails when one was not."""
    if not _rows:
        return
    terminalreporter.section("switches")
    for name, part, why in _rows:
        terminalreporter.write_line(f"{name:38} {part:36} caught: {why}")
