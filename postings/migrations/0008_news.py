"""What a refund needs is kept with the posting; news that is still to be settled; mails are found by their ids."""

import django.db.models.functions.datetime
from django.db import migrations, models

# Of postings on the board, what their pipelines still hold.
FILL = """
UPDATE postings_posting p
SET intent = s.data ->> 'intent',
    sale = jsonb_build_object('plan', l.input -> 'plan', 'contact_email', l.input -> 'contact_email')
FROM pipeline_step s JOIN pipeline_pipeline l ON l.id = s.pipeline_id
WHERE s.pipeline_id = p.pipeline_id AND s.kind = 'payment' AND s.state = 'committed' AND s.data ? 'intent'
  AND l.input ? 'plan' AND l.input ? 'contact_email' AND NOT p.is_erased"""


class Migration(migrations.Migration):

    dependencies = [
        ('pipeline', '0010_lighter_writes'),
        ('postings', '0007_description_html'),
    ]

    operations = [
        migrations.CreateModel(
            name='PendingNews',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('inbox_id', models.BigIntegerField(unique=True)),
                ('provider', models.CharField(max_length=30)),
                ('news', models.JSONField()),
                ('made_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('look_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), db_index=True)),
            ],
            options={'default_permissions': ['view']},
        ),
        migrations.AddField(
            model_name='posting',
            name='intent',
            field=models.CharField(blank=True, db_default='', default='', editable=False, max_length=255),
        ),
        migrations.AddField(
            model_name='posting',
            name='sale',
            field=models.JSONField(blank=True, db_default={}, default=dict, editable=False),
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name='posting',
            constraint=models.CheckConstraint(
                condition=models.Q(('is_erased', False), ('sale', {}), _connector='OR'),
                name='posting_erased_names_no_buyer',
            ),
        ),
        migrations.AddIndex(
            model_name='posting',
            index=models.Index(
                condition=models.Q(('intent', ''), _negated=True), fields=['intent'], name='posting_by_intent'
            ),
        ),
        migrations.RunSQL(
            "CREATE INDEX postings_message ON pipeline_step ((data -> 'message_id')) WHERE kind = 'email'",
            "DROP INDEX postings_message",
        ),
    ]
