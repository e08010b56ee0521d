"""The engine's settings: `settings.PIPELINE`, a dict, read late. Everything has a default."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from functools import cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from pipeline.retry import RetryPolicy


@dataclass(frozen=True, slots=True)
class Conf:
    """Durations are timedeltas. The time ladder, each smaller than the next: `CALL_TIME`, `ATTEMPT_TIME` after
    `GO_ON_FOR`, the task's soft and hard limits (Celery's settings), `LEASE`, the broker's visibility timeout (checked
    at start).
    """

    STAGING_DEADLINE: timedelta = timedelta(minutes=10)
    # How long a process may hold a job. The owner's lock tells of a dead one at once; this is for one that hangs.
    LEASE: timedelta = timedelta(seconds=60)
    # One call to a provider, as a whole: from looking up its address to the last byte of its answer.
    CALL_TIME: timedelta = timedelta(seconds=10)
    # One call while somebody waits for a page: a web process has few threads.
    CALL_TIME_IN_REQUEST: timedelta = timedelta(seconds=4)
    # All calls of one attempt together; a worker's threads have no other limit than this and the lease.
    ATTEMPT_TIME: timedelta = timedelta(seconds=25)
    # An effect begins only if at least this much of the lease is left: a provider call and its write fit in.
    LEASE_MARGIN: timedelta = timedelta(seconds=15)
    # A worker goes on with the next link itself while its task is younger than this.
    GO_ON: bool = True
    GO_ON_FOR: timedelta = timedelta(seconds=5)
    # Jobs that a process runs in threads of their own, beside the ones that opened them; more go by message.
    PARALLEL: int = 16
    SWEEP_EVERY: timedelta = timedelta(milliseconds=500)
    SWEEP_BATCH: int = 50
    # A published move is published again after this, doubling up to the cap, while nobody has taken it.
    REPUBLISH_AFTER: timedelta = timedelta(seconds=2)
    REPUBLISH_CAP: timedelta = timedelta(seconds=60)
    # A queue with so many messages has work enough: the sweep adds nothing to it.
    QUEUE_FULL: int = 20
    # How long a message waits for the broker's confirmation, where it gives one (RabbitMQ).
    PUBLISH_TIMEOUT: timedelta = timedelta(seconds=5)
    # A worker that does not know the workflow, or is told to pause, leaves the job for this long.
    POSTPONE: timedelta = timedelta(seconds=10)
    # After a start of PostgreSQL every process needs a moment to take its lock again.
    OWNER_GRACE: timedelta = timedelta(seconds=5)
    # Where owners hold their locks, by libpq's names; None: Django's own address. See pipeline/ownership.py.
    OWNER_ADDRESS: Mapping[str, Any] | None = None
    ATTENTION_AFTER: timedelta = timedelta(minutes=15)
    PAUSE_STAGING: bool = False
    MAX_OPEN_PER_CLIENT: int = 0  # unfinished pipelines of one client; 0: no ceiling
    STAGE_RETRY: RetryPolicy = RetryPolicy(first=timedelta(milliseconds=500), factor=2, cap=timedelta(seconds=30))
    FINISH_RETRY: RetryPolicy = RetryPolicy(first=timedelta(milliseconds=500), factor=2, cap=timedelta(hours=1))
    WAITING_POLL: RetryPolicy = RetryPolicy(first=timedelta(seconds=5), factor=1.5, cap=timedelta(seconds=60))
    # A provider's circuit opens when so many pipelines in a row had outages, over all workers (0: never). It is
    # tried again after the policy's delays; a provider that was away for a moment is missed for two seconds.
    CIRCUIT_AFTER: int = 5
    CIRCUIT_RETRY: RetryPolicy = RetryPolicy(first=timedelta(seconds=2), factor=2, cap=timedelta(seconds=60))
    SECRET_KEYS: tuple[str, ...] = ()  # Fernet keys, newest first; needed by workflows that have secrets
    ON_ATTENTION: str = ""  # dotted path of a function(pipeline) that tells a person
    # Dotted paths of functions to how often they are called: see pipeline/chores.py.
    CHORES: Mapping[str, timedelta] = field(default_factory=dict)
    # Dotted paths of function(Scope) -> Iterator[Violation]: `manage.py verify` compares with the world by them.
    AUDITS: tuple[str, ...] = ()
    # Dotted paths of Reconciler classes: see pipeline/reconciliation.py.
    RECONCILERS: tuple[str, ...] = ()
    # Nothing younger is touched: longer than a lease and a provider call, and than clocks differ.
    RECONCILE_AFTER: timedelta = timedelta(minutes=10)
    RECONCILE_WINDOW: timedelta = timedelta(days=2)  # how far back the chore looks; the command looks at everything
    SWEEP_IN_WORKERS: bool = True
    # How long an ended pipeline keeps what it holds of people; None or zero: for ever. At least as long as a payment
    # may be refunded or disputed, for which its data is needed: the longest plan (60 days) and the networks' 120.
    RETENTION: timedelta | None = timedelta(days=180)
    REAP_BATCH: int = 100  # pipelines of one statement: some 2,000 rows, which takes milliseconds
    REAP_PAUSE: timedelta = timedelta(milliseconds=100)  # between two of them, for everybody else
    # Dotted paths of function(retention) -> {what: how many}: what the application's own tables hold of people.
    ALSO_REAP: tuple[str, ...] = ()
    # Dotted paths of function(pipeline id), called before one is erased; IllegalAction refuses.
    ALSO_ERASE: tuple[str, ...] = ()
    # Dotted paths of function(address) -> pipeline ids whose data in the application's own tables names that address.
    ALSO_HOLDING: tuple[str, ...] = ()
    CRASH_FILE: str = ""  # tests only: see pipeline/crashpoints.py


_NAMES = frozenset(each.name for each in fields(Conf))


@cache
def conf() -> Conf:
    """The settings as they are now; ImproperlyConfigured for a name that does not exist."""
    given: dict[str, Any] = getattr(settings, "PIPELINE", {})
    unknown = sorted(set(given) - _NAMES)
    if unknown:
        raise ImproperlyConfigured(
            f"settings.PIPELINE has no {', '.join(unknown)}; it takes {', '.join(sorted(_NAMES))}."
        )
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    return Conf(**values)


def _forget(*, setting: str, **_: object) -> None:
    if setting == "PIPELINE":
        conf.cache_clear()


setting_changed.connect(_forget)
