"""Publishing: best effort, never in the way. What does not arrive is found by the sweep."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

from kombu import Queue
from kombu.connection import ConnectionPool

from pipeline.conf import conf
from pipeline.plan import Job

log = logging.getLogger(__name__)

# After a failure this process does not try for a while, so that a black-holed broker costs one request its
# time-out and not every request.
PAUSE_AFTER_FAILURE = 5.0  # seconds

Sender = Callable[[Sequence[Job]], None]
Counter = Callable[[str], int]

_quiet_until = 0.0
_sender: Sender | None = None
_counter: Counter | None = None


def publish(*jobs: Job) -> bool:
    """Publish each job as a message of its own. False when the broker did not take them."""
    sent = [_send([job]) for job in jobs]  # each is tried, whatever became of the others
    return all(sent)


def publish_chain(jobs: Sequence[Job]) -> bool:
    """Publish jobs that follow one another as one Celery chain."""
    return _send(jobs) if jobs else True


def is_paused() -> bool:
    """Whether the broker failed a moment ago and is left alone by this process."""
    return time.monotonic() < _quiet_until


def waiting(queue: str) -> int | None:
    """How many messages the queue holds that no worker has; None when the broker does not answer."""
    if is_paused():
        return None
    try:
        return (_counter or _count_by_celery)(queue)
    except Exception as error:  # noqa: BLE001 - as below
        _be_quiet()
        log.warning("the broker does not tell how long its queue %s is (%s)", queue, type(error).__name__)
        return None


def use_sender(sender: Sender | None, counter: Counter = lambda queue: 0) -> None:
    """Replace the broker, for tests: `sender` is given each chain (or single job), `counter` tells how many
    messages wait in a queue. None: Celery again.
    """
    global _sender, _counter, _quiet_until
    _sender, _counter, _quiet_until = sender, counter if sender else None, 0.0


def _be_quiet() -> None:
    global _quiet_until
    _quiet_until = time.monotonic() + PAUSE_AFTER_FAILURE


def _send(jobs: Sequence[Job]) -> bool:
    if is_paused():
        return False
    try:
        (_sender or _send_by_celery)(jobs)
    except Exception as error:  # noqa: BLE001 - kombu, redis, amqp and socket errors have no common root
        _be_quiet()
        log.warning(
            "pipeline %s: %s of %s not published (%s); the sweep will do it",
            jobs[0].pipeline,
            jobs[0].verb,
            jobs[0].step,
            type(error).__name__,
        )
        return False
    return True


def _send_by_celery(jobs: Sequence[Job]) -> None:
    from pipeline.tasks import send

    send(jobs, retry=False, confirm_timeout=conf().PUBLISH_TIMEOUT.total_seconds())


def _count_by_celery(queue: str) -> int:
    from celery import current_app

    # Declared as the workers declare it, and not passively: kombu looks for the queue without Redis' key prefix then.
    queues = cast("dict[str, Queue]", current_app.amqp.queues)
    with cast("ConnectionPool", current_app.pool).acquire(block=True) as broker:
        declared: Any = queues[queue].bind(broker.default_channel).queue_declare()
    return int(declared.message_count)
