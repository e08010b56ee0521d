"""`manage.py bootstrap_demo`: plans to buy, and an admin. Safe to run again."""

import os
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand

from postings.models import Plan

PLANS = (
    {"slug": "starter", "name": "Starter", "amount": 4900, "currency": "EUR", "duration_days": 14},
    {"slug": "standard", "name": "Standard", "amount": 9900, "currency": "EUR", "duration_days": 30},
    {"slug": "extended", "name": "Extended", "amount": 17900, "currency": "EUR", "duration_days": 60},
)


class Command(BaseCommand):
    """Plans that exist already keep what was changed by hand; the admin gets the password given now."""

    help = "Make the demo's plans, and the admin of ADMIN_USERNAME and ADMIN_PASSWORD."

    def handle(self, *args: Any, **options: Any) -> None:
        """Say what is there now."""
        for plan in PLANS:
            Plan.objects.get_or_create(slug=plan["slug"], defaults=plan)
        self.stdout.write(
            f"Plans on sale: {', '.join(Plan.objects.filter(is_on_sale=True).values_list('slug', flat=True))}"
        )
        username, password = os.environ.get("ADMIN_USERNAME", ""), os.environ.get("ADMIN_PASSWORD", "")
        if not (username and password):
            self.stdout.write("No admin: set ADMIN_USERNAME and ADMIN_PASSWORD to have one made.")
            return
        _make_admin(username, password)
        self.stdout.write(f"Admin: {username}")


def _make_admin(username: str, password: str) -> None:
    """A superuser who can log in with this password, whatever was there before."""
    user, _ = get_user_model().objects.get_or_create(username=username)
    if user.is_superuser and user.is_staff and user.is_active and user.check_password(password):
        return
    user.is_superuser = user.is_staff = user.is_active = True
    user.set_password(password)
    user.save()
