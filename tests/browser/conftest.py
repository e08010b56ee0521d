"""A real browser on the real pages; workers' jobs run when a test says so."""

import contextlib
import logging

import pytest
from django.conf import settings as project

from postings.models import Plan
from tests.browser import webdriver
from tests.pages.conftest import no_rates, png, typed  # noqa: F401 - fixtures
from tests.postings.conftest import outside  # noqa: F401 - a fixture
from tests.sandbox.conftest import shared_sandbox  # noqa: F401 - a fixture

logging.getLogger("httpx").setLevel(logging.WARNING)  # a line a command says nothing


def pytest_collection_modifyitems(items):
    """They commit for real, in every app's tables."""
    for item in items:
        if "/tests/browser/" in str(item.path):
            item.add_marker(pytest.mark.django_db(transaction=True, available_apps=list(project.INSTALLED_APPS)))
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def chromedriver():
    if name := webdriver.missing():
        pytest.skip(f"{name} is not installed (Debian: apt-get install chromium chromium-driver)")
    with webdriver.driver() as address:
        yield address


@pytest.fixture
def site(live_server, settings, outside):  # noqa: F811
    """The address of the running pages, their providers being the sandbox."""
    settings.SITE_URL = live_server.url
    settings.SANDBOX_URL = outside.sandbox.url
    return live_server.url


@pytest.fixture(scope="session")
def windows(chromedriver, django_db_setup):
    """One window that runs scripts and one that does not: starting one takes a second.

    They go before the database does: while a window is open, a thread of the server keeps its connection.
    """
    with webdriver.browser(chromedriver) as scripted, webdriver.browser(chromedriver, javascript=False) as plain:
        yield {"with JavaScript": scripted, "without JavaScript": plain}


@pytest.fixture(params=["with JavaScript", "without JavaScript"])
def window(request, windows):
    with _fresh(windows[request.param]) as fresh:
        yield fresh


@pytest.fixture
def scripted(windows):
    """A window that runs scripts."""
    with _fresh(windows["with JavaScript"]) as fresh:
        yield fresh


@contextlib.contextmanager
def _fresh(window):
    window.complaints()
    yield window
    window.open("about:blank")  # a page that follows a pipeline would go on asking for it in the next test


@pytest.fixture
def plan(transactional_db):
    return Plan.objects.create(slug="basic", name="Basic", amount=9900, currency="EUR", duration_days=30)
