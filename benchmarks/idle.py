"""G5: one posting on an idle system, from accept to committed, over what the providers themselves take."""

import time
import uuid
from typing import Any, Final

import httpx

from benchmarks import workers
from benchmarks.counting import wait_for_end
from benchmarks.figures import number, percentile
from benchmarks.goals import GOALS, Measured
from benchmarks.place import Place
from benchmarks.submissions import start_posting
from benchmarks.workers import Setting

LATENCY: Final = 0.1  # seconds that every answer of a provider takes
PROVIDERS: Final = ("stripe", "sendgrid", "s3")
WARM_UP: Final = 3


def measure(place: Place, pipelines: int) -> list[Measured]:
    """The p50 of so many postings, one after another. All provider calls of a posting are on its critical path."""
    place.empty()
    faults = f"{place.sandbox}/_sandbox/faults"
    with workers.running("config", "pipeline,commit,rollback", Setting("prefork", 2, 1)):
        for _ in range(WARM_UP):
            wait_for_end(start_posting())
        for provider in PROVIDERS:
            fault = {"provider": provider, "kind": "latency", "seconds": LATENCY}
            httpx.post(faults, json=fault, timeout=5).raise_for_status()
        try:
            took = sorted(_seconds() for _ in range(pipelines))
            calls = _calls(httpx.get(faults, timeout=5).json()) / pipelines
        finally:
            httpx.delete(faults, timeout=5).raise_for_status()
    p50, least = percentile(took, 0.5), calls * LATENCY
    detail = f"p50 {number(p50 * 1000)} ms, p99 {number(percentile(took, 0.99) * 1000)} ms of {pipelines} postings; "
    detail += f"{number(calls)} provider calls of {LATENCY * 1000:.0f} ms each, one after another"
    return [Measured(GOALS["G5"], p50 / least, detail)]


def _seconds() -> float:
    began = time.perf_counter()
    pipeline = start_posting()
    wait_for_end(pipeline)
    return min(time.perf_counter() - began, _in_database(pipeline))


def _in_database(pipeline: uuid.UUID) -> float:
    """From the accept's to the end's own time: without this client's polling."""
    from pipeline.models import Pipeline

    row = Pipeline.objects.get(pk=pipeline)
    assert row.finished_at is not None
    return (row.finished_at - row.created_at).total_seconds()


def _calls(faults: Any) -> int:
    """How many answers waited."""
    return sum(fault["fired"] for fault in (faults["faults"] if isinstance(faults, dict) else faults))
