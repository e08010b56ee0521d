"""The workflow of postings against the sandbox, which is a process of its own."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
from django.test import override_settings
from PIL import Image

from pipeline.models import Pipeline
from pipeline.start import start
from pipeline.testing import ScriptedBroker
from pipeline.verification import violations
from postings.models import Plan, Posting
from postings.providers import storage, stripe
from postings.workflow import PublishPosting
from tests.faults import SLOW
from tests.sandbox.conftest import Sandbox, shared_sandbox  # noqa: F401 - a fixture

PRICE = 9900
_APPS = ["pipeline", "postings", "django.contrib.auth", "django.contrib.contenttypes"]
GIVE_UP_AFTER = 1.2  # seconds after which the clients of these tests give up what is slow


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These tests commit for real; the tables of the two apps are emptied afterwards."""
    for item in items:
        if "/tests/postings/" in str(item.path) and item.get_closest_marker("django_db") is None:
            item.add_marker(pytest.mark.django_db(transaction=True, available_apps=_APPS))


@dataclass
class Outside:
    """What the providers know, by their own ledger."""

    sandbox: Sandbox
    settings: Any = None  # of this process, where it is the client

    def fault(self, provider: str, route: str | None, kind: str, **more: Any) -> None:
        """What is slow outlasts its client, unless `seconds` are given. Clients are impatient from then on."""
        if kind in SLOW:
            more.setdefault("seconds", GIVE_UP_AFTER + 0.3)
        if kind in SLOW and self.settings is not None:
            self.settings.PIPELINE = self.settings.PIPELINE | {"CALL_TIME": timedelta(seconds=GIVE_UP_AFTER)}
        self.sandbox.fault(provider, kind, route=route, **more)

    def fired(self) -> int:
        return sum(fault["fired"] for fault in self.sandbox.faults())

    def entries(self, pipeline: uuid.UUID) -> list[dict[str, Any]]:
        """New effects of this pipeline, in order."""
        return [
            entry for entry in self.sandbox.ledger() if entry["reference"] == str(pipeline) and not entry["replayed"]
        ]

    def effects(self, pipeline: uuid.UUID) -> list[str]:
        return [entry["effect"] for entry in self.entries(pipeline)]

    def mails(self, pipeline: uuid.UUID) -> list[str]:
        return [entry["category"] for entry in self.entries(pipeline) if entry["effect"] == "email_accepted"]

    def assert_agrees(self, pipeline: uuid.UUID, *, mails_at_most: int = 1) -> None:
        """The guarantee, seen from outside: all of it or nothing, each once."""
        state = Pipeline.objects.get(pk=pipeline).state
        effects = self.effects(pipeline)
        count = {name: effects.count(name) for name in set(effects)}.get
        captured = [entry["amount"] for entry in self.entries(pipeline) if entry["effect"] == "captured"]
        mails, shown = self.mails(pipeline), Posting.objects.filter(pipeline_id=pipeline, state="published").count()
        objects = count("object_put", 0) - count("object_deleted", 0)
        assert count("authorised", 0) <= 1, effects
        assert len(mails) <= mails_at_most, mails
        if state == "committed":
            assert (captured, objects, shown) == ([PRICE], 1, 1), effects
            assert set(mails) == {"receipt"}, mails
        else:
            assert state == "rolled_back"
            assert (captured, objects, shown) == ([], 0, 0), effects
            assert count("authorised", 0) == count("voided", 0), effects
            assert "receipt" not in mails, mails
            assert not Posting.objects.filter(pipeline_id=pipeline).exists()
        self.assert_verified()

    def assert_verified(self, *, settled: bool = False) -> None:
        """`manage.py verify` finds nothing against the whole of the sandbox's ledger."""
        with override_settings(SANDBOX_URL=self.sandbox.url):
            assert violations(settled=settled) == []


@pytest.fixture
def outside(shared_sandbox: Sandbox, settings: Any) -> Iterator[Outside]:  # noqa: F811
    """An empty sandbox, the project's provider modules pointed at it, and clients that give up soon."""
    shared_sandbox.post("webhooks", {"stripe": None, "sendgrid": None})
    shared_sandbox.post("reset")
    settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE = "sk_test_x", f"{shared_sandbox.url}/stripe"
    settings.SENDGRID_API_KEY, settings.SENDGRID_HOST = "SG.x", f"{shared_sandbox.url}/sendgrid"
    settings.S3_ENDPOINT_URL, settings.S3_BUCKET = f"{shared_sandbox.url}/s3", "postings"
    settings.S3_ACCESS_KEY_ID = settings.S3_SECRET_ACCESS_KEY = "sandbox"
    settings.MAIL_GRACE = timedelta(seconds=0)
    stripe._client.cache_clear()
    storage._client.cache_clear()
    yield Outside(shared_sandbox, settings)
    stripe._client.cache_clear()
    storage._client.cache_clear()


@pytest.fixture
def plan() -> Plan:
    return Plan.objects.create(slug="basic", name="Basic", amount=PRICE, currency="EUR", duration_days=30)


@pytest.fixture
def logo() -> bytes:
    return picture()


def picture() -> bytes:
    """A small JPEG with metadata that must not be published."""
    out = BytesIO()
    Image.new("RGB", (64, 32), "teal").save(out, "JPEG", exif=b"Exif\x00\x00secret place")
    return out.getvalue()


def fields(plan: Plan, **changed: Any) -> dict[str, Any]:
    """A validated posting, as the accept view stores it."""
    return {
        "title": "Engineer",
        "company_name": "ACME",
        "company_website": "",
        "description": "We are looking for somebody who likes pipelines.",
        "employment_type": "FULL_TIME",
        "location": "Berlin",
        "country": "DE",
        "remote": False,
        "salary_min": None,
        "salary_max": None,
        "salary_currency": "",
        "salary_unit": "",
        "apply_url": "https://jobs.example.com/",
        "apply_email": "",
        "contact_email": "customer@example.com",
        "contact_phone": "",
        "payment_method": "pm_card_visa",
        "has_logo": True,
        "plan": {
            "slug": plan.slug,
            "name": plan.name,
            "amount": plan.amount,
            "currency": plan.currency,
            "duration_days": plan.duration_days,
        },
    } | changed


@pytest.fixture
def submit(broker: ScriptedBroker, plan: Plan, logo: bytes) -> Callable[..., uuid.UUID]:
    """Start a pipeline as the accept view does; keyword arguments replace fields."""

    def made(card: str = "pm_card_visa", *, picture: bytes = logo, **changed: Any) -> uuid.UUID:
        given = fields(plan, payment_method=card, **changed)
        attachments = {"logo": picture} if given["has_logo"] else {}
        return start(PublishPosting, input=given, key=uuid.uuid4().hex, attachments=attachments).id

    return made
