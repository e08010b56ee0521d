"""schema.org JobPosting as JSON-LD, complete as Google's documentation of job postings asks for it."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from postings.models import Posting
from postings.money import major
from postings.presentation import country_name

# As in django.utils.html.json_script: nothing in a field can end the element or begin a comment.
_ESCAPES = {ord("<"): "\\u003C", ord(">"): "\\u003E", ord("&"): "\\u0026"}


def job_posting(posting: Posting, *, url: str, logo_url: str, description: str) -> dict[str, Any]:
    """The object. `url` and `logo_url` (empty without a logo) are absolute, `description` is sanitised HTML."""
    assert posting.published_at is not None
    assert posting.expires_at is not None
    organization = {"@type": "Organization", "name": posting.company_name}
    if posting.company_website:
        organization["sameAs"] = posting.company_website
    if logo_url:
        organization["logo"] = logo_url
    return {
        "@context": "https://schema.org/",
        "@type": "JobPosting",
        "title": posting.title,
        "description": description,
        "identifier": {"@type": "PropertyValue", "name": posting.company_name, "value": str(posting.id)},
        "url": url,
        "datePosted": _time(posting.published_at),
        "validThrough": _time(posting.expires_at),
        "employmentType": posting.employment_type,
        "hiringOrganization": organization,
        "directApply": False,
        **_where(posting),
        **_pay(posting),
    }


def as_script(value: dict[str, Any]) -> SafeString:
    """A `<script>` data block that no field can break out of."""
    text = json.dumps(value).translate(_ESCAPES)
    escaped = mark_safe(text)  # noqa: S308  # nosec B308, B703 # escaped above
    return format_html('<script type="application/ld+json">{}</script>', escaped)


def _where(posting: Posting) -> dict[str, Any]:
    """A place, or work from home with the country that applicants must be in, or both."""
    where: dict[str, Any] = {}
    if posting.location:
        address = {
            "@type": "PostalAddress",
            "addressLocality": posting.location,
            "addressCountry": posting.country,
        }
        where["jobLocation"] = {"@type": "Place", "address": address}
    if posting.remote:
        where["jobLocationType"] = "TELECOMMUTE"
        where["applicantLocationRequirements"] = {"@type": "Country", "name": country_name(posting.country)}
    return where


def _pay(posting: Posting) -> dict[str, Any]:
    """In major units, as schema.org has it."""
    if posting.salary_min is None:
        return {}
    least = _number(major(posting.salary_min, posting.salary_currency))
    value: dict[str, Any] = {"@type": "QuantitativeValue", "unitText": posting.salary_unit}
    if posting.salary_max is None:
        value["value"] = least
    else:
        value["minValue"] = least
        value["maxValue"] = _number(major(posting.salary_max, posting.salary_currency))
    return {"baseSalary": {"@type": "MonetaryAmount", "currency": posting.salary_currency, "value": value}}


def _number(amount: Decimal) -> int | float:
    return int(amount) if amount == amount.to_integral_value() else float(amount)


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")
