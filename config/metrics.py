"""Prometheus metrics: what this process served, and where the pipelines are. For the inside only."""

import ipaddress
import time
from collections.abc import Iterable
from typing import Any, Final

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from pipeline.estimate import about
from pipeline.models import Pipeline
from pipeline.states import TERMINAL, PipelineState

REGISTRY: Final = CollectorRegistry()
REQUESTS: Final = Counter(
    "http_requests", "Requests served by this process.", ["method", "route", "status"], registry=REGISTRY
)
SECONDS: Final = Histogram(
    "http_request_seconds",
    "How long they took; a stream until it began.",
    ["method", "route"],
    registry=REGISTRY,
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 30),
)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "OPTIONS"})

# Each is one range of a partial index.
_UNFINISHED: Final = "SELECT state, count(*) FROM pipeline_pipeline WHERE finished_at IS NULL GROUP BY state"
_BACKLOG: Final = """
SELECT count(*), COALESCE(EXTRACT(epoch FROM now() - min(due_at)), 0)
FROM pipeline_pipeline WHERE finished_at IS NULL AND due_at <= now()"""
_CHORES: Final = "SELECT count(*) FROM pipeline_chore WHERE error <> ''"
_CIRCUITS: Final = "SELECT provider, (opened_at IS NOT NULL)::int, failures FROM pipeline_circuit ORDER BY provider"
_ATTENTION: Final = "SELECT count(*) FROM pipeline_pipeline WHERE attention > 0"
_FINDINGS: Final = "SELECT count(*) FROM pipeline_finding WHERE closed_at IS NULL AND state = 'open'"


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """The text format. For anybody but METRICS_NETWORKS there is nothing here, unless METRICS_PUBLIC."""
    if not settings.METRICS_PUBLIC and not _is_inside(request):
        raise Http404
    return HttpResponse(generate_latest(REGISTRY), content_type=CONTENT_TYPE_LATEST)


class Pipelines(Collector):
    """Reads the database when it is asked for."""

    def collect(self) -> Iterable[Metric]:
        """Pipelines by state, the backlog of the sweep, and what needs a person."""
        with connection.cursor() as cursor:
            cursor.execute(_UNFINISHED)
            counts = dict(cursor.fetchall())
            cursor.execute(_BACKLOG)
            due, oldest = cursor.fetchone()
            cursor.execute(_ATTENTION)
            (attention,) = cursor.fetchone()
            cursor.execute(_FINDINGS)
            (findings,) = cursor.fetchone()
            cursor.execute(_CHORES)
            (failing,) = cursor.fetchone()
            cursor.execute(_CIRCUITS)
            circuits = cursor.fetchall()
        for ended in TERMINAL:
            counts[ended] = about(Pipeline.objects.filter(state=ended))
        what = "Pipelines by state; of those that have ended beyond a thousand as many as PostgreSQL estimates."
        by_state = GaugeMetricFamily("pipelines", what, labels=["state"])
        for state in PipelineState.values:
            by_state.add_metric([state], counts.get(state, 0))
        yield by_state
        yield GaugeMetricFamily("pipelines_due", "Unfinished pipelines whose time has come.", value=due)
        yield GaugeMetricFamily("pipelines_due_seconds", "How long the oldest of them is due.", value=float(oldest))
        yield GaugeMetricFamily("pipelines_needing_attention", "Pipelines that wait for a person.", value=attention)
        yield GaugeMetricFamily("findings_open", "Things outside that nobody has decided on yet.", value=findings)
        yield GaugeMetricFamily("chores_failing", "Chores whose last call failed.", value=failing)
        yield from _circuits(circuits)


def _circuits(rows: Iterable[tuple[str, int, int]]) -> Iterable[Metric]:
    """Of each provider that ever failed: whether its jobs wait, and its outages in a row."""
    is_open = GaugeMetricFamily("circuit_open", "Whether the provider's jobs wait.", labels=["provider"])
    failures = GaugeMetricFamily("circuit_failures", "Outages of the provider in a row.", labels=["provider"])
    for provider, opened, count in rows:
        is_open.add_metric([provider], opened)
        failures.add_metric([provider], count)
    yield is_open
    yield failures


REGISTRY.register(Pipelines())


class CountRequests:
    """Middleware, first of all: every answer counts once, under its route and never under its address."""

    async_capable = sync_capable = True

    def __init__(self, get_response: Any) -> None:
        self._get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        """Either way of calling it."""
        if iscoroutinefunction(self):
            return self._later(request)
        began = time.perf_counter()
        response = self._get_response(request)
        _count(request, response.status_code, began)
        return response

    async def _later(self, request: HttpRequest) -> Any:
        began = time.perf_counter()
        response = await self._get_response(request)
        _count(request, response.status_code, began)
        return response


def _count(request: HttpRequest, status: int, began: float) -> None:
    match = request.resolver_match
    route = match.route if match is not None else "none"
    method = request.method if request.method in _METHODS else "other"
    REQUESTS.labels(method, route, str(status)).inc()
    SECONDS.labels(method, route).observe(time.perf_counter() - began)


def _is_inside(request: HttpRequest) -> bool:
    """Whether the peer itself is inside; a proxy there that speaks for somebody does not count."""
    if "X-Forwarded-For" in request.headers:
        return False
    try:
        peer = ipaddress.ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return False
    return any(peer in ipaddress.ip_network(network) for network in settings.METRICS_NETWORKS)
