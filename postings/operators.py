"""Telling the operator that a pipeline needs a person."""

import logging

from django.conf import settings
from django.template.loader import render_to_string

from pipeline.marks import standing_of
from pipeline.models import Pipeline
from postings.providers import mail

log = logging.getLogger(__name__)


def tell(pipeline: Pipeline) -> None:
    """One mail (category `operator`) with a link to the admin. Raises the provider's failures."""
    link = f"{settings.SITE_URL}/admin/pipeline/pipeline/{pipeline.pk}/change/"
    log.error("pipeline %s needs attention: %s", pipeline.pk, link)
    if not settings.OPERATOR_EMAIL:
        return
    codes = [mark.get("code", "") for mark in standing_of(pipeline.pk)]
    step = pipeline.steps.filter(attention=True).first()
    values = {"pipeline": pipeline, "link": link, "step": step, "codes": codes}
    mail.send(
        mail.message(
            to=settings.OPERATOR_EMAIL,
            subject=f"Pipeline {pipeline.pk} needs attention",
            text=render_to_string("postings/mail/operator.txt", values),
            html=render_to_string("postings/mail/operator.html", values),
            category="operator",
            custom_args={"pipeline_id": str(pipeline.pk), "step": "operator", "verb": "tell"},
        )
    )
