"""Telling the operator that a pipeline needs a person, or a finding that belongs to no pipeline."""

import logging
from typing import Final

from django.conf import settings
from django.template.loader import render_to_string

from pipeline.marks import standing_of
from pipeline.models import Finding, FindingState, Inbox, Pipeline
from postings.providers import mail

log = logging.getLogger(__name__)

MAILS_STEP: Final = "operator"  # stands for a step in these mails' arguments: they belong to none
UNREACHABLE: Final = "operators_mail"  # the finding that mails to the operators do not arrive: never mailed
_AT_ONCE: Final = 100  # findings of one run; few have been mailed already, as a person closes them


def tell(pipeline: Pipeline) -> None:
    """One mail (category `operator`) with a link to the admin. Raises the provider's failures."""
    link = f"{settings.SITE_URL}/admin/pipeline/pipeline/{pipeline.pk}/change/"
    log.error("pipeline %s needs attention: %s", pipeline.pk, link)
    if not settings.OPERATOR_EMAIL:
        return
    codes = [mark.get("code", "") for mark in standing_of(pipeline.pk)]
    step = pipeline.steps.filter(attention=True).first()
    values = {"pipeline": pipeline, "link": link, "step": step, "codes": codes}
    _send(
        f"Pipeline {pipeline.pk} needs attention",
        text=render_to_string("postings/mail/operator.txt", values),
        html=render_to_string("postings/mail/operator.html", values),
        reference=str(pipeline.pk),
    )


def tell_of_findings() -> None:
    """The chore: one mail for each finding of no pipeline. Raises the provider's failures, and then tells again."""
    if not settings.OPERATOR_EMAIL:
        return
    findings = Finding.objects.filter(state=FindingState.OPEN, pipeline_id=None, closed_at=None)
    for finding in findings.exclude(kind=UNREACHABLE).order_by("found_at")[:_AT_ONCE]:
        told = {"provider": "operators", "event_id": f"finding {finding.pk} {finding.made_at.isoformat()}"}
        if Inbox.objects.filter(**told).exists():
            continue
        link = f"{settings.SITE_URL}/admin/pipeline/finding/{finding.pk}/change/"
        values = {"finding": finding, "link": link}
        _send(
            f"{finding} needs a person",
            text=render_to_string("postings/mail/finding.txt", values),
            html=render_to_string("postings/mail/finding.html", values),
            reference="",
        )
        Inbox.objects.get_or_create(**told, defaults={"kind": "told"})


def _send(subject: str, *, text: str, html: str, reference: str) -> None:
    arguments = {"pipeline_id": reference, "step": MAILS_STEP, "verb": "tell"}
    mail.send(
        mail.message(
            to=settings.OPERATOR_EMAIL,
            subject=subject,
            text=text,
            html=html,
            category="operator",
            custom_args=arguments,
        )
    )
