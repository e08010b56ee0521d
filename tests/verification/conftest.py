"""`manage.py verify` against PostgreSQL and the sandbox: a shop at work, and violations planted from outside."""

import json
import uuid
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from pipeline.testing import SOON, ScriptedBroker, drain
from pipeline.verification import Violation, violations
from tests.postings.conftest import PRICE, Outside, logo, outside, plan, submit  # noqa: F401 - fixtures
from tests.sandbox.conftest import shared_sandbox  # noqa: F401 - a fixture

APPS = [
    "pipeline",
    "postings",
    "examples.registrations",
    "examples.ledger_orders",
    "django.contrib.auth",
    "django.contrib.contenttypes",
]
Submit = Callable[..., uuid.UUID]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These tests commit for real; the tables of these apps are emptied afterwards."""
    for item in items:
        if "/tests/verification/" in str(item.path) and item.get_closest_marker("django_db") is None:
            item.add_marker(pytest.mark.django_db(transaction=True, available_apps=APPS))


@pytest.fixture
def shop(outside: Outside, settings: Any) -> Outside:  # noqa: F811
    """The sandbox, which verify reads whole, and nothing else."""
    settings.SANDBOX_URL = outside.sandbox.url
    return outside


@pytest.fixture
def committed(shop: Outside, broker: ScriptedBroker, submit: Submit) -> uuid.UUID:  # noqa: F811
    pipeline = submit()
    assert drain(pipeline, broker) == "committed"
    return pipeline


@pytest.fixture
def rolled_back(shop: Outside, broker: ScriptedBroker, submit: Submit) -> uuid.UUID:  # noqa: F811
    pipeline = submit("pm_card_chargeDeclined")
    assert drain(pipeline, broker, within=SOON) == "rolled_back"
    return pipeline


def sql(statement: str, *values: Any) -> None:
    """Write past the engine, as a defect would."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        assert cursor.rowcount != 0, "nothing was planted"


def hold(shop: Outside, reference: str, *, capture: bool = False, amount: int = PRICE) -> str:
    """Money held at Stripe by somebody who uses the mark."""
    client = shop.sandbox.stripe(timeout=5)
    intent = client.v1.payment_intents.create(
        {
            "amount": amount,
            "currency": "eur",
            "capture_method": "manual",
            "payment_method": "pm_card_visa",
            "payment_method_types": ["card"],
            "confirm": True,
            "metadata": {"pipeline_id": reference} if reference else {},
        }
    )
    if capture:
        client.v1.payment_intents.capture(intent.id)
    return intent.id


def put(shop: Outside, key: str, reference: str, body: bytes = b"picture") -> None:
    shop.sandbox.s3(read_timeout=5).put_object(
        Bucket="postings", Key=key, Body=body, Metadata={"pipeline-id": reference}, ChecksumAlgorithm="SHA256"
    )


def found(**scope: Any) -> set[tuple[str, uuid.UUID | None]]:
    """Which invariants of which pipelines do not hold."""
    return {(each.invariant, each.pipeline) for each in violations(**scope)}


def only(invariant: str, pipeline: uuid.UUID | None, **scope: Any) -> Violation:
    """The one violation there is; AssertionError if there is another one, or none of that kind."""
    listed = violations(**scope)
    assert {(each.invariant, each.pipeline) for each in listed} == {(invariant, pipeline)}, listed
    return listed[0]


def verify(*arguments: str) -> tuple[int, str]:
    """`manage.py verify` with its exit status and what it printed."""
    out = StringIO()
    try:
        call_command("verify", *arguments, stdout=out)
    except SystemExit as ended:
        return int(str(ended.code)), out.getvalue()
    return 0, out.getvalue()


def as_json(*arguments: str) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = json.loads(verify("--json", *arguments)[1])["violations"]
    return told
