"""A worker's consumer without Celery's own way to delay messages: every delay lies in the database (`due_at`).

Beside quorum queues Celery declares 28 more for it, on every start, and warns that our exchange is no topic.
"""

from celery.worker.consumer import Consumer as CelerysConsumer


class Consumer(CelerysConsumer):
    """Celery's, with all its steps but one. Named by CELERY_WORKER_CONSUMER."""

    class Blueprint(CelerysConsumer.Blueprint):  # type: ignore[misc, valid-type] # its stubs say variable
        """The steps of a start."""

        default_steps = [
            step for step in CelerysConsumer.Blueprint.default_steps if not step.endswith(":DelayedDelivery")
        ]
