"""Restate doing the same eight durable steps: its server from npm, its Python SDK behind granian."""

import http.client
import json
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.cpu import SERVER, WORKERS
from benchmarks.peers import environments
from benchmarks.place import wait_for
from benchmarks.workers import LOGS
from config.local import processes
from config.local.ports import LOOPBACK, free_port

SERVER_PACKAGE: Final = "@restatedev/restate-server@1.7.12"
PACKAGES: Final = ("restate-sdk==1.2.0", "granian==2.8.7")
CONFIG: Final = '[ingress]\nbind-address = "{host}:{ingress}"\n[admin]\nbind-address = "{host}:{admin}"\n'
CALLS: Final = 64  # connections that call and wait for the result: Restate's throughput needs many at once
START_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Setting:
    """Processes that serve the steps."""

    processes: int

    def __str__(self) -> str:
        return f"granian with {self.processes} processes, {CALLS} calls at once"


class RestateInvocations:
    """Restate: a call through its ingress to its result."""

    name = "Restate invocations"
    settings: Sequence[Setting] = (Setting(1), Setting(2))

    def __init__(self) -> None:
        """LeftOutError when it cannot be had."""
        self._python = environments.python("restate", *PACKAGES)
        modules = environments.node("restate-server", SERVER_PACKAGE) / "node_modules" / "@restatedev"
        found = sorted(modules.glob("restate-server-*/bin/restate-server"))
        if not found:
            raise environments.LeftOutError("Restate is left out: its npm package has no server for this system.")
        self._server = found[0]
        self._ingress = 0

    @contextmanager
    def running(self, setting: Setting) -> Iterator[Mapping[str, Sequence[int]]]:
        """The server with an empty store, and the service registered with it."""
        self._ingress, admin, node, port = (free_port() for _ in range(4))
        with tempfile.TemporaryDirectory() as folder:
            config = Path(folder) / "restate.toml"
            config.write_text(CONFIG.format(host=LOOPBACK, ingress=self._ingress, admin=admin))
            where = ["--base-dir", f"{folder}/data", "--bind-ip", LOOPBACK, "--bind-port", str(node)]
            store = [self._server, "--no-logo", "--listen-mode", "tcp", "--node-name", "bench", "-c", config, *where]
            quiet = os.environ | {"DO_NOT_TRACK": "1", "RESTATE_DISABLE_TELEMETRY": "true", "RUST_LOG": "error"}
            served = ["--interface", "asgi", "--host", LOOPBACK, "--port", port, "--workers", setting.processes]
            service = [self._python, "-m", "granian", *served, "--log-level", "error", "restate_app:app"]
            log = LOGS / "restate.log"
            server = processes.start([str(part) for part in store], env=quiet, log=log)
            here = Path(__file__).parent / "apps"
            worker = processes.start([str(part) for part in service], env=os.environ, log=log, cwd=here)
            try:
                wait_for(f"http://{LOOPBACK}:{admin}/health")
                _register(admin, port)
                yield {WORKERS: [worker.pid], SERVER: [server.pid]}
            finally:  # granian does not end while Restate is connected
                processes.stop([server, worker], signal.SIGKILL, 5)

    def submit(self, count: int) -> None:
        """By its HTTP ingress, many at once; each is over when its call is answered."""
        failures: list[Exception] = []
        shares = [count // CALLS + (number < count % CALLS) for number in range(CALLS)]
        threads = [threading.Thread(target=self._call, args=(share, failures)) for share in shares if share]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise environments.LeftOutError(f"Restate is left out: {failures[0]!r}; see {LOGS}/restate.log.")

    def left(self) -> int:
        """None: `submit` has waited."""
        return 0

    def _call(self, count: int, failures: list[Exception]) -> None:
        client = http.client.HTTPConnection(LOOPBACK, self._ingress, timeout=60)
        try:
            for _ in range(count):
                _send(client, "/bench/eight")
        except (OSError, http.client.HTTPException, environments.LeftOutError) as error:
            failures.append(error)
        finally:
            client.close()


def _register(admin: int, port: int) -> None:
    """Make the service known to the server, as soon as it answers; LeftOutError or OSError when it does not."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        client = http.client.HTTPConnection(LOOPBACK, admin, timeout=10)
        try:
            _send(client, "/deployments", {"uri": f"http://{LOOPBACK}:{port}"})
        except (OSError, environments.LeftOutError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return
        finally:
            client.close()


def _send(client: http.client.HTTPConnection, path: str, body: Any = None) -> None:
    if body is None:
        client.request("POST", path)
    else:
        client.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    answer = client.getresponse()
    said = answer.read()
    if answer.status >= 300:
        raise environments.LeftOutError(f"Restate is left out: {answer.status} to {path}: {said[:300]!r}")
