"""The engine's part of the OpenAPI description: resources, problems, headers, and what every operation may answer.

These serializers describe; pipeline/api/resource.py renders. A test compares the two.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers

from pipeline.states import EventType, PipelineState, StepState

PROBLEM: Final = "application/problem+json"


class ProblemField(serializers.Serializer[Any]):
    """One wrong field."""

    field = serializers.CharField(allow_blank=True)
    code = serializers.CharField()
    detail = serializers.CharField()


class Problem(serializers.Serializer[Any]):
    """Problem details (RFC 9457), with a `code` for programs."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField()
    detail = serializers.CharField(required=False)
    instance = serializers.CharField(required=False, help_text="The pipeline that it concerns.")
    pipeline = serializers.UUIDField(required=False)
    errors = ProblemField(many=True, required=False, help_text="At most 50.")  # type: ignore[assignment] # declared
    step = serializers.CharField(required=False, allow_null=True)
    field = serializers.CharField(required=False)
    correlation_id = serializers.CharField(required=False)


class PipelineProblem(serializers.Serializer[Any]):
    """Why a pipeline turned back, for the customer."""

    type = serializers.CharField()
    title = serializers.CharField()
    detail = serializers.CharField()
    code = serializers.CharField(help_text="Such as `card_declined`.")
    step = serializers.CharField(allow_null=True)
    field = serializers.CharField(required=False)


class StepTrouble(serializers.Serializer[Any]):
    """The last failed attempt of the job at hand."""

    code = serializers.CharField()
    detail = serializers.CharField()


class StepResource(serializers.Serializer[Any]):
    """One step."""

    name = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]
    state = serializers.ChoiceField(StepState.choices)
    attempts = serializers.IntegerField(min_value=0)
    next_attempt_at = serializers.DateTimeField(allow_null=True)
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    error = StepTrouble(allow_null=True)


class Progress(serializers.Serializer[Any]):
    """How far it is; 100 percent only when committed."""

    completed = serializers.IntegerField(min_value=0)
    total = serializers.IntegerField(min_value=1)
    percent = serializers.IntegerField(min_value=0, max_value=100)


class NextAction(serializers.Serializer[Any]):
    """What the customer is asked to do while the pipeline is waiting."""

    type = serializers.CharField(help_text="Such as `confirm_payment`.")
    client_secret = serializers.CharField(required=False)
    deadline = serializers.DateTimeField()


class Links(serializers.Serializer[Any]):
    """Absolute addresses of what belongs to the pipeline."""

    events = serializers.URLField()
    stream = serializers.URLField()
    cancel = serializers.URLField()
    resume = serializers.URLField()
    page = serializers.URLField()

    def get_fields(self) -> dict[str, Any]:
        """`self` is no name for an attribute here."""
        return {"self": serializers.URLField(), **super().get_fields()}


class PipelineResource(serializers.Serializer[Any]):
    """One durable run of a workflow."""

    id = serializers.UUIDField()
    workflow = serializers.CharField()
    version = serializers.IntegerField()
    state = serializers.ChoiceField(PipelineState.choices)
    message = serializers.CharField()
    progress = Progress()
    steps = StepResource(many=True)
    needs_attention = serializers.BooleanField()
    next_action = NextAction(allow_null=True)
    error = PipelineProblem(allow_null=True)
    result = serializers.DictField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
    links = Links()


class EventResource(serializers.Serializer[Any]):
    """One line of the history."""

    seq = serializers.IntegerField(min_value=1)
    at = serializers.DateTimeField()
    type = serializers.ChoiceField(EventType.choices)
    step = serializers.CharField(allow_null=True)
    attempt = serializers.IntegerField(allow_null=True)
    data = serializers.DictField()  # type: ignore[assignment]


class StreamedEvent(serializers.Serializer[Any]):
    """One server-sent event."""

    id = serializers.CharField(help_text="The event's `seq`.")
    event = serializers.CharField(help_text="The event's `type`.")
    data = serializers.CharField(help_text="The event as JSON.")  # type: ignore[assignment]


class EventPage(serializers.Serializer[Any]):
    """Up to 100 events, oldest first."""

    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = EventResource(many=True)


_TITLES: Final = {
    304: "The client has this very resource.",
    400: "Malformed request or wrong fields.",
    401: "The token is not valid.",
    402: "The client preferred to wait, and the payment was refused.",
    403: "Not allowed: a session without its CSRF token.",
    404: "Not known.",
    409: "Not possible in the present state.",
    413: "The whole body is over the limit.",
    415: "A media type that is not supported.",
    422: "The Idempotency-Key was used with different content.",
    429: "Too many requests.",
    503: "Not available at the moment; repeat later.",
}

Responses = dict[Any, Any]


def problems(*statuses: int) -> Responses:
    """The documented problems of an operation; every one may be throttled, malformed, or without a database."""
    return {
        (status, PROBLEM): OpenApiResponse(Problem, description=_TITLES[status])
        for status in sorted({400, 429, 503, *statuses})
    }


def response_header(name: str, description: str, statuses: list[int], type: Any = str) -> OpenApiParameter:
    """A header of answers."""
    return OpenApiParameter(name, type, OpenApiParameter.HEADER, description=description, response=statuses)


def request_header(name: str, description: str, *, required: bool = False, schema: Any = str) -> OpenApiParameter:
    """A header of requests."""
    return OpenApiParameter(name, schema, OpenApiParameter.HEADER, required=required, description=description)


PREFER: Final = request_header("Prefer", "`wait=N`: wait up to N (at most 30) seconds.")
IDEMPOTENCY_KEY: Final = request_header(
    "Idempotency-Key",
    "8 to 255 visible characters, bare or as a quoted string: both spell the same key. Make a random one for each "
    "submission, such as a UUID, and repeat it with the same content: keys of anonymous customers share one space.",
    required=True,
    schema={"type": "string", "pattern": r"^([!#-~][!-~]{7,254}|\"([!#-\[\]-~]|\\[\"\\]){8,255}\")$"},
)
RETRY_AFTER: Final = response_header("Retry-After", "Seconds to wait.", [200, 202, 304, 429, 503], int)
ETAG: Final = response_header("ETag", "Strong, from the content.", [200, 201, 202, 304])
APPLIED: Final = response_header("Preference-Applied", "`wait`, when the answer waited.", [200, 201, 202, 304, 402])
LOCATION: Final = response_header("Location", "The pipeline; of a 201 what it has made.", [201, 202])
REPLAYED: Final = response_header("Idempotent-Replayed", "`true` when the key was known.", [201, 202])
AFTER: Final = OpenApiParameter(
    "after", {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}, description="The `seq` after which to begin."
)
Decorator = Callable[[Any], Any]


def describe_accept(
    summary: str, request: Mapping[str, Any], *, more_problems: Sequence[int] = (), **more: Any
) -> Decorator:
    """POST of a submission; `more_problems` are statuses that only this one answers with."""
    made: Responses = {
        201: OpenApiResponse(PipelineResource, description="The client preferred to wait, and it is committed."),
        202: OpenApiResponse(PipelineResource, description="Accepted: everything is durable."),
    }
    return extend_schema(
        summary=summary,
        request=dict(request),
        parameters=[IDEMPOTENCY_KEY, PREFER, RETRY_AFTER, ETAG, APPLIED, LOCATION, REPLAYED],
        responses=made | problems(401, 402, 403, 413, 415, 422, *more_problems),
        **more,
    )


describe_status: Final[Decorator] = extend_schema(
    operation_id="pipeline",
    summary="Where a pipeline is",
    parameters=[
        PREFER,
        request_header("If-None-Match", "An ETag that the client has."),
        RETRY_AFTER,
        ETAG,
        APPLIED,
    ],
    responses={200: PipelineResource, 304: OpenApiResponse(description=_TITLES[304])} | problems(404),
)
describe_events: Final[Decorator] = extend_schema(
    operation_id="pipeline_events",
    summary="A pipeline's history",
    parameters=[AFTER, RETRY_AFTER],
    responses={200: EventPage} | problems(404),
)
describe_stream: Final[Decorator] = extend_schema(
    operation_id="pipeline_stream",
    summary="A pipeline's history as it happens",
    description="Server-sent events: `id` is the seq, `event` the type, `data` the event as JSON. Ends after the last.",
    parameters=[request_header("Last-Event-ID", "Resume after this seq.", schema={"type": "integer"}), AFTER],
    responses={
        (200, "text/event-stream"): StreamedEvent,
        204: OpenApiResponse(description="The client has seen the last event: there is nothing to come back for."),
    }
    | problems(404),
)


def describe_action(operation: str, summary: str) -> Decorator:
    """POST of something that a customer may ask for."""
    return extend_schema(
        operation_id=operation,
        summary=summary,
        request=None,
        parameters=[RETRY_AFTER, ETAG, LOCATION],
        responses={202: PipelineResource} | problems(404, 409),
    )
