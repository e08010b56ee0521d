"""What a run was measured on: a figure means nothing without it."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import psutil
import psycopg
import redis

_PACKAGES: Final = ("celery", "kombu", "redis", "django", "djangorestframework", "psycopg", "uvicorn")


def machine() -> dict[str, Any]:
    """Processor, cores, memory, system, and how busy it was with other things in the minute before."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.release()}",
        "load_before": round(os.getloadavg()[0], 1),
    }


def versions(database_url: str, broker_url: str) -> dict[str, str]:
    """Python, the servers, and the packages that cost time."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT current_setting('server_version'), current_setting('fsync')").fetchone()
    assert row is not None
    with redis.Redis.from_url(broker_url) as client:
        broker = client.info("server")["redis_version"]
    servers = {"python": platform.python_version(), "postgresql": f"{row[0]} (fsync {row[1]})", "redis-server": broker}
    return servers | {name: version(name) for name in _PACKAGES}


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
