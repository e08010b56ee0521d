"""System checks of the shop: what would cost a customer a refused payment is named before."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import DatabaseError, connections

from pipeline.addresses import BadAddress, normalised


@register()
def check_addresses(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Addresses in the settings that the mail's provider would refuse."""
    return [
        Error(f"{name} is no address that can be mailed: {settings_value!r}.", hint=wrong, id="postings.E102")
        for name in ("MAIL_FROM", "OPERATOR_EMAIL")
        if (settings_value := getattr(settings, name)) and (wrong := _wrong_address(settings_value))
    ]


def _wrong_address(address: str) -> str:
    try:
        normalised(address)
    except BadAddress as bad:
        return str(bad)
    return ""


@register(Tags.database)
def check_prices(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **_: Any
) -> list[CheckMessage]:
    """Plans on sale whose price Stripe does not charge."""
    if "default" not in (databases or []):
        return []
    from postings.models import Plan
    from postings.prices import wrong_price

    try:
        if "postings_plan" not in connections["default"].introspection.table_names():
            return []
        on_sale = list(Plan.objects.filter(is_on_sale=True))
    except DatabaseError:
        return []  # Django's own checks and pipeline.E401 say what is wrong with the database
    return [
        Error(f"The plan {plan.slug} cannot be paid.", hint=f"{wrong[1]} Or take it off sale.", id="postings.E101")
        for plan in on_sale
        if (wrong := wrong_price(plan.amount, plan.currency))
    ]
