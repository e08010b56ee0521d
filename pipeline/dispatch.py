"""Publishing: best effort, never in the way. What does not arrive is found by the sweep."""

import logging
import time
from collections.abc import Callable, Sequence

from pipeline.plan import Job

log = logging.getLogger(__name__)

# After a failure this process does not try for a while, so that a black-holed broker costs one request its
# time-out and not every request.
PAUSE_AFTER_FAILURE = 5.0  # seconds

Sender = Callable[[Sequence[Job]], None]

_quiet_until = 0.0
_sender: Sender | None = None


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


def use_sender(sender: Sender | None) -> None:
    """Replace the broker, for tests: the function is given each chain (or single job). None: Celery again."""
    global _sender, _quiet_until
    _sender, _quiet_until = sender, 0.0


def _send(jobs: Sequence[Job]) -> bool:
    global _quiet_until
    if is_paused():
        return False
    try:
        (_sender or _send_by_celery)(jobs)
    except Exception as error:  # noqa: BLE001 - kombu, redis, amqp and socket errors have no common root
        _quiet_until = time.monotonic() + PAUSE_AFTER_FAILURE
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
    from celery import chain

    from pipeline.tasks import signature

    if len(jobs) == 1:
        signature(jobs[0]).apply_async(retry=False)
    else:
        chain(*(signature(job) for job in jobs)).apply_async(retry=False)
