"""Telling a person: PIPELINE["ON_ATTENTION"] is called once for each mark, by whoever sweeps."""

import logging
from datetime import timedelta

from django.db.models import Q
from django.db.models.functions import Now
from django.utils.module_loading import import_string

from pipeline.conf import conf
from pipeline.errors import StepFailure
from pipeline.models import Pipeline

log = logging.getLogger(__name__)

_RETRY_AFTER = timedelta(minutes=1)


def tell_untold(limit: int = 5) -> None:
    """Tell of marked pipelines that nobody was told of. A teller that fails is called again a minute later."""
    if not conf().ON_ATTENTION:
        return
    for pipeline in Pipeline.objects.filter(attention__gt=0, attention_told_at=None).order_by("created_at")[:limit]:
        if Pipeline.objects.filter(pk=pipeline.pk, attention_told_at=None).update(attention_told_at=Now()):
            _tell(pipeline)


def _tell(pipeline: Pipeline) -> None:
    tell = import_string(conf().ON_ATTENTION)
    try:
        tell(pipeline)
    except StepFailure as failure:
        log.warning("pipeline %s needs attention, and nobody could be told yet: %s", pipeline.pk, failure)
        Pipeline.objects.filter(~Q(attention_told_at=None), pk=pipeline.pk).update(attention_told_at=None)
