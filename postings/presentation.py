"""Words for people: where a job is, what it pays, what a plan costs."""

from datetime import timedelta
from decimal import Decimal
from functools import cache

import pycountry
from django.utils import timezone
from django.utils.timesince import timesince

from postings.models import Plan, Posting, SalaryUnit
from postings.money import major
from postings.prices import formatted

_MINUTE = timedelta(minutes=1)


@cache
def country_name(code: str) -> str:
    """`DE` is Germany; an unknown code stands for itself."""
    found = pycountry.countries.get(alpha_2=code)
    return str(getattr(found, "common_name", found.name)) if found else code


@cache
def countries() -> list[tuple[str, str]]:
    """Every country of ISO 3166-1 as (code, name), by name."""
    return sorted(((it.alpha_2, country_name(it.alpha_2)) for it in pycountry.countries), key=lambda pair: pair[1])


@cache
def currencies() -> list[tuple[str, str]]:
    """Every currency of ISO 4217 as (code, "code, name"), by code."""
    return [(it.alpha_3, f"{it.alpha_3}, {it.name}") for it in sorted(pycountry.currencies, key=lambda it: it.alpha_3)]


def place(posting: Posting) -> str:
    """`Hamburg, Germany`, `Remote (Germany)` or `Hamburg, Germany, or remote`."""
    country = country_name(posting.country)
    if not posting.location:
        return f"Remote ({country})"
    return f"{posting.location}, {country}{', or remote' if posting.remote else ''}"


def salary(posting: Posting) -> str:
    """`52,000 to 65,000 EUR a year`, or empty."""
    if posting.salary_min is None:
        return ""
    least, most = posting.salary_min, posting.salary_max
    amounts = [least] if most is None or most == least else [least, most]
    words = " to ".join(_plain(major(amount, posting.salary_currency)) for amount in amounts)
    article = "an" if posting.salary_unit == SalaryUnit.HOUR else "a"
    return f"{words} {posting.salary_currency} {article} {SalaryUnit(posting.salary_unit).label}"


def age(posting: Posting) -> str:
    """`just now`, `3 hours ago`."""
    if posting.published_at is None or timezone.now() - posting.published_at < _MINUTE:
        return "just now"
    return f"{timesince(posting.published_at, depth=1)} ago"


def price(plan: Plan) -> str:
    """`49.00 EUR`."""
    return formatted(plan.amount, plan.currency)


def _plain(amount: Decimal) -> str:
    """Without the decimals when they are nought."""
    return f"{int(amount):,d}" if amount == amount.to_integral_value() else f"{amount:,f}"
