"""Who may order: Buyer. Balances are the ledger's and stand nowhere here."""

import uuid

from django.db import models


class Buyer(models.Model):
    """One buyer, with an account in the ledger; `payables` is the account that is owed to vendors."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=120, unique=True)
    account = models.CharField(max_length=64, unique=True, help_text="Id of the buyer's ledger account.")
    payables = models.CharField(max_length=64, help_text="Id of the ledger account that orders pay into.")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
