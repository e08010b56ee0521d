"""What every folder of tests shares."""

import os
import re
from pathlib import Path

import pytest
from django.conf import settings

from config.celery import app

pytest_plugins = ["pipeline.testing.fixtures"]

ROOT = Path(__file__).parent
# These start processes of their own, or share what is slow to make: each of these is run whole by one of
# pytest's processes.
TOGETHER = ("e2e", "workers", "local", "browser", "benchmarks", "web", "api/test_server.py")


def pytest_configure() -> None:
    """Each of pytest's processes has databases of its own in the one Redis."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    app.conf.broker_url = settings.CELERY_BROKER_URL = _database(settings.CELERY_BROKER_URL, 2 * number)
    settings.PIPELINE["OWNER_ADDRESS"] = None  # it would lead to another database than the tests' own
    cache = settings.CACHES["default"]
    if "LOCATION" in cache:
        cache["LOCATION"] = _database(cache["LOCATION"], 2 * number + 1)


def _database(address: str, number: int) -> str:
    return re.sub(r"/\d+$", f"/{number}", address)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep together what would get in its own way."""
    for item in items:
        path = item.path.relative_to(ROOT).as_posix()
        for part in TOGETHER:
            if path.startswith(part):
                item.add_marker(pytest.mark.xdist_group(part))
