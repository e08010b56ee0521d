"""Transitions write less: no lookup of the pipeline for each event, and room for a row's next version on its page."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("pipeline", "0009_row_rules")]

    operations = [
        migrations.AlterField(
            model_name="event",
            name="pipeline",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="events",
                to="pipeline.pipeline",
            ),
        ),
        migrations.RunSQL(
            "ALTER TABLE pipeline_pipeline SET (fillfactor = 60)", "ALTER TABLE pipeline_pipeline RESET (fillfactor)"
        ),
    ]
