"""`manage.py plan SLUG …`: put a plan on sale, or change the one of that slug."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from postings.models import Plan
from postings.presentation import price


class Command(BaseCommand):
    """As the admin does it: a changed price is for new submissions only."""

    help = "Put a plan on sale, or change the one of that slug."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Options."""
        parser.add_argument("slug", help="its name in the API")
        parser.add_argument("--name", required=True, help="as customers read it")
        parser.add_argument(
            "--amount", type=int, required=True, help="in the smallest unit that Stripe charges: 4900 is 49.00 EUR"
        )
        parser.add_argument("--currency", default="EUR", help="ISO 4217 (default: %(default)s)")
        parser.add_argument("--days", type=int, required=True, help="how long a posting stays")
        parser.add_argument("--off-sale", action="store_true", help="keep it, but sell it no longer")

    def handle(self, *, slug: str, name: str, amount: int, currency: str, days: int, **options: Any) -> None:
        """Say what it costs; CommandError when Stripe would not charge that."""
        plan = Plan.objects.filter(slug=slug).first() or Plan(slug=slug)
        plan.name, plan.amount, plan.currency = name, amount, currency.upper()
        plan.duration_days, plan.is_on_sale = days, not options["off_sale"]
        try:
            plan.full_clean()
        except ValidationError as wrong:
            raise CommandError("; ".join(wrong.messages)) from wrong
        plan.save()
        self.stdout.write(f"{plan.name}: {price(plan)} for {days} days, {'on' if plan.is_on_sale else 'off'} sale")
