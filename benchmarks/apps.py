"""As an app of Django's, so that workers find the workflow, and can be told to write down what they send."""

import os
import sys
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.db.backends.signals import connection_created

# A folder: every process but the sweep writes a trace of its connection there.
TRACE = "BENCH_TRACE"
# Set to measure what a pool process holds after very many pipelines: none is replaced then.
FOR_EVER = "BENCH_FOR_EVER"


class BenchmarksConfig(AppConfig):
    """The benchmark."""

    name = "benchmarks"

    def ready(self) -> None:
        """Trace new connections if asked to."""
        if os.environ.get(TRACE) and "sweep" not in sys.argv:
            connection_created.connect(_trace, dispatch_uid="bench-trace")


def _trace(connection: Any, **_: Any) -> None:
    from benchmarks.counting import begin_trace

    path = Path(os.environ[TRACE]) / f"{os.getpid()}-{id(connection.connection)}.trace"
    begin_trace(connection.connection, path.open("wb"))
