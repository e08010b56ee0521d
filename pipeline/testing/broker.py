"""A broker that does as it is told: it holds messages, and delivers, loses, repeats and reorders them."""

import random
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from kombu.exceptions import OperationalError

from pipeline import crashpoints, dispatch, parallel, tasks
from pipeline.plan import Job
from pipeline.testing.clock import workers_clocks
from pipeline.testing.faults import InjectedFailure, Killed, LostAcknowledgement


@dataclass(frozen=True, slots=True)
class Message:
    """A job, and the links of the chain that follow it."""

    jobs: tuple[Job, ...]

    @property
    def job(self) -> Job:
        """The job that is run when this is delivered."""
        return self.jobs[0]

    def __str__(self) -> str:
        return " > ".join(f"{job.step}.{job.verb}" for job in self.jobs)


class ScriptedBroker:
    """Takes Celery's place in pipeline.dispatch while it is entered.

    `waiting` are the messages not delivered yet, oldest first; `sent` is every message ever published. A message
    is run as a worker would, chain and all, by the code that the real tasks run (pipeline.tasks.run_job).
    """

    def __init__(self) -> None:
        self._clocks = workers_clocks()
        self.waiting: list[Message] = []
        self.sent: list[Message] = []
        self.is_down = False

    def __enter__(self) -> Self:
        self._clocks.__enter__()
        parallel.switch(on=False)
        dispatch.use_sender(self._take, self._count)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        dispatch.use_sender(None)
        parallel.switch(on=True)
        self._clocks.__exit__(kind, error, trace)

    def _count(self, queue: str) -> int:
        if self.is_down:
            raise OperationalError("the scripted broker is down")
        return sum(tasks.QUEUES[message.job.verb] == queue for message in self.waiting)

    def deliver(self, message: Message | None = None) -> Message | None:
        """Run the message, or the oldest one, and publish what is left of its chain. None when there is none.

        A crash or failure that a test has armed ends the message as it would a worker: it is gone.
        """
        if message is None:
            if not self.waiting:
                return None
            message = self.waiting.pop(0)
        elif message in self.waiting:
            self.waiting.remove(message)
        links: tasks.Links = [{"args": [str(job.pipeline), job.step]} for job in reversed(message.jobs[1:])]
        try:
            tasks.run_job(message.job, links)
            if links:
                self._go_on(message, len(links))
        except (Killed, InjectedFailure, LostAcknowledgement):
            pass
        return message

    def deliver_all(self, bound: int = 1000) -> int:
        """Deliver until nothing waits; how many. AssertionError over the bound: messages that breed messages."""
        for delivered in range(bound):
            if self.deliver() is None:
                return delivered
        raise AssertionError(f"{bound} messages delivered, and {len(self.waiting)} wait still: {self._list()}")

    def drop(self) -> Message | None:
        """Lose the oldest message."""
        return self.waiting.pop(0) if self.waiting else None

    def drop_all(self) -> None:
        """Lose everything, as FLUSHALL does."""
        self.waiting.clear()

    def duplicate(self, message: Message | None = None) -> None:
        """Put a copy of the message, or of the oldest one, behind the others."""
        if message is not None:
            self.waiting.append(message)
        elif self.waiting:
            self.waiting.append(self.waiting[0])

    def reorder(self, seed: int) -> None:
        """Shuffle what waits."""
        random.Random(seed).shuffle(self.waiting)  # noqa: S311 - a test's order

    def replay_all(self, pipelines: Iterable[uuid.UUID] | None = None) -> int:
        """Deliver every message ever published once more (of these pipelines only, if given); how many."""
        wanted = None if pipelines is None else set(pipelines)
        old = [message for message in self.sent if wanted is None or message.job.pipeline in wanted]
        for message in old:
            self.deliver(message)
        return len(old)

    def go_down(self) -> None:
        """Refuse to take messages, as kombu does when nobody listens."""
        self.is_down = True

    def come_back(self) -> None:
        """Take messages again; publishers try at once."""
        self.is_down = False
        dispatch.use_sender(self._take, self._count)

    def _go_on(self, message: Message, left: int) -> None:
        """What Celery does after a link has ended well."""
        done, rest = message.jobs[-left - 1], message.jobs[-left:]
        dispatch.publish_chain(rest)
        crashpoints.reached(done.step, done.verb, "published")

    def _take(self, jobs: Sequence[Job]) -> None:
        if self.is_down:
            raise OperationalError("Connection refused: the scripted broker is down")
        message = Message(tuple(jobs))
        self.waiting.append(message)
        self.sent.append(message)

    def _list(self) -> str:
        return ", ".join(str(message) for message in self.waiting[:10])
