from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("pipeline", "0010_lighter_writes")]

    operations = [
        migrations.AddField(
            model_name="circuit",
            name="failing",
            field=models.JSONField(db_default=[], default=list, help_text="The pipelines of the outages that count."),
        ),
    ]
