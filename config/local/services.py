"""PostgreSQL and Redis together, with what processes need to know to use them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from config.local import place, processes
from config.local.folder import DataFolder
from config.local.ports import LOOPBACK
from config.local.postgres import Postgres
from config.local.redis_server import RedisServer

CACHE_DATABASE = 1


@dataclass
class Services:
    """Both servers of one data folder, not started yet."""

    postgres: Postgres
    redis: RedisServer

    @classmethod
    def of(
        cls,
        folder: DataFolder,
        *,
        durable: bool,
        say: Callable[[str], None],
        durable_broker: bool | None = None,
        host: str = LOOPBACK,
    ) -> "Services":
        """The services of a data folder; says where PostgreSQL's files lie when that is elsewhere.

        `host` is where they listen: nothing but loopback, or an address of a network that is ours alone.
        """
        where = place.find(folder)
        if not where.home.is_relative_to(folder.path):
            say(f"PostgreSQL runs as {where.account.name if where.account else 'you'}; its files are in {where.home}")
        return cls(
            Postgres(folder, where, durable=durable, say=say, host=host),
            RedisServer(folder, durable=durable if durable_broker is None else durable_broker, say=say, host=host),
        )

    def environment(self) -> dict[str, str]:
        """The addresses, under the names that the settings read."""
        return {
            "DATABASE_URL": self.postgres.url(),
            "BROKER_URL": self.redis.url(),
            "CACHE_URL": self.redis.url(CACHE_DATABASE),
        }

    def clear(self) -> None:
        """Kill whatever of both still runs, whoever started it."""
        self.redis.clear()
        self.postgres.clear()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Start both, wait until they answer, and stop them at the end."""
        self.redis.prepare()
        self.postgres.prepare()
        with ExitStack() as stopping:
            stopping.callback(self.clear)
            broker = self.redis.start()
            stopping.callback(lambda: self.redis.stop(broker))
            database = self.postgres.start()
            stopping.callback(self.postgres.stop, database)
            broker = self.redis.wait(broker)
            self.postgres.wait(database)
            yield


def end_leftovers(folder: DataFolder) -> int:
    """Kill whatever an earlier run in this data folder left running; how many there were."""
    left = processes.marked(folder.path)
    return processes.kill(left)
