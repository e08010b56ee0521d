"""What G1 compares with: Celery's own chain of four empty tasks, nothing durable.

It has the broker, the worker options and the message options of the project's workers, and nothing of Django.
"""

from typing import Final

from celery import Celery, chain
from django.conf import settings
from kombu import Queue

LINKS: Final = 4
QUEUE: Final = "bare"
PREFIX: Final = "bare:"

app = Celery("benchmarks.bare", set_as_current=False, fixups=[])
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.task_queues = [Queue(QUEUE, routing_key=QUEUE)]
app.conf.task_default_queue = QUEUE
app.conf.broker_transport_options = settings.CELERY_BROKER_TRANSPORT_OPTIONS | {"global_keyprefix": PREFIX}


@app.task(name="bare.link")
def link() -> None:
    """One link: nothing."""


def submit() -> None:
    """Publish one chain."""
    chain(*(link.si() for _ in range(LINKS))).apply_async(retry=False)
