"""What G1 and G4 compare with: Celery's own chains, nothing durable.

They have the broker, the worker options and the message options of the project's workers, and nothing of Django.
"""

from typing import Final

from celery import Celery, chain
from django.conf import settings
from kombu import Queue

from benchmarks import provider

QUEUE: Final = "bare"
PREFIX: Final = "bare:"

app = Celery("benchmarks.bare", set_as_current=False, fixups=[])
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.task_queues = [Queue(QUEUE, routing_key=QUEUE)]
app.conf.task_default_queue = QUEUE
# kombu's default of 10 connections loses acknowledgements under gevent.
app.conf.broker_transport_options = settings.CELERY_BROKER_TRANSPORT_OPTIONS | {
    "global_keyprefix": PREFIX,
    "max_connections": 500,
}


@app.task(name="bare.link")
def link() -> None:
    """One link: nothing."""


@app.task(name="bare.call")
def call() -> None:
    """One link: a call to the provider."""
    provider.call()


def submit(links: int, *, calls: bool) -> None:
    """Publish one chain of so many links."""
    task = call if calls else link
    chain(*(task.si() for _ in range(links))).apply_async(retry=False)
