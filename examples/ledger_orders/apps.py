"""Orders that are paid from a buyer's account in a ledger."""

from django.apps import AppConfig


class LedgerOrdersConfig(AppConfig):
    """Buyers, and the workflow of their orders."""

    name = "examples.ledger_orders"
    default_auto_field = "django.db.models.BigAutoField"
