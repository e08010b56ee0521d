"""The posting's row: inserted hidden, published when paid for, deleted when not.

Its effects are in this database, so each verb shares the transaction of its own record: both or none.
"""

import uuid
from datetime import timedelta

from django.conf import settings
from django.db.models.functions import Now
from django.utils.text import slugify

from pipeline.workflow import Run, Step
from postings import markdown
from postings.models import Plan, Posting, PostingState
from postings.steps.naming import name_of

_COPIED = (
    "title",
    "company_name",
    "company_website",
    "description",
    "employment_type",
    "location",
    "country",
    "remote",
    "salary_min",
    "salary_max",
    "salary_currency",
    "salary_unit",
    "apply_url",
    "apply_email",
)
_SLUG_WORDS = 100  # characters of the slug that come from the title and the company


class PostingStep(Step):
    """INSERT hidden, UPDATE to published, DELETE."""

    name = "posting"
    label = "Save the posting"
    doing = "saving the posting"
    local = True

    def stage(self, run: Run) -> dict[str, str]:
        """Insert it hidden. The id and the address are known from here on."""
        posting = Posting(
            id=uuid.UUID(name_of("posting", run)),
            pipeline_id=run.pipeline_id,
            plan=Plan.objects.get(slug=run.input["plan"]["slug"]),
            logo_key=run.of("logo").get("key", ""),
            description_html=markdown.rendered_or_plain(run.input["description"]),
            description_version=markdown.VERSION,
            **{name: run.input[name] for name in _COPIED},
        )
        words = slugify(f"{posting.title} {posting.company_name}")[:_SLUG_WORDS].strip("-") or "job"
        posting.slug = f"{words}-{posting.id.hex[:12]}"
        posting.save(force_insert=True)
        return {"posting": str(posting.id), "url": f"{settings.SITE_URL}/jobs/{posting.slug}/"}

    def commit(self, run: Run) -> None:
        """Publish it for as long as the plan lasts, and keep the data that a refund will need."""
        days = timedelta(days=run.input["plan"]["duration_days"])
        Posting.objects.filter(pipeline_id=run.pipeline_id, state=PostingState.HIDDEN).update(
            state=PostingState.PUBLISHED,
            published_at=Now(),
            expires_at=Now() + days,
            intent=run.of("payment").get("intent", ""),
            sale={name: run.input[name] for name in ("plan", "contact_email")},
        )

    def rollback(self, run: Run) -> None:
        """Remove it; there may be none."""
        Posting.objects.filter(pipeline_id=run.pipeline_id).delete()
