"""What is submitted: pipelines that do nothing, and a posting with a logo."""

import json
import uuid
from functools import cache
from io import BytesIO
from typing import Any, Final

from PIL import Image

POSTING: Final = {
    "title": "Senior engineer",
    "company_name": "Benchmark Ltd",
    "company_website": "https://example.com/",
    "description": "We look for somebody who measures before they change anything. " * 20,
    "employment_type": "FULL_TIME",
    "location": "Berlin",
    "country": "DE",
    "remote": False,
    "salary_min": 6_000_000,
    "salary_max": 7_500_000,
    "salary_currency": "EUR",
    "salary_unit": "YEAR",
    "apply_url": "https://example.com/jobs/1",
    "contact_email": "customer@example.com",
    "plan": "standard",
    "payment_method": "pm_card_visa",
}


def start_nothing() -> uuid.UUID:
    """A pipeline of four steps that do nothing."""
    from benchmarks.workflow import Nothing
    from pipeline.start import start

    return start(Nothing, input={}, key=str(uuid.uuid4()), scope="benchmark").id


def start_posting() -> uuid.UUID:
    """A posting with a logo, as the request hands it to the engine."""
    from pipeline.start import start
    from postings.models import Plan
    from postings.workflow import PublishPosting

    plan = Plan.objects.values("slug", "name", "amount", "currency", "duration_days").get(slug=POSTING["plan"])
    given = POSTING | {"apply_email": "", "contact_phone": "", "plan": plan, "has_logo": True}
    made = start(PublishPosting, input=given, key=str(uuid.uuid4()), scope="benchmark", attachments={"logo": logo()})
    return made.id


@cache
def logo() -> bytes:
    """A PNG of 256 by 256 pixels."""
    picture = Image.radial_gradient("L").convert("RGB")
    file = BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def multipart() -> tuple[dict[str, Any], dict[str, Any]]:
    """(fields, files) of the posting as a form sends them."""
    fields = {name: json.dumps(value) if isinstance(value, bool) else str(value) for name, value in POSTING.items()}
    return fields, {"logo": ("logo.png", logo(), "image/png")}
