"""The Celery tasks: thin. A message says which job; the database says whether it is its turn."""

import uuid
from collections.abc import Sequence
from typing import Any, cast

from celery import Signature, Task, shared_task

from pipeline import crashpoints, dispatch, executor
from pipeline.plan import Job
from pipeline.states import Verb

# Each verb has a queue of its own, so that new work cannot starve what is decided.
QUEUES = {Verb.STAGE: "pipeline", Verb.COMMIT: "commit", Verb.ROLLBACK: "rollback"}

# The links that a staging message carries, as Celery keeps them: the next one last, each with its task's arguments.
Links = list[dict[str, Any]]


@shared_task(bind=True, name="pipeline.stage")
def stage(self: Task[Any, Any], pipeline: str, step: str) -> None:
    """A link of the staging chain. When it ends well, Celery publishes what is left of the chain."""
    run_job(Job(uuid.UUID(pipeline), step, Verb.STAGE), cast("Links", self.request.chain or []))


@shared_task(name="pipeline.commit")
def commit(pipeline: str, step: str) -> None:
    """One commit job."""
    run_job(Job(uuid.UUID(pipeline), step, Verb.COMMIT), [])


@shared_task(name="pipeline.rollback")
def rollback(pipeline: str, step: str) -> None:
    """One rollback job."""
    run_job(Job(uuid.UUID(pipeline), step, Verb.ROLLBACK), [])


def run_job(job: Job, links: Links) -> None:
    """Run the job, publish what it opened for others, and cut off in place the links that are not next."""
    ended = executor.run(job)
    _cut(links, ended.next_link)
    dispatch.publish(*ended.publish)
    if ended.next_link is not None and not links:
        dispatch.publish(ended.next_link)
        if ended.last is not None:
            crashpoints.reached(ended.last.step, ended.last.verb, "published")


def signature(job: Job) -> Signature[None]:
    """The immutable signature of the job: ids and names only."""
    task = {Verb.STAGE: stage, Verb.COMMIT: commit, Verb.ROLLBACK: rollback}[job.verb]
    return task.si(str(job.pipeline), job.step).set(queue=QUEUES[job.verb])


def send(jobs: Sequence[Job], **options: Any) -> None:
    """Publish jobs that follow one another as one message, with Celery's options for publishing.

    It is the message of `chain(…)`, the next link last. Nobody asks for the links' results, and `chain` preparing
    them is a third of what publishing costs (1.9 and 1.3 ms).
    """
    first, *links = (signature(job) for job in jobs)
    first.apply_async(chain=links[::-1] or None, **options)


def _cut(links: Links, next_link: Job | None) -> None:
    """Leave the chain from the next link on, or nothing: what was done here, or is not due yet, goes."""
    wanted = [str(next_link.pipeline), next_link.step] if next_link else None
    while links and list(links[-1].get("args", [])) != wanted:
        links.pop()
