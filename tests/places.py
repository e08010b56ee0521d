"""Every place where something that must not be kept might stand: the database's rows, Redis, the log."""

import base64
import re
from collections.abc import Callable, Sequence
from logging import LogRecord
from typing import Any

import redis
from django.conf import settings
from django.db import connection

READERS: dict[str, Callable[[Any, bytes], Any]] = {
    "string": lambda client, key: [client.get(key)],
    "list": lambda client, key: client.lrange(key, 0, -1),
    "set": lambda client, key: list(client.smembers(key)),
    "zset": lambda client, key: client.zrange(key, 0, -1),
    "hash": lambda client, key: [part for pair in client.hgetall(key).items() for part in pair],
}


def in_database(canary: str) -> list[str]:
    """The tables in whose rows, whatever the column's type, the canary stands."""
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT count(*) FROM "{table}" AS t WHERE strpos(to_jsonb(t)::text, %s) > 0', [canary])
            if cursor.fetchone()[0]:
                found.append(table)
    return found


def redis_content() -> list[bytes]:
    """Everything in the broker's and the cache's databases, the bodies of messages decoded."""
    found: list[bytes] = []
    for url in (settings.CELERY_BROKER_URL, settings.CACHES["default"]["LOCATION"]):
        with redis.Redis.from_url(url) as client:
            for key in client.scan_iter():
                read = READERS.get(client.type(key).decode())  # none: it was taken meanwhile
                found += [key, *(part for part in (read(client, key) if read else []) if part)]
    bodies = [match for each in found for match in re.findall(rb'"body": "([A-Za-z0-9+/=]+)"', each)]
    return found + [base64.b64decode(body) for body in bodies]


def in_redis(canary: str) -> list[bytes]:
    """The keys and values of Redis in which it stands."""
    return [each for each in redis_content() if canary.encode() in each]


def told(records: Sequence[LogRecord]) -> str:
    """What was logged, before anything is redacted, with arguments and tracebacks."""
    return " ".join(f"{record.getMessage()} {record.exc_text or ''} {record.args}" for record in records)
