"""Starting the two ends of a posting. One pipeline each, however often it is asked for."""

import uuid
from collections.abc import Mapping
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from pipeline import marks
from pipeline.errors import IllegalAction
from pipeline.models import Pipeline, Step
from pipeline.start import Started, start
from pipeline.states import PipelineState, StepState
from pipeline.workflow import Workflow
from postings.models import Posting, PostingState
from postings.workflow import ExpirePosting, WithdrawPosting

BATCH: Final = 500  # postings of one run of `expire_due`, each a transaction of its own


def withdraw(posting: Posting, *, by: str, reason: str, user: int | None = None) -> Started:
    """Refund a published posting and take it down; IllegalAction when that is not possible.

    Asked for again it gives the same pipeline, so that one refund is made; a new one only after the last has
    rolled back. Who and why stand in its history.
    """
    if posting.state != PostingState.PUBLISHED:
        raise IllegalAction(
            f"{posting} is {posting.get_state_display().lower()}: only published postings are withdrawn."
        )
    given = _of_its_purchase(posting)
    with transaction.atomic():
        started = _start(WithdrawPosting, posting, given, user=user)
        if started.is_new:
            marks.operator_action(started.id, {"action": "withdraw", "by": by, "reason": reason})
    return started


def expire_due(limit: int = BATCH) -> list[Started]:
    """Begin to take down postings whose time is over and that nobody takes down yet, oldest first."""
    over = Posting.objects.filter(state=PostingState.PUBLISHED, ended_by=None, expires_at__lte=Now())
    return [_start(ExpirePosting, posting, _of_its_page(posting)) for posting in over.order_by("expires_at")[:limit]]


def withdrawals_of(sale: uuid.UUID) -> QuerySet[Pipeline]:
    """The pipeline that withdraws, or has withdrawn, the posting that this one sold: one at most."""
    ended_by = Posting.objects.filter(pipeline_id=sale).exclude(ended_by=None).values("ended_by")
    return Pipeline.objects.filter(pk__in=ended_by, workflow=WithdrawPosting.name)


def address(posting: Posting) -> str:
    """The absolute address of its public page."""
    return f"{settings.SITE_URL}/jobs/{posting.slug}/"


def _of_its_purchase(posting: Posting) -> dict[str, Any]:
    """A snapshot of the sale for the withdrawal. The posting keeps it, even when its pipeline was reaped."""
    bought = posting.sale | {"intent": posting.intent} if posting.intent and posting.sale else _in_its_pipeline(posting)
    if not bought:
        raise IllegalAction(
            f"{posting} does not say how it was paid for: look for it in Stripe's dashboard, and refund it there."
        )
    return {"title": posting.title, "company_name": posting.company_name} | bought | _of_its_page(posting)


def _in_its_pipeline(posting: Posting) -> dict[str, Any]:
    """The sale of a posting that a worker of the previous release published."""
    sold = Pipeline.objects.filter(pk=posting.pipeline_id, reaped_at=None).first()
    paid = Step.objects.filter(pipeline_id=posting.pipeline_id, kind="payment", state=StepState.COMMITTED).first()
    if sold is None or paid is None or "intent" not in paid.data:
        return {}
    return {name: sold.input[name] for name in ("plan", "contact_email")} | {"intent": paid.data["intent"]}


def _of_its_page(posting: Posting) -> dict[str, Any]:
    """Which posting, where it is shown, its logo, and whether Google was told of it, may be, or may have been."""
    told = Step.objects.filter(pipeline_id=posting.pipeline_id, kind="indexing").exclude(state=StepState.SKIPPED)
    is_forgotten = Pipeline.objects.filter(pk=posting.pipeline_id).exclude(reaped_at=None).exists()
    is_indexed = told.exists() or (is_forgotten and settings.INDEXING_ENABLED)
    return {
        "posting": str(posting.pk),
        "published_by": str(posting.pipeline_id),
        "url": address(posting),
        "logo_key": posting.logo_key,
        "is_indexed": is_indexed,
    }


def _start(workflow: type[Workflow], posting: Posting, given: Mapping[str, Any], user: int | None = None) -> Started:
    return start(workflow, input=given, scope=workflow.name, key=_key(workflow.name, posting.pk), user=user)


def _key(scope: str, posting: uuid.UUID) -> str:
    """`{posting}:{n}`, n being how many earlier ones have rolled back: those have refunded nothing."""
    number = 0
    while Pipeline.objects.filter(scope=scope, key=f"{posting}:{number}", state=PipelineState.ROLLED_BACK).exists():
        number += 1
    return f"{posting}:{number}"
