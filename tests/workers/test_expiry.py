"""A worker with the project's own settings takes down what is over: nobody has to run a command for it."""

import uuid
from datetime import timedelta

from django.db.models.functions import Now

from pipeline.models import Chore, Pipeline
from postings.models import Plan, Posting
from tests.workers.conftest import wait_for_end, wait_until


def published(plan, *, expires_in):
    return Posting.objects.create(
        pipeline_id=uuid.uuid4(),
        slug=uuid.uuid4().hex,
        state="published",
        title="Engineer",
        company_name="ACME",
        description="We are looking for somebody.",
        employment_type="FULL_TIME",
        country="DE",
        apply_url="https://jobs.example.com/",
        plan=plan,
        published_at=Now() - timedelta(days=30),
        expires_at=Now() + expires_in,
    )


def test_the_sweep_of_a_worker_takes_down_a_posting_whose_time_is_over(start_worker):
    plan = Plan.objects.create(slug="basic", name="Basic", amount=9900, duration_days=30)
    over, current = (published(plan, expires_in=timedelta(minutes=minutes)) for minutes in (-1, 60))
    Chore.objects.all().delete()  # the worker's first look calls it
    start_worker(DJANGO_SETTINGS_MODULE="config.settings")
    wait_until(Pipeline.objects.exists, 30)
    expiry = Pipeline.objects.get()
    wait_for_end([expiry.pk])
    over.refresh_from_db()
    current.refresh_from_db()
    assert (over.state, over.ended_by, current.state) == ("expired", expiry.pk, "published")
    wait_until(Chore.objects.filter(ended_at__isnull=False, error="").exists)
