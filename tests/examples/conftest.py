"""The two example workflows against the sandbox, which is a process of its own."""

import itertools
import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from examples.ledger_orders.models import Buyer
from examples.ledger_orders.providers import modern_treasury
from examples.ledger_orders.workflow import PlaceOrder
from examples.registrations.providers import supabase
from examples.registrations.workflow import RegisterInstitution
from pipeline.start import start
from pipeline.testing import ScriptedBroker
from tests.postings.conftest import Outside
from tests.sandbox.conftest import Sandbox, shared_sandbox  # noqa: F401 - a fixture

APPS = [
    "pipeline",
    "examples.ledger_orders",
    "examples.registrations",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "rest_framework.authtoken",
]
PASSWORD = "correct horse battery staple"
_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These tests commit for real; the tables of the apps are emptied afterwards."""
    for item in items:
        if "/tests/examples/" in str(item.path) and item.get_closest_marker("django_db") is None:
            item.add_marker(pytest.mark.django_db(transaction=True, available_apps=APPS))


@pytest.fixture(autouse=True)
def generous(settings: Any) -> None:
    """Rates and ceilings off, as in the demo."""
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {
        "DEFAULT_THROTTLE_RATES": dict.fromkeys(("submit", "read", "act")),
    }
    settings.PIPELINE = settings.PIPELINE | {"MAX_OPEN_PER_CLIENT": 0, "ON_ATTENTION": ""}


@pytest.fixture
def outside(
    shared_sandbox: Sandbox,  # noqa: F811
    broker: ScriptedBroker,
    settings: Any,
) -> Iterator[Outside]:
    """An empty sandbox, the examples' provider modules pointed at it, and clients that give up soon."""
    shared_sandbox.post("webhooks", {"stripe": None, "sendgrid": None})
    shared_sandbox.post("reset")
    settings.SUPABASE_URL, settings.SUPABASE_KEY = f"{shared_sandbox.url}/supabase", "service-role"
    settings.MODERN_TREASURY_BASE_URL = f"{shared_sandbox.url}/modern_treasury"
    settings.MODERN_TREASURY_ORGANIZATION_ID = settings.MODERN_TREASURY_API_KEY = "sandbox"
    for provider in (supabase, modern_treasury):
        provider._client.cache_clear()
    yield Outside(shared_sandbox, settings)
    for provider in (supabase, modern_treasury):
        if provider._client.is_made:
            provider._client().close()
        provider._client.cache_clear()


@pytest.fixture
def http() -> Client:
    return Client(enforce_csrf_checks=True)


@pytest.fixture
def post(http: Client) -> Callable[..., Any]:
    """`post(url, {...})` submits JSON under a new key unless one is given."""

    def send(url: str, body: Any, *, key: str = "", **headers: str) -> Any:
        given = {"Idempotency-Key": key or f"example-key-{next(_numbers)}"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        return http.post(url, json.dumps(body), content_type="application/json", headers=given)

    return send


# --- ledger orders -------------------------------------------------------------------------------


@pytest.fixture
def buyers(outside: Outside) -> list[Buyer]:
    """The demo's two buyers, in order of their names."""
    call_command("bootstrap_examples", verbosity=0)
    return list(Buyer.objects.order_by("name"))


@pytest.fixture
def buyer(buyers: list[Buyer]) -> Buyer:
    return buyers[0]


@pytest.fixture
def order(buyer: Buyer) -> Callable[..., uuid.UUID]:
    """`order(1200, 300)` starts a pipeline of two items, as the accept view does."""

    def made(*amounts: int) -> uuid.UUID:
        items = [{"vendor": f"Vendor {number}", "amount": amount} for number, amount in enumerate(amounts, start=1)]
        given = {
            "buyer": str(buyer.pk),
            "account": buyer.account,
            "payables": buyer.payables,
            "line_items": items,
        }
        return start(PlaceOrder, input=given, key=uuid.uuid4().hex).id

    return made


def balance(buyer: Buyer) -> int:
    """What the buyer can spend, as the ledger says now."""
    return modern_treasury.available([buyer.account])[buyer.account]


# --- registrations -------------------------------------------------------------------------------


@pytest.fixture
def register(broker: ScriptedBroker) -> Callable[..., uuid.UUID]:
    """Start a pipeline as the accept view does; keyword arguments replace fields."""

    def made(*, password: str = PASSWORD, **changed: str) -> uuid.UUID:
        number = next(_numbers)
        given = {
            "name": "Greenfield School",
            "subdomain": f"greenfield-{number}",
            "director_email": f"director-{number}@example.com",
        } | changed
        return start(RegisterInstitution, input=given, key=uuid.uuid4().hex, secrets={"director_password": password}).id

    return made
