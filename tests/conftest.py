"""What every folder of tests shares."""

from pathlib import Path

import pytest

pytest_plugins = ["pipeline.testing.fixtures"]

ROOT = Path(__file__).parent
# These start processes of their own, or share the one Redis: one of pytest's processes runs them all, while
# another one runs the rest.
ALONE = ("e2e", "workers", "local", "browser", "benchmarks", "api/test_server.py")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep together what would get in its own way."""
    for item in items:
        if item.path.relative_to(ROOT).as_posix().startswith(ALONE):
            item.add_marker(pytest.mark.xdist_group("processes"))
