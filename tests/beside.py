"""What goes on beside a request that waits."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from pipeline.models import Pipeline
from pipeline.testing import ScriptedBroker, drain


@contextmanager
def a_worker(broker: ScriptedBroker) -> Iterator[None]:
    """It drives every pipeline that does not wait for its customer to its end."""
    stop = threading.Event()

    def work() -> None:
        try:
            while not stop.wait(0.05):
                for pipeline in Pipeline.objects.filter(finished_at=None).exclude(state="waiting"):
                    drain(pipeline.pk, broker)
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
