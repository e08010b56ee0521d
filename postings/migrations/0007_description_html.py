"""A description's HTML beside its Markdown. Version 0 is nobody's: `manage.py render_descriptions` fills it in."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("postings", "0006_by_age")]

    operations = [
        migrations.AlterField(
            model_name="posting",
            name="description",
            field=models.TextField(help_text="Markdown, as submitted."),
        ),
        migrations.AddField(
            model_name="posting",
            name="description_html",
            field=models.TextField(db_default="", editable=False),
        ),
        migrations.AddField(
            model_name="posting",
            name="description_version",
            field=models.PositiveSmallIntegerField(db_default=0, editable=False),
        ),
    ]
