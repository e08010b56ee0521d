"""Real worker processes on a Redis of their own, which may be killed, emptied and started again."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from pathlib import Path

import psutil
import pytest
import redis
from django.db import connection

from config.celery import app
from pipeline import dispatch, tasks
from pipeline.models import Event, Pipeline
from pipeline.start import start
from pipeline.testing import assert_consistent, history
from tests.workers.shop.workflow import Shop

ROOT = Path(__file__).resolve().parents[2]


def pytest_collection_modifyitems(items):
    for item in items:
        if "/tests/workers/" in str(item.path):
            item.add_marker(pytest.mark.django_db(transaction=True))
            item.add_marker(pytest.mark.slow)


def wait_until(is_so, seconds=20, told=lambda: ""):
    """Ask every 20 ms; AssertionError with what `told` says then."""
    until = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > until:
            raise AssertionError(f"waited {seconds} s\n{told()}")
        time.sleep(0.02)


class Redis:
    """A server without persistence: what it held is gone when it is killed."""

    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = redis.Redis(port=self.port)
        self._folder = folder
        self._process = None

    def start(self):
        binary = Path(sys.executable).with_name("redis-server")
        options = {"port": self.port, "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": self._folder}
        command = [str(binary), *(str(part) for name, value in options.items() for part in (f"--{name}", value))]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self.is_up)

    def kill(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def is_up(self):
        try:
            return self.client.ping()
        except redis.ConnectionError:
            return False


class WorkerProcess:
    """`celery -A config worker` with two pool processes and its sweep, in a process group of its own."""

    def __init__(self, environment, log):
        self.log = log
        self._environment = environment
        self.process = self._start()

    def _start(self):
        command = [sys.executable, "-m", "celery", "-A", "config", "worker", "-Q", "pipeline,commit,rollback"]
        command += [
            "-c",
            "2",
            "--loglevel",
            "INFO",
            "--without-gossip",
            "--without-mingle",
            "-n",
            f"{self.log.stem}@test",
            "--pool",
            self._environment.get("POOL", "prefork"),
        ]
        with self.log.open("ab") as out:
            return subprocess.Popen(
                command, cwd=ROOT, env=self._environment, stdout=out, stderr=out, start_new_session=True
            )

    @contextlib.contextmanager
    def supervised(self):
        """Start it again when it ends, as whatever runs it in production does.

        kombu 5.7.0 ends a worker whose broker goes away while a message comes in: "Unrecoverable error:
        AttributeError("'NoneType' object has no attribute 'hostname'")".
        """
        over = threading.Event()

        def look():
            while not over.wait(0.2):
                if self.process.poll() is not None:
                    self.process = self._start()

        supervisor = threading.Thread(target=look, daemon=True)
        supervisor.start()
        try:
            yield self
        finally:
            over.set()
            supervisor.join(5)

    def is_ready(self):
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        return b" ready." in self.log.read_bytes()

    def wait(self):
        wait_until(self.is_ready, 30, self.log.read_text)
        return self

    def kill(self):
        """-9 for the whole group: parent, pool and sweep."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def sweeps(self):
        """The processes that sweep for it now: one, or none for a moment."""
        found = []
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):  # a zombie, too
                if "sweep" in child.cmdline():
                    found.append(child)
        return found

    def received(self, task):
        return len(re.findall(rf"Task {re.escape(task)}\[\S+\] received", self.log.read_text()))


@pytest.fixture(scope="module")
def own_redis(tmp_path_factory):
    server = Redis(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def place(tmp_path_factory, django_db_setup, own_redis):
    """A folder, and the environment of workers that write their ledger there."""
    folder = tmp_path_factory.mktemp("workers")
    database = connection.settings_dict
    address = f"{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}"
    environment = dict(os.environ) | {
        "DJANGO_SETTINGS_MODULE": "tests.workers.settings",
        "DATABASE_URL": f"postgresql://{address}/{database['NAME']}",
        "BROKER_URL": own_redis.url,
        "LEDGER": str(folder / "ledger"),
        "CRASH_FILE": str(folder / "crash"),
        "PYTHONPATH": str(ROOT),
    }
    return folder, environment


@pytest.fixture(scope="module")
def start_worker(place):
    """`start_worker(NAME=value, …)` starts one with these variables changed; ended after the file's tests."""
    folder, environment = place
    started = []

    def make(**changed):
        started.append(WorkerProcess(environment | changed, folder / f"worker-{len(started)}.log"))
        return started[-1]

    yield make
    for each in started:
        each.kill()


@pytest.fixture
def submit(own_redis, quick_flush):
    """Start a pipeline, publishing to that Redis."""

    def send(jobs):
        with app.connection_for_write(own_redis.url) as link:
            tasks.send(jobs, connection=link, retry=False)

    dispatch.use_sender(send)

    def make(**given):
        return start(Shop, input=given, key=uuid.uuid4().hex).id

    yield make
    dispatch.use_sender(None)


@pytest.fixture
def ledger(place):
    folder, _ = place
    (folder / "ledger").write_bytes(b"")
    return Ledger(folder / "ledger")


class Ledger:
    def __init__(self, path):
        self.path = path

    def entries(self, pipeline):
        """(place, key, attempt, pid) of each effect, in order; a repeated key is the provider's to recognise."""
        lines = [line.split() for line in self.path.read_text().splitlines()]
        return [(place, key, int(attempt), int(pid)) for id_, place, key, attempt, pid in lines if id_ == str(pipeline)]

    def has(self, pipeline, place):
        return any(entry[0] == place for entry in self.entries(pipeline))

    def assert_agrees(self, pipeline, repeats=0):
        """Each effect once by its key, those that the end state asks for, and so many sends more."""
        state = Pipeline.objects.get(pk=pipeline).state
        keys = {(place, key) for place, key, _, _ in self.entries(pipeline)}
        places = Counter(place for place, _ in keys)
        assert max(places.values()) == 1, places
        steps = [step.name for step in Shop.steps]
        if state == "committed":
            assert set(places) == {f"{step}.{verb}" for step in steps for verb in ("stage", "commit")}
        else:
            staged = {place.split(".")[0] for place in places if place.endswith(".stage")}
            undone = {place.split(".")[0] for place in places if place.endswith(".rollback")}
            assert staged <= undone, places
            assert not [place for place in places if place.endswith(".commit")]
        assert len(self.entries(pipeline)) - len(keys) <= repeats


def wait_for_end(pipelines, seconds=20):
    """Until each has ended; AssertionError with the histories of those that have not."""

    def left():
        return list(Pipeline.objects.filter(pk__in=pipelines, finished_at=None).values_list("pk", flat=True))

    wait_until(lambda: not left(), seconds, lambda: "\n".join(history(pipeline) for pipeline in left()[:3]))
    for pipeline in pipelines:
        assert_consistent(pipeline)


def was_taken_over(pipeline, step):
    return Event.objects.filter(pipeline=pipeline, type="taken_over", step=step).exists()
