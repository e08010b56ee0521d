"""G6: what accepting a posting costs beside a plain view that validates and inserts it, in the same server.

One client, one connection, the two requests in turn: whatever disturbs the machine disturbs both. Requests per
second are taken with several clients at once.
"""

import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import httpx

from benchmarks.figures import Spread, number, percentile, spread
from benchmarks.goals import GOALS, Measured
from benchmarks.place import Place, wait_for
from benchmarks.saturation import say
from benchmarks.submissions import multipart
from benchmarks.workers import LOGS, ROOT, stop
from config.local import processes
from config.local.ports import LOOPBACK

OURS: Final = "/api/v1/postings/"
PLAIN: Final = "/bench/postings/"
EXPECTED: Final = {OURS: 202, PLAIN: 201}
WARM_UP: Final = 20
CLIENTS: Final = 4


@dataclass(frozen=True, slots=True)
class Amount:
    """So many rounds of so many requests to each of the two."""

    rounds: int
    count: int


FULL: Final = Amount(3, 300)
QUICK: Final = Amount(2, 100)


def measure(place: Place, amount: Amount) -> list[Measured]:
    """The median of the rounds' p50 over p50."""
    place.empty()
    times: dict[str, list[list[float]]] = {OURS: [], PLAIN: []}
    rates: dict[str, list[float]] = {OURS: [], PLAIN: []}
    with _server() as base, httpx.Client(base_url=base, timeout=30, trust_env=False) as client:
        _in_turn(client, WARM_UP)
        for turn in range(amount.rounds):
            for address, own in _in_turn(client, amount.count).items():
                times[address].append(own)
            for address in times:
                rates[address].append(_rate(base, address, amount.count))
            ours, plain = (number(percentile(times[address][-1], 0.5)) for address in (OURS, PLAIN))
            say(f"G6 round {turn + 1}: accept p50 {ours} ms, plain view {plain} ms")
    ratio = spread([_p50(ours) / _p50(plain) for ours, plain in zip(times[OURS], times[PLAIN], strict=True)])
    detail = f"accept {_told(times[OURS], rates[OURS])}; plain view {_told(times[PLAIN], rates[PLAIN])}; "
    detail += f"ratio {ratio}; {amount.rounds} rounds of {amount.count}, multipart with a logo, uvicorn, one process"
    return [Measured(GOALS["G6"], ratio.middle, detail)]


def _told(times: list[list[float]], rates: list[float]) -> str:
    p50, p99 = (_each(times, share) for share in (0.5, 0.99))
    return f"p50 {p50} ms, p99 {p99} ms, {spread(rates)}/s with {CLIENTS} clients"


def _each(times: list[list[float]], share: float) -> Spread:
    return spread([percentile(own, share) for own in times])


def _p50(times: list[float]) -> float:
    return percentile(times, 0.5)


def _in_turn(client: httpx.Client, count: int) -> dict[str, list[float]]:
    """Milliseconds of each request, one address after the other."""
    times: dict[str, list[float]] = {OURS: [], PLAIN: []}
    for _ in range(count):
        for address, own in times.items():
            own.append(_post(client, address) * 1000)
    return times


def _post(client: httpx.Client, address: str) -> float:
    fields, files = multipart()
    request = client.build_request(
        "POST", address, data=fields, files=files, headers={"Idempotency-Key": str(uuid.uuid4())}
    )
    request.read()
    began = time.perf_counter()
    response = client.send(request)
    took = time.perf_counter() - began
    if response.status_code != EXPECTED[address]:
        raise RuntimeError(f"{address} answered {response.status_code}: {response.text[:300]}")
    return took


def _rate(base: str, address: str, count: int) -> float:
    """Requests per second with several clients at once."""
    failures: list[BaseException] = []

    def client() -> None:
        try:
            with httpx.Client(base_url=base, timeout=30, trust_env=False) as own:
                for _ in range(count // CLIENTS):
                    _post(own, address)
        except BaseException as error:  # noqa: BLE001 - raised again below
            failures.append(error)

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return count // CLIENTS * CLIENTS / (time.perf_counter() - began)


@contextmanager
def _server() -> Iterator[str]:
    """The real ASGI server, as the demo starts it."""
    with socket.create_server((LOOPBACK, 0), backlog=2048) as listening:
        descriptor = listening.fileno()
        env = os.environ | {"DATABASE_POOL": "1", "ALLOWED_HOSTS": LOOPBACK}
        command = [sys.executable, "-m", "config.local.web", str(descriptor)]
        server = processes.start(command, env=env, log=LOGS / "web.log", cwd=ROOT, pass_fds=[descriptor])
        base = f"http://{LOOPBACK}:{listening.getsockname()[1]}"
        try:
            wait_for(f"{base}/healthz")
            yield base
        finally:
            stop(server)
