"""The sweep: find jobs whose next move is due and publish them. It is the delivery guarantee.

It needs no scheduler, no broker and no singleton: any number may run. A pipeline's next due time is committed
before anything is published, so that what is lost is found again.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection

from pipeline import attention, crashpoints, dispatch, sweep_statements, transitions
from pipeline.backlog import states_with_room
from pipeline.conf import conf
from pipeline.db import to_array
from pipeline.plan import Job, StepView, due_jobs, next_look

log = logging.getLogger(__name__)


def sweep_once() -> int:
    """Free what is abandoned, publish what is due. The number of jobs published."""
    for pipeline, step in transitions.release_abandoned():
        log.warning("pipeline %s: %s was abandoned by its owner and is due again", pipeline, step)
    states = states_with_room()
    if not states:
        return 0  # nothing would be taken: what is due stays due
    settings = conf()
    rows = sweep_statements.TAKE_DUE.rows(
        {
            "states": to_array(tuple(states)),
            "again": settings.REPUBLISH_AFTER,
            "cap": settings.REPUBLISH_CAP,
            "batch": settings.SWEEP_BATCH,
        },
    )
    if not rows:
        return 0
    crashpoints.reached("sweep", "take", "taken")
    steps = _steps_of([row["id"] for row in rows])
    return sum(_publish_due(row, steps[row["id"]]) for row in rows)


def sweep_for_ever(is_over: Callable[[], bool]) -> None:
    """Sweep at intervals until told to end. A database that is away for a while is waited for."""
    while not is_over():
        try:
            sweep_once()
            attention.tell_untold()
        except (InterfaceError, OperationalError) as error:
            log.warning("sweep: the database is away (%s); trying again", type(error).__name__)
            connection.close()
        time.sleep(conf().SWEEP_EVERY.total_seconds())


def _steps_of(pipelines: list[UUID]) -> dict[UUID, list[StepView]]:
    steps: dict[UUID, list[StepView]] = defaultdict(list)
    for row in sweep_statements.STEPS_OF.rows({"pipelines": pipelines}):
        steps[row.pop("pipeline_id")].append(StepView(**row))
    return steps


def _publish_due(row: dict[str, Any], steps: list[StepView]) -> int:
    due = due_jobs(row["state"], row["hints"], steps, row["now"])
    if due and dispatch.publish(*(Job(row["id"], step.name, verb) for step, verb in due)):
        crashpoints.reached("sweep", "take", "published")
        return len(due)
    # What the broker did not take multiplies no backlog: it is tried again soon, however long that lasts.
    look = row["now"] + conf().REPUBLISH_AFTER if due else next_look(row["state"], steps)
    if look is not None and look > row["now"]:
        sweep_statements.SETTLE.count(
            {"pipeline": row["id"], "seen_seq": row["seq"], "taken": row["due_at"], "due_at": look}
        )
    return 0
