"""System check of the plans on sale: a price that Stripe refuses is named before a customer meets it."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import DatabaseError, connections

from postings.models import Plan
from postings.prices import wrong_price


@register(Tags.database)
def check_prices(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **_: Any
) -> list[CheckMessage]:
    """Plans on sale whose price Stripe does not charge."""
    if "default" not in (databases or []):
        return []
    try:
        if "postings_plan" not in connections["default"].introspection.table_names():
            return []
        on_sale = list(Plan.objects.filter(is_on_sale=True))
    except DatabaseError:
        return []  # pipeline.E209 says that it does not answer
    return [
        Error(f"The plan {plan.slug} cannot be paid.", hint=f"{wrong[1]} Or take it off sale.", id="postings.E101")
        for plan in on_sale
        if (wrong := wrong_price(plan.amount, plan.currency))
    ]
