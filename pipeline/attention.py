"""Telling a person: PIPELINE["ON_ATTENTION"] is called once for each mark, by whoever sweeps."""

import logging
import time
from datetime import timedelta

from django.db.models import Q
from django.db.models.functions import Now
from django.utils.module_loading import import_string

from pipeline.conf import conf
from pipeline.models import Pipeline

log = logging.getLogger(__name__)

_RETRY_AFTER = timedelta(minutes=1)
_quiet_until = 0.0  # by this process's own clock: a teller that failed is left alone for a while


def tell_untold(limit: int = 5) -> None:
    """Tell of marked pipelines that nobody was told of. A teller that fails is called again a minute later."""
    if not conf().ON_ATTENTION or time.monotonic() < _quiet_until:
        return
    for pipeline in Pipeline.objects.filter(attention__gt=0, attention_told_at=None).order_by("created_at")[:limit]:
        if Pipeline.objects.filter(pk=pipeline.pk, attention_told_at=None).update(attention_told_at=Now()):
            _tell(pipeline)


def _tell(pipeline: Pipeline) -> None:
    global _quiet_until
    try:
        import_string(conf().ON_ATTENTION)(pipeline)
    except Exception:  # whatever it is, the sweep goes on, and somebody has to be told
        _quiet_until = time.monotonic() + _RETRY_AFTER.total_seconds()
        log.exception("pipeline %s needs attention, and nobody could be told yet", pipeline.pk)
        Pipeline.objects.filter(~Q(attention_told_at=None), pk=pipeline.pk).update(attention_told_at=None)
