"""`manage.py bootstrap_examples`: two buyers with funds in the ledger. Safe to run again."""

from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError

from examples.ledger_orders.models import Buyer
from examples.ledger_orders.providers import modern_treasury as ledger
from pipeline.workflow import StepFailure

CURRENCY: Final = "EUR"
# Name to the deposit of its first day, in cents: what they have spent since is not given back.
BUYERS: Final = {"Greenfield School": 500_000, "Riverside Clinic": 150_000}


class Command(BaseCommand):
    """What the ledger and the database have already stays as it is."""

    help = "Open the accounts of the examples' two buyers in the ledger, with funds."

    def handle(self, *args: Any, **options: Any) -> None:
        """Say who is there now."""
        try:
            bank = ledger.account("bank", name="Bank", normal_balance="debit", currency=CURRENCY)
            payables = ledger.account("payables", name="Owed to vendors", normal_balance="credit", currency=CURRENCY)
            for name, funds in BUYERS.items():
                buyer = _buyer(name, payables)
                ledger.deposit(f"first deposit of {name}", into=buyer.account, out_of=bank, amount=funds)
        except StepFailure as failure:
            raise CommandError(f"The ledger has no accounts for the buyers: {failure}. Run this again.") from failure
        self.stdout.write(f"Buyers: {', '.join(Buyer.objects.values_list('name', flat=True))}")


def _buyer(name: str, payables: str) -> Buyer:
    """The buyer with its account; after the ledger has lost everything, with a new one."""
    account = ledger.account(f"buyer {name}", name=name, normal_balance="credit", currency=CURRENCY)
    buyer, _ = Buyer.objects.update_or_create(name=name, defaults={"account": account, "payables": payables})
    return buyer
