"""Postings on the board, pipelines behind progress pages, and storage that answers from the sandbox."""

import itertools
from collections.abc import Callable
from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
from django.utils import timezone
from PIL import Image

from pipeline.ids import new_pipeline_id
from pipeline.start import start
from postings.models import Plan, Posting
from postings.workflow import PublishPosting
from tests.pipeline.conftest import Hand
from tests.postings.conftest import outside  # noqa: F401 - a fixture
from tests.sandbox.conftest import shared_sandbox  # noqa: F401 - a fixture

_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def no_rates(settings):
    """Rates have a test of their own."""
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {
        "DEFAULT_THROTTLE_RATES": {"submit": None, "read": None, "act": None}
    }
    settings.PIPELINE = settings.PIPELINE | {"MAX_OPEN_PER_CLIENT": 0}
    settings.MAX_REFUSED_CARDS_PER_HOUR = 0


@pytest.fixture
def plan(db) -> Plan:
    return Plan.objects.create(slug="basic", name="Basic", amount=9900, currency="EUR", duration_days=30)


@pytest.fixture
def publish(plan) -> Callable[..., Posting]:
    """A posting on the board; keyword arguments replace its fields."""

    def make(**changed: Any) -> Posting:
        number = next(_numbers)
        published = timezone.now() - timedelta(minutes=number)
        fields: dict[str, Any] = {
            "pipeline_id": new_pipeline_id(),
            "slug": f"job-{number}",
            "state": "published",
            "title": f"Job {number}",
            "company_name": "Harbour Works",
            "description": "Somebody who likes **pipelines**.",
            "employment_type": "FULL_TIME",
            "location": "Hamburg",
            "country": "DE",
            "apply_email": "jobs@example.com",
            "plan": plan,
            "published_at": published,
            "expires_at": published + timedelta(days=30),
        }
        return Posting.objects.create(**(fields | changed))

    return make


@pytest.fixture
def png() -> bytes:
    out = BytesIO()
    Image.new("RGB", (64, 64), "teal").save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def hand(db, broker, plan) -> Hand:
    """A posting's pipeline, to be moved by hand."""
    fields = {
        "title": "Engineer",
        "contact_email": "customer@example.com",
        "plan": {"slug": "basic", "name": "Basic", "amount": 9900, "currency": "EUR", "duration_days": 30},
        "has_logo": False,
    }
    return Hand(start(PublishPosting, input=fields, key=f"page-{next(_numbers)}").id)


@pytest.fixture
def typed(plan) -> dict[str, str]:
    """What a customer types into the form."""
    return {
        "idempotency_key": f"form-test-{next(_numbers)}",
        "title": "Lighthouse keeper",
        "employment_type": "FULL_TIME",
        "description": "Keep the light burning.\r\n\r\n- by day\r\n- by night",
        "location": "Cuxhaven",
        "country": "DE",
        "salary_min": "38,500.50",
        "salary_max": "42000",
        "salary_currency": "EUR",
        "salary_unit": "YEAR",
        "company_name": "Coast Lights",
        "company_website": "https://example.org",
        "apply_url": "",
        "apply_email": "apply@example.org",
        "plan": "basic",
        "payment_method": "pm_card_visa",
        "contact_email": "customer@example.org",
        "contact_phone": "",
    }
