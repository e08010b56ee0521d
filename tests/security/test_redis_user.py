"""Redis's one user in docker-compose.yml: what Celery and the cache need works, what empties Redis does not."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import yaml
from django.core.cache.backends.redis import RedisCache
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from config.celery import app
from config.local.ports import free_port
from config.local.redis_server import _program

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "only-of-this-test"


def acl() -> str:
    """The lines that the container's shell makes, with a password."""
    (command,) = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["redis"]["command"][2:]
    (printed,) = re.findall(r"printf '([^']+)'", command)
    return printed.replace("\\n", "\n") % PASSWORD


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path), "--save", ""]
    with subprocess.Popen([_program(), "-", *options], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as server:
        assert server.stdin is not None
        server.stdin.write(acl().encode())
        server.stdin.close()
        try:
            yield f"redis://jobpipe:{PASSWORD}@127.0.0.1:{port}"
        finally:
            server.kill()


@pytest.fixture
def client(address: str) -> Iterator[redis.Redis]:
    patient = Retry(ConstantBackoff(0.05), 200)  # until it listens
    with redis.Redis.from_url(address, retry=patient, retry_on_error=[redis.ConnectionError]) as client:
        client.ping()
        yield client


@pytest.mark.parametrize("command", ["FLUSHALL", "FLUSHDB", "KEYS *", "CONFIG GET *", "SHUTDOWN", "DEBUG SLEEP 0"])
def test_it_can_neither_empty_nor_administer(client: redis.Redis, command: str) -> None:
    with pytest.raises(redis.exceptions.NoPermissionError):
        client.execute_command(*command.split())


def test_nobody_else_may_anything(client: redis.Redis, address: str) -> None:
    without = address.replace(f"jobpipe:{PASSWORD}@", "")
    with redis.Redis.from_url(without) as nobody, pytest.raises(redis.AuthenticationError):
        nobody.ping()


def test_messages_are_sent_and_taken_and_requests_counted(client: redis.Redis, address: str) -> None:
    with app.connection_for_write(url=f"{address}/0") as broker, broker.SimpleQueue("commit") as queue:
        queue.put({"hello": 1})
        message = queue.get(timeout=5)
        assert message.payload == {"hello": 1}
        message.ack()
    cache = RedisCache(f"{address}/1", {})
    cache.set("count", 1, 60)
    assert cache.incr("count") == 2
