"""The shop against the sandbox, cheap enough for thousands of runs: clients are made once, and nothing sleeps."""

from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from typing import Any

import pytest

from pipeline.testing import ScriptedBroker, as_workers
from postings.models import Plan
from postings.providers import storage, stripe
from tests.matrix.play import Shop
from tests.matrix.trouble import Armed, arming
from tests.postings.conftest import PRICE, picture
from tests.sandbox.conftest import Sandbox, shared_sandbox  # noqa: F401 - a fixture

_APPS = ["pipeline", "postings", "django.contrib.auth", "django.contrib.contenttypes", "rest_framework.authtoken"]

_MAKERS = {"s3": storage._client.__wrapped__, "stripe": stripe._client.__wrapped__}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These tests commit for real; the tables of the two apps are emptied afterwards."""
    for item in items:
        if "/tests/matrix/" in str(item.path) and item.get_closest_marker("django_db") is None:
            item.add_marker(pytest.mark.django_db(transaction=True, available_apps=_APPS))


@cache
def _made_once(name: str, address: str) -> Any:
    """A client of that address: making boto3's takes longer than several runs."""
    return _MAKERS[name]()


@pytest.fixture
def clients(shared_sandbox: Sandbox, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Sandbox:  # noqa: F811
    """An empty sandbox, and the provider modules pointed at it."""
    shared_sandbox.post("webhooks", {"stripe": None, "sendgrid": None})
    shared_sandbox.post("reset")
    url = shared_sandbox.url
    settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE = "sk_test_x", f"{url}/stripe"
    settings.SENDGRID_API_KEY, settings.SENDGRID_HOST = "SG.x", f"{url}/sendgrid"
    settings.S3_ENDPOINT_URL, settings.S3_BUCKET = f"{url}/s3", "postings"
    settings.SANDBOX_URL = url
    settings.S3_ACCESS_KEY_ID = settings.S3_SECRET_ACCESS_KEY = "sandbox"
    monkeypatch.setattr(storage, "_client", lambda: _made_once("s3", url))
    monkeypatch.setattr(stripe, "_client", lambda: _made_once("stripe", url))
    return shared_sandbox


@pytest.fixture
def shop(clients: Sandbox, broker: ScriptedBroker, settings: Any) -> Iterator[Shop]:
    """Everything that a run needs. Dead owners are known to be dead at once."""

    def go_on(is_on: bool) -> None:
        settings.PIPELINE = settings.PIPELINE | {"GO_ON": is_on}

    settings.PIPELINE = settings.PIPELINE | {
        "OWNER_GRACE": timedelta(0),
        "ON_ATTENTION": "",
        "MAX_OPEN_PER_CLIENT": 0,
        "AUDITS": ("postings.audit.audit",),
    }
    plan = Plan.objects.create(slug="basic", name="Basic", amount=PRICE, currency="EUR", duration_days=30)
    with as_workers(1) as [other]:
        armed = Armed(clients, broker, other)
        with arming(armed):
            made = Shop(clients, broker, armed, plan, picture(), go_on)
            armed.look = made.look
            yield made
