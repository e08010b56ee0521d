"""Finds a payment step by its intent: Stripe's disputes name nothing else."""

from django.db import migrations


class Migration(migrations.Migration):
    """An index on the engine's table for a look-up that only this app makes."""

    dependencies = [("postings", "0001_initial"), ("pipeline", "0001_initial")]

    operations = [
        migrations.RunSQL(
            "CREATE INDEX postings_payment_intent ON pipeline_step ((data -> 'intent')) WHERE kind = 'payment'",
            "DROP INDEX postings_payment_intent",
        ),
    ]
