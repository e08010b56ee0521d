"""System checks: a misconfiguration is named by an id, with what to do, before it costs anybody money.

`manage.py check` runs all but those that ask the database: pipeline.E401, and pipeline/connection_checks.py
(`check --database default`; `migrate` too).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import timedelta
from itertools import pairwise
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004 - Django's name for it
from django.db import DatabaseError, connections
from django.utils.module_loading import import_string

from pipeline.conf import Conf, conf
from pipeline.registry import all_workflows, known_jobs
from pipeline.workflow import Step, Workflow

_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
# Transports with which publishing, redelivery and the time limits were tested. A list of addresses is for failover.
_BROKERS = ("redis", "rediss", "amqp", "amqps", "pyamqp")
_DEFAULT_VISIBILITY = 3600  # seconds; Redis transport's own

Apps = Sequence[AppConfig] | None


@register()
def check_settings(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    """settings.PIPELINE: names, keys, durations."""
    unknown = sorted(set(getattr(settings, "PIPELINE", {})) - {field.name for field in fields(Conf)})
    if unknown:
        hint = f"It takes {', '.join(field.name for field in fields(Conf))}."
        return [Error(f"settings.PIPELINE has no {', '.join(unknown)}.", hint=hint, id="pipeline.E001")]
    return [
        *_wrong_keys(),
        *_wrong_teller(),
        *_wrong_margin(),
        *_wrong_chores(),
        *_wrong_retention(),
        *_wrong_reconciling(),
    ]


@register()
def check_celery(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    """Celery's settings against the engine's: time limits, acknowledgement, queues."""
    celery = celery_settings()
    return [
        *_wrong_broker(celery),
        *_wrong_ladder(celery),
        *_wrong_habits(celery),
        *_wrong_queues(celery),
        *_wrong_routes(celery),
    ]


@register(deploy=True)
def check_proxies(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    """Behind a proxy, customers are told apart by what it forwards."""
    proxies = getattr(settings, "REST_FRAMEWORK", {}).get("NUM_PROXIES")
    if proxies is None:
        hint = "Set REST_FRAMEWORK['NUM_PROXIES']: without it, whoever asks says where from."
        return [Warning("Addresses are taken from X-Forwarded-For, whoever sent it.", hint=hint, id="pipeline.W501")]
    if not proxies and getattr(settings, "SECURE_PROXY_SSL_HEADER", None):
        hint = "Set REST_FRAMEWORK['NUM_PROXIES'] to how many proxies append to X-Forwarded-For."
        message = "There is a proxy in front, and all customers share its address, rates and ceilings."
        return [Warning(message, hint=hint, id="pipeline.W502")]
    return []


@register()
def check_databases(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    """PostgreSQL through psycopg 3, without a transaction around each request."""
    found: list[CheckMessage] = []
    connection = connections["default"]
    if connection.vendor != "postgresql":
        hint = "Locks, owners and guarded statements are PostgreSQL's: set DATABASE_URL to one."
        found.append(Error(f"The engine needs PostgreSQL, not {connection.vendor}.", hint=hint, id="pipeline.E201"))
    elif not _has_psycopg3():
        found.append(Error("Django does not use psycopg 3.", hint="Install psycopg[binary]>=3.2.", id="pipeline.E202"))
    if connection.settings_dict.get("ATOMIC_REQUESTS"):
        hint = "A transaction would be open while a request waits. Use transaction.atomic where it is needed."
        found.append(Error("ATOMIC_REQUESTS is on.", hint=hint, id="pipeline.E203"))
    if not connection.settings_dict.get("AUTOCOMMIT", True):
        hint = "Every guarded statement is a transaction of its own: leave AUTOCOMMIT on."
        found.append(Error("AUTOCOMMIT is off.", hint=hint, id="pipeline.E204"))
    if connection.settings_dict.get("CONN_MAX_AGE") != 0 and not connection.settings_dict.get("CONN_HEALTH_CHECKS"):
        hint = "Set CONN_HEALTH_CHECKS, or requests fail after each restart of PostgreSQL."
        found.append(Warning("Connections are kept, and not checked.", hint=hint, id="pipeline.W205"))
    return found


@register()
def check_workflows(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    """Every registered workflow's definition."""
    return [message for workflow in all_workflows() for message in _wrong_workflow(workflow)]


@register(Tags.database)
def check_unfinished(app_configs: Apps, databases: Iterable[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Unfinished pipelines that a changed definition would strand."""
    if "default" not in (databases or ()):
        return []
    try:
        if "pipeline_step" not in connections["default"].introspection.table_names():
            return []
    except DatabaseError:
        return []  # pipeline/connection_checks.py says why
    return [
        Error(
            f"{len(ids)} unfinished pipeline{'s' if len(ids) > 1 else ''} of {job}, which this code does not know: "
            f"{', '.join(ids[:5])}{', …' if len(ids) > 5 else ''}.",
            hint="Keep that version of the workflow, with all of its steps, until they have ended, and give the "
            "changed one another version.",
            id="pipeline.E401",
        )
        for job, ids in stranded().items()
    ]


def stranded() -> dict[str, list[str]]:
    """`workflow version N step KIND` to the ids of unfinished pipelines that have it, where the code has not."""
    from pipeline.models import Step as Row
    from pipeline.states import STEP_TERMINAL

    rows = (
        Row.objects.filter(pipeline__finished_at=None)
        .exclude(state__in=STEP_TERMINAL)
        .order_by("pipeline__created_at", "position")
        .values_list("pipeline__workflow", "pipeline__version", "kind", "pipeline_id")
    )
    known = set(known_jobs())
    found: dict[str, list[str]] = {}
    for workflow, version, kind, pipeline in rows:
        if f"{workflow} {version} {kind}" not in known:
            ids = found.setdefault(f"{workflow} version {version} step {kind}", [])
            if str(pipeline) not in ids:
                ids.append(str(pipeline))
    return found


def celery_settings() -> Any:
    """The settings of the Celery application that publishes and runs the jobs."""
    from celery import current_app

    return current_app.conf


def _wrong_keys() -> list[CheckMessage]:
    from cryptography.fernet import Fernet

    found: list[CheckMessage] = []
    making = "Make one with Fernet.generate_key(), of the package cryptography."
    for number, key in enumerate(conf().SECRET_KEYS, start=1):
        try:
            Fernet(key)
        except ValueError:
            message = f"Key {number} of PIPELINE['SECRET_KEYS'] is no Fernet key."
            found.append(Error(message, hint=making, id="pipeline.E003"))
    owners = sorted({workflow.name for workflow in all_workflows() if any(step.secrets for step in workflow.steps)})
    if owners and not conf().SECRET_KEYS:
        message = f"PIPELINE['SECRET_KEYS'] is empty, and {', '.join(owners)} has secrets."
        found.append(Error(message, hint=making, id="pipeline.E002"))
    return found


def _wrong_teller() -> list[CheckMessage]:
    path = conf().ON_ATTENTION
    hint = "Give the dotted path of a function that takes a pipeline and tells a person."
    message = f"PIPELINE['ON_ATTENTION'] is {path!r}, and there is no such function."
    return [Error(message, hint=hint, id="pipeline.E004")] if path and not _is_function(path) else []


def _wrong_chores() -> list[CheckMessage]:
    found: list[CheckMessage] = []
    given: Mapping[str, Any] = conf().CHORES
    for path, every in given.items():
        if not _is_function(path):
            hint = "Give the dotted path of a function without arguments."
            message = f"PIPELINE['CHORES'] names {path!r}, and there is no such function."
            found.append(Error(message, hint=hint, id="pipeline.E006"))
        if not isinstance(every, timedelta) or every <= timedelta(0):
            hint = "Give how often it is called, as a timedelta: timedelta(minutes=5), for example."
            message = f"PIPELINE['CHORES'] has {every!r} for {path!r}."
            found.append(Error(message, hint=hint, id="pipeline.E007"))
    return found


def _wrong_retention() -> list[CheckMessage]:
    settings = conf()
    found: list[CheckMessage] = []
    if settings.RETENTION is not None and timedelta(0) > settings.RETENTION:
        hint = "Give a timedelta, or None to keep everything."
        found.append(Error("PIPELINE['RETENTION'] is negative.", hint=hint, id="pipeline.E008"))
    for name in ("ALSO_REAP", "ALSO_ERASE", "ALSO_HOLDING"):
        for path in getattr(settings, name):
            if not _is_function(path):
                hint = "Give the dotted path of a function: pipeline/conf.py says of which kind."
                message = f"PIPELINE['{name}'] names {path!r}, and there is no such function."
                found.append(Error(message, hint=hint, id="pipeline.E009"))
    return found


def _is_function(path: str) -> bool:
    try:
        return callable(import_string(path))
    except ImportError:
        return False


def _wrong_margin() -> list[CheckMessage]:
    if timedelta(0) < conf().CALL_TIME < conf().LEASE_MARGIN < conf().LEASE:
        return []
    hint = "An effect begins only while more than the margin is left of the lease, in which one call and its record "
    hint += "have to fit: 10, 15 and 60 seconds, for example."
    return [Error("PIPELINE['LEASE_MARGIN'] is not between CALL_TIME and the lease.", hint=hint, id="pipeline.E005")]


def _wrong_reconciling() -> list[CheckMessage]:
    engine = conf()
    found: list[CheckMessage] = []
    for path in (*engine.AUDITS, *engine.RECONCILERS):
        if not _is_function(path):
            message = f"PIPELINE names {path!r} as an audit or a reconciler, and it cannot be imported."
            found.append(Error(message, hint="Give its dotted path.", id="pipeline.E010"))
    if engine.RECONCILERS and engine.RECONCILE_AFTER <= engine.LEASE:
        message = "PIPELINE['RECONCILE_AFTER'] is not longer than the lease."
        hint = "What a live worker is still making would be taken for left over: use ten minutes."
        found.append(Error(message, hint=hint, id="pipeline.E011"))
    return found


def _wrong_broker(celery: Any) -> list[CheckMessage]:
    """Celery takes other addresses, too; their transports lose or hold messages in ways of their own."""
    addresses = str(celery.broker_url or "").split(";")
    schemes = {address.partition("://")[0] for address in addresses}
    return [
        Error(
            f"The broker's address begins with {scheme or 'nothing'}://, which the engine was not tested with.",
            hint="Use one Redis (redis:// or rediss://) or RabbitMQ (amqp:// or amqps://). Sentinel and Redis Cluster "
            "are not supported: Redis may be lost here without harm, so that one server, restarted, is enough.",
            id="pipeline.E109",
        )
        for scheme in sorted(schemes - {*_BROKERS})
    ]


def _wrong_ladder(celery: Any) -> list[CheckMessage]:
    """Each limit is smaller than the next: a call's, an attempt's, the task's, the lease, the visibility timeout."""
    seconds = timedelta(seconds=1)
    rungs: list[tuple[str, float | None]] = [
        ("PIPELINE['CALL_TIME']", conf().CALL_TIME / seconds),
        ("PIPELINE['ATTEMPT_TIME'] after GO_ON_FOR", (conf().ATTEMPT_TIME + conf().GO_ON_FOR) / seconds),
        ("CELERY_TASK_SOFT_TIME_LIMIT", celery.task_soft_time_limit),
        ("CELERY_TASK_TIME_LIMIT", celery.task_time_limit),
        ("PIPELINE['LEASE']", conf().LEASE / seconds),
    ]
    if str(celery.broker_url or "").startswith(("redis", "rediss", "sentinel")):
        options = celery.broker_transport_options or {}
        rungs.append(("the broker's visibility_timeout", options.get("visibility_timeout", _DEFAULT_VISIBILITY)))
    return [
        Error(
            f"{lower} ({_told(low)}) is not smaller than {upper} ({_told(high)}).",
            hint="A job's calls have to end before its task is stopped, its process before its lease is over, and its "
            "lease before the broker delivers the message again: 10, 30, 35, 45, 60 and 300 seconds, for example.",
            id="pipeline.E101",
        )
        for (lower, low), (upper, high) in pairwise(rungs)
        if low is None or high is None or low >= high
    ]


def _told(seconds: float | None) -> str:
    return "not set" if seconds is None else f"{seconds:g} s"


def _wrong_habits(celery: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if celery.result_backend and not str(celery.result_backend).startswith("disabled"):
        hint = "Nothing reads results: remove CELERY_RESULT_BACKEND and spare a write for each job."
        found.append(Warning("Celery has a result backend.", hint=hint, id="pipeline.W102"))
    if not celery.task_acks_late:
        hint = "Set CELERY_TASK_ACKS_LATE: else each restart of a worker costs its jobs a sweep."
        found.append(Warning("Messages are acknowledged before their jobs are run.", hint=hint, id="pipeline.W103"))
    if celery.task_reject_on_worker_lost:
        hint = "Unset CELERY_TASK_REJECT_ON_WORKER_LOST: the sweep recovers, with counted attempts."
        message = "A job that kills its worker would be delivered again at once, for ever."
        found.append(Warning(message, hint=hint, id="pipeline.W104"))
    if celery.task_always_eager:
        hint = "Unset CELERY_TASK_ALWAYS_EAGER: pipeline.testing runs workflows in tests."
        found.append(Error("Jobs would be run inside the request.", hint=hint, id="pipeline.E105"))
    return found


def _wrong_queues(celery: Any) -> list[CheckMessage]:
    from pipeline.tasks import QUEUES

    found: list[CheckMessage] = []
    if celery.task_create_missing_queues:
        hint = "Set CELERY_TASK_CREATE_MISSING_QUEUES = False and name the queues in CELERY_TASK_QUEUES."
        message = "A misspelt queue would be made, and consumed by nobody."
        found.append(Warning(message, hint=hint, id="pipeline.W106"))
    named = {queue if isinstance(queue, str) else queue.name for queue in celery.task_queues or ()}
    if missing := sorted(set(QUEUES.values()) - named):
        hint = f"CELERY_TASK_QUEUES needs {', '.join(f'Queue({name!r})' for name in sorted(set(QUEUES.values())))}."
        message = f"Jobs are published to {', '.join(missing)}, which no worker of this configuration consumes."
        found.append(Error(message, hint=hint, id="pipeline.E107"))
    return found


def _wrong_routes(celery: Any) -> list[CheckMessage]:
    """On Redis a message to a named exchange is dropped without a word when its bindings are lost.

    A queue's own direct exchange is not used: Celery publishes by the queue's name then.
    """
    if not str(celery.broker_url or "").startswith(("redis", "rediss", "sentinel")):
        return []
    routes = celery.task_routes if isinstance(celery.task_routes, dict) else {}
    by_route = [
        name for name, route in routes.items() if isinstance(route, dict) and {"exchange", "routing_key"} & {*route}
    ]
    by_queue = [
        queue.name
        for queue in celery.task_queues or ()
        if not isinstance(queue, str) and queue.exchange is not None and queue.exchange.type != "direct"
    ]
    hint = "On Redis name queues only: after FLUSHALL such messages vanish, and publishing them reports success."
    return [
        Error(f"{name} is routed through a named exchange.", hint=hint, id="pipeline.E108")
        for name in [*by_route, *by_queue]
    ]


def _has_psycopg3() -> bool:
    from django.db.backends.postgresql.psycopg_any import is_psycopg3

    return is_psycopg3


def _wrong_workflow(workflow: type[Workflow]) -> list[CheckMessage]:
    where = f"Workflow {workflow.name!r} version {workflow.version}"
    steps = list(getattr(workflow, "steps", ()))
    if not steps:
        hint = "List its step classes in `steps`."
        return [Error(f"{where} has no steps.", hint=hint, obj=workflow, id="pipeline.E301")]
    found: list[CheckMessage] = []
    names = [getattr(step, "name", "") for step in steps]
    if len(pivots := [step for step in steps if step.pivot]) > 1:
        hint = "Only one commit may still be refused: it is done first and alone."
        message = f"{where} has {len(pivots)} pivots."
        found.append(Error(message, hint=hint, obj=workflow, id="pipeline.E302"))
    found += [
        Error(f"{where} has two steps named {name!r}.", hint="Rename one.", obj=workflow, id="pipeline.E303")
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
    return [*found, *(message for step in steps for message in _wrong_step(where, step))]


def _wrong_step(where: str, step: type[Step]) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    name = getattr(step, "name", "")
    if not _NAME.fullmatch(name):
        hint = "Use a-z, 0-9 and _, a letter first, at most 60 of them: it stands in messages and keys."
        message = f"{where} has a step with the name {name!r}."
        found.append(Error(message, hint=hint, obj=step, id="pipeline.E304"))
    if not getattr(step, "label", ""):
        hint = "Set `label`: customers and operators read it."
        found.append(Error(f"Step {name!r} has no label.", hint=hint, obj=step, id="pipeline.E305"))
    if step.pivot and step.tells:
        hint = "A pivot is committed first and a telling step last: make two steps of it."
        found.append(Error(f"Step {name!r} is a pivot and tells.", hint=hint, obj=step, id="pipeline.E306"))
    return found
