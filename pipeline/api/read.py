"""Reading a pipeline for an answer: one statement, so that the pipeline and its steps are of the same moment."""

import uuid
from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest

from pipeline.api.problems import no_pipeline
from pipeline.api.resource import encoded, etag, render
from pipeline.api.waiting import PipelineResponse
from pipeline.api.watch import mark_of
from pipeline.models import Pipeline, Step

RETRY_AFTER = 1  # seconds until a poll may show something new

_UNSHOWN = ("input", "secrets", "key", "fingerprint", "client", "scope")


def load(pipeline: uuid.UUID) -> tuple[Pipeline, list[Step]]:
    """The pipeline and its steps in order, none when it is reaped; Problem 404 for an unknown id."""
    steps = list(
        Step.objects.filter(pipeline_id=pipeline)
        .select_related("pipeline")
        .defer("data", "calls", "args", *(f"pipeline__{name}" for name in _UNSHOWN))
        .order_by("position")
    )
    if steps:
        return steps[0].pipeline, steps
    reaped = Pipeline.objects.filter(pk=pipeline).exclude(reaped_at=None).defer(*_UNSHOWN).first()
    if reaped is None:
        raise no_pipeline()
    return reaped, []


def base_url(request: HttpRequest) -> str:
    """Scheme and host as the client wrote them."""
    return f"{request.scheme}://{request.get_host()}"


def resource_response(
    request: HttpRequest, pipeline: Pipeline, resource: Mapping[str, Any], status: int = 200
) -> PipelineResponse:
    """The resource with its ETag, its caching rules and, while it is not terminal, Retry-After."""
    body = encoded(resource)
    response = PipelineResponse(
        body, content_type="application/json", status=status, pipeline=pipeline.pk, mark=mark_of(pipeline)
    )
    response["ETag"] = etag(body)
    response["Cache-Control"] = "private, no-cache"
    response["Vary"] = "Prefer"
    if not pipeline.is_terminal:
        response["Retry-After"] = str(RETRY_AFTER)
    return response


def pipeline_response(request: HttpRequest, pipeline: uuid.UUID, status: int = 200) -> PipelineResponse:
    """The resource of that id as it is now; Problem 404."""
    row, steps = load(pipeline)
    return resource_response(request, row, render(row, steps, base_url(request)), status)
