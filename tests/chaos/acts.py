"""The hands that break things: one method for each kind of act, and a count of what was really done."""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil
import psycopg
import redis
import requests
from amqp.exceptions import AMQPError

from tests.chaos.place import Place
from tests.chaos.rabbitmq import RabbitPlace
from tests.chaos.schedule import POINTS, STOPPED_AT, Act

LEASE: Final = 6.0  # seconds, as tests/chaos/settings.py has it
ASLEEP: Final = LEASE + 3.5  # a sweep finds the end of a lease within half a second; others then do the job
ORDER_STANDS: Final = 20.0  # seconds for which a crash point that nobody reaches stays armed
REQUEST_SOON: Final = 4.0


@dataclass
class Hands:
    """Carries out acts at their times. `did` counts those that had a victim."""

    place: Place
    requests_open: Callable[[], int]
    did: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    said: list[str] = field(default_factory=list)
    began: float = 0.0
    over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def follow(self, acts: Iterable[Act]) -> None:
        """All acts at their times; those that take a while go on by themselves."""
        self.began = time.monotonic()
        self._aside(self._wake_stopped)
        for act in acts:
            if self.over.wait(max(0.0, self.began + act.at - time.monotonic())):
                return
            self._aside(self._do, act)

    def repeat(self, kinds: Iterable[str]) -> None:
        """Once more, at once: acts that have found nobody so far."""
        for kind in kinds:
            self._aside(self._do, Act(time.monotonic() - self.began, kind, 0.5))

    def end(self) -> None:
        """No further act; what was begun is ended: whoever sleeps is woken."""
        self.over.set()
        for thread in self._threads:
            thread.join()

    def _aside(self, act: Callable[..., None], *given: object) -> None:
        thread = threading.Thread(target=act, args=given, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _do(self, act: Act) -> None:
        if act.fault is not None:
            self._arm(act)
            return
        try:
            done = HANDS[act.kind](self, act.chance)
        except (psutil.Error, OSError, redis.RedisError, psycopg.Error, AMQPError, KeyError) as error:
            done = False  # the victim was down already
            self.said.append(f"{act.at:.1f} {act.kind}: {type(error).__name__}")
        (self.did if done else self.missed)[act.kind] += 1

    def _arm(self, act: Act) -> None:
        """The sandbox may be down just now: it is told as soon as it is up."""
        while True:
            try:
                self.place.tell("faults", act.fault)
            except requests.RequestException:
                time.sleep(0.3)
            else:
                return

    # --- processes ----------------------------------------------------------------------------

    def _worker(self, chance: float) -> int:
        names = sorted(self.place.workers)
        return self.place.supervisor.pids()[names[int(chance * len(names))]]

    def kill_tree(self, chance: float) -> bool:
        """-9 for parent, pool and sweep at once."""
        os.killpg(self._worker(chance), signal.SIGKILL)
        return True

    def kill_child(self, chance: float) -> bool:
        """-9 for one pool process: Celery's parent starts another."""
        return _kill_one(_children(self._worker(chance), "sweep", without=True), chance)

    def kill_parent(self, chance: float) -> bool:
        """-9 for the parent alone: its pool and sweep are orphans for a moment."""
        os.kill(self._worker(chance), signal.SIGKILL)
        return True

    def kill_sweep(self, chance: float) -> bool:
        """-9 for a worker's sweep: the worker starts another."""
        return _kill_one(_children(self._worker(chance), "sweep", without=False), chance)

    def kill_at_point(self, chance: float) -> bool:
        """-9 for whoever gets to a point of the executor first."""
        return self._order(POINTS[int(chance * len(POINTS))], "kill")

    def kill_web(self, chance: float) -> bool:
        """-9 while a request is open, a moment after it was sent."""
        until = time.monotonic() + REQUEST_SOON
        while not self.requests_open() and time.monotonic() < until:
            time.sleep(0.001)
        was_open = self.requests_open() > 0
        time.sleep(chance * 0.02)
        os.killpg(self.place.supervisor.pids()["web"], signal.SIGKILL)
        return was_open

    def kill_sandbox(self, chance: float) -> bool:
        """-9 for all providers at once."""
        os.killpg(self.place.supervisor.pids()["sandbox"], signal.SIGKILL)
        return True

    # --- zombies ------------------------------------------------------------------------------

    def stop_tree(self, chance: float) -> bool:
        """A whole worker stands still until its leases are over, then goes on as if nothing had happened."""
        pid = self._worker(chance)
        os.killpg(pid, signal.SIGSTOP)
        self.over.wait(ASLEEP)
        os.killpg(pid, signal.SIGCONT)
        return True

    def _order(self, point: str, action: str) -> bool:
        """Arm the point; whether somebody obeyed before the order was taken back."""
        order = self.place.chaos / "orders" / point
        before = self._obeyed(point, action)
        order.write_text(action)
        until = time.monotonic() + ORDER_STANDS
        while time.monotonic() < until and not self.over.is_set():
            if self._obeyed(point, action) > before:
                return True
            time.sleep(0.05)
        order.unlink(missing_ok=True)
        return self._obeyed(point, action) > before

    def _obeyed(self, point: str, action: str) -> int:
        return sum(1 for _ in (self.place.chaos / "obeyed").glob(f"{point}-{action}-*"))

    def _wake_stopped(self) -> None:
        """Send SIGCONT to whoever stopped at a point, once its lease is over."""
        woken: set[Path] = set()
        while not self.over.wait(0.1):
            self._wake(woken, older_than=ASLEEP)
        self._wake(woken, older_than=0)

    def _wake(self, woken: set[Path], *, older_than: float) -> None:
        for path in set((self.place.chaos / "obeyed").glob("*-stop-*")) - woken:
            if time.time() - path.stat().st_ctime < older_than:
                continue
            woken.add(path)
            pid = int(path.name.rpartition("-")[2])
            with suppress(psutil.Error, OSError):
                if psutil.Process(pid).status() == psutil.STATUS_STOPPED:
                    os.kill(pid, signal.SIGCONT)
                    self.did["woken past its lease"] += 1

    # --- broker and database ------------------------------------------------------------------

    def kill_broker(self, chance: float) -> bool:
        """-9; it comes back with what its file has."""
        os.killpg(self.place.supervisor.pids()["redis"], signal.SIGKILL)
        return True

    def kill_and_empty_broker(self, chance: float) -> bool:
        """-9; it comes back empty."""
        (self.place.folder.path / "redis" / "appendonly.aof").unlink(missing_ok=True)
        return self.kill_broker(chance)

    def flush_broker(self, chance: float) -> bool:
        """Every message is gone, and nobody is told."""
        self.place.services.redis.flush()
        return True

    def stall_broker(self, chance: float) -> bool:
        """It takes connections and answers nobody for 5 to 20 s."""
        pid = self.place.supervisor.pids()["redis"]
        os.kill(pid, signal.SIGSTOP)
        self.over.wait(5 + 15 * chance)
        os.kill(pid, signal.SIGCONT)
        return True

    def cut_broker_clients(self, chance: float) -> bool:
        """Every connection to it is closed."""
        with redis.Redis.from_url(self.place.services.redis.url(), socket_timeout=2) as client:
            return int(client.execute_command("CLIENT", "KILL", "TYPE", "normal")) > 0

    def kill_rabbitmq(self, chance: float) -> bool:
        """-9; its quorum queues are on the disk."""
        os.killpg(self.place.supervisor.pids()["rabbitmq"], signal.SIGKILL)
        return True

    def purge_rabbitmq(self, chance: float) -> bool:
        """Every message is gone, and nobody is told."""
        assert isinstance(self.place, RabbitPlace)
        self.place.rabbit.purge()
        return True

    def stall_rabbitmq(self, chance: float) -> bool:
        """It takes connections and answers nobody for 5 to 20 s."""
        pid = self.place.supervisor.pids()["rabbitmq"]
        os.killpg(pid, signal.SIGSTOP)
        self.over.wait(5 + 15 * chance)
        os.killpg(pid, signal.SIGCONT)
        return True

    def restart_postgres(self, chance: float) -> bool:
        """Immediate shutdown: every session is cut, and the server recovers from its log."""
        os.kill(self.place.supervisor.pids()["postgres"], signal.SIGQUIT)
        return True

    def terminate_sessions(self, chance: float) -> bool:
        """One to four sessions of whoever has one: workers, owners, sweeps, web."""
        choose = (
            "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity WHERE datname = 'postings'"
            " AND pid <> pg_backend_pid() ORDER BY random() LIMIT %s) chosen"
        )
        with psycopg.connect(self.place.services.postgres.url(), autocommit=True, connect_timeout=3) as connection:
            row = connection.execute(choose, [1 + int(chance * 4)]).fetchone()
        return row is not None and row[0] > 0


def _children(pid: int, word: str, *, without: bool) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(pid).children():
        with suppress(psutil.Error):
            if (word in child.cmdline()) is not without and child.status() != psutil.STATUS_ZOMBIE:
                found.append(child)
    return found


def _kill_one(found: list[psutil.Process], chance: float) -> bool:
    if not found:
        return False
    found[int(chance * len(found))].kill()
    return True


HANDS: Final[dict[str, Callable[[Hands, float], bool]]] = {
    "kill a worker tree": Hands.kill_tree,
    "kill a pool child": Hands.kill_child,
    "kill a worker's parent": Hands.kill_parent,
    "kill a sweep": Hands.kill_sweep,
    "kill at a crash point": Hands.kill_at_point,
    "kill web in a request": Hands.kill_web,
    "kill the sandbox": Hands.kill_sandbox,
    "stop a worker tree": Hands.stop_tree,
    **{kind: (lambda hands, _, point=point: hands._order(point, "stop")) for kind, point in STOPPED_AT.items()},
    "kill Redis": Hands.kill_broker,
    "kill Redis and empty it": Hands.kill_and_empty_broker,
    "FLUSHALL": Hands.flush_broker,
    "stall Redis": Hands.stall_broker,
    "CLIENT KILL": Hands.cut_broker_clients,
    "kill RabbitMQ": Hands.kill_rabbitmq,
    "purge the queues": Hands.purge_rabbitmq,
    "stall RabbitMQ": Hands.stall_rabbitmq,
    "restart PostgreSQL at once": Hands.restart_postgres,
    "terminate sessions": Hands.terminate_sessions,
}
