"""The Celery tasks: thin. A message says which job; the database says whether it is its turn."""

import uuid
from typing import Any

from celery import Signature, Task, shared_task

from pipeline import dispatch, executor
from pipeline.executor import Ended
from pipeline.plan import Job
from pipeline.states import Verb


@shared_task(bind=True, name="pipeline.stage", queue="pipeline")
def stage(self: Task[Any, Any], pipeline: str, step: str) -> None:
    """A link of the staging chain. Links that were done here on the way are taken off the chain it carries."""
    ended = executor.run(Job(uuid.UUID(pipeline), step, Verb.STAGE))
    if _leave_to_chain(self, ended):
        ended.next_link = None
    _publish(ended)


@shared_task(name="pipeline.commit", queue="commit")
def commit(pipeline: str, step: str) -> None:
    """One commit job."""
    _publish(executor.run(Job(uuid.UUID(pipeline), step, Verb.COMMIT)))


@shared_task(name="pipeline.rollback", queue="rollback")
def rollback(pipeline: str, step: str) -> None:
    """One rollback job."""
    _publish(executor.run(Job(uuid.UUID(pipeline), step, Verb.ROLLBACK)))


def signature(job: Job) -> Signature[None]:
    """The immutable signature of the job: ids and names only."""
    task = {Verb.STAGE: stage, Verb.COMMIT: commit, Verb.ROLLBACK: rollback}[job.verb]
    return task.si(str(job.pipeline), job.step)


def _publish(ended: Ended) -> None:
    dispatch.publish(*ended.publish)
    if ended.next_link is not None:
        dispatch.publish(ended.next_link)


def _leave_to_chain(task: Task[Any, Any], ended: Ended) -> bool:
    """Cut the carried chain (last link first) down to the next link, or to nothing. Whether it goes on there."""
    links: list[dict[str, Any]] = task.request.chain or []
    wanted = [str(ended.next_link.pipeline), ended.next_link.step] if ended.next_link else None
    while links and list(links[-1].get("args", [])) != wanted:
        links.pop()
    return bool(links)
