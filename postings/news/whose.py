"""The pipeline or step that news belongs to, by our mark, by an id that a step recorded, or by the posting's intent."""

import re
import uuid
from collections.abc import Mapping
from itertools import accumulate
from typing import Any, Final

from django.db.models import QuerySet

from pipeline.models import Step
from pipeline.webhooks import as_uuid, part_at, text_at
from postings.models import Posting

_MESSAGE: Final = re.compile(r"\.(?:filter|recvd)")  # where SendGrid's own part of a message's id begins
_PARTS: Final = 12  # of a message's id, at most


def of_money(about: Mapping[str, Any]) -> uuid.UUID | None:
    """The pipeline that a Stripe object belongs to: itself marked, or its charge or its intent."""
    parts = (about, part_at(about, "charge"), part_at(about, "payment_intent"))
    marks = (as_uuid(text_at(part, "metadata", "pipeline_id")) for part in parts)
    return next((mark for mark in marks if mark is not None), None) or of_intent(intent_of(about))


def intent_of(about: Mapping[str, Any]) -> str:
    """The intent's id: the object's own, or of the one that it names, expanded or not; empty when it names none."""
    if text_at(about, "object") == "payment_intent":
        return text_at(about, "id")
    return _id_at(about, "payment_intent") or text_at(about, "charge", "payment_intent")


def charge_of(about: Mapping[str, Any]) -> str:
    """The charge's id; empty when it names none."""
    return text_at(about, "id") if text_at(about, "object") == "charge" else _id_at(about, "charge")


def of_intent(intent: str) -> uuid.UUID | None:
    """The pipeline whose payment this is, also when it is reaped while its posting is kept."""
    if not intent:
        return None
    step = _only(Step.objects.filter(kind="payment", data__intent=intent))
    if step is not None:
        return step.pipeline_id
    return Posting.objects.filter(intent=intent).values_list("pipeline_id", flat=True).first()


def message_of(sg_message_id: str) -> str:
    """SendGrid's id of a mail, without the suffix that its servers append."""
    return _MESSAGE.split(sg_message_id, maxsplit=1)[0]


def step_of_message(sg_message_id: str) -> Step | None:
    """The step that has sent this mail: its answer's X-Message-Id is how the event's id begins."""
    beginnings = list(accumulate(sg_message_id.split(".")[:_PARTS], "{}.{}".format))
    if not sg_message_id:
        return None
    return _only(Step.objects.filter(kind="email", data__message_id__in=beginnings))


def _only(steps: QuerySet[Step]) -> Step | None:
    """In no order: for the first of an ordered one PostgreSQL may read the whole table in that order."""
    return next(iter(steps.order_by()[:1]), None)


def _id_at(about: Mapping[str, Any], name: str) -> str:
    return text_at(about, name) or text_at(about, name, "id")
