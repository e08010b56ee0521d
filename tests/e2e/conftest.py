"""The real thing: worker processes, PostgreSQL, Redis, and the sandbox as a process of its own."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from django.conf import settings as django_settings
from django.db import connection

from pipeline.models import Pipeline
from pipeline.testing import assert_consistent, history
from postings.models import Plan
from tests.postings.conftest import PRICE, Outside, fields, picture
from tests.sandbox.conftest import Sandbox, shared_sandbox  # noqa: F401 - a fixture

ROOT = Path(__file__).resolve().parents[2]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These tests commit for real, beside other processes."""
    for item in items:
        if "/tests/e2e/" in str(item.path):
            item.add_marker(pytest.mark.django_db(transaction=True))
            item.add_marker(pytest.mark.slow)


@dataclass
class WorkerProcess:
    """One Celery worker with its pool and its sweep, in a process group of its own."""

    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "celery", "-A", "config", "worker", "-Q", "pipeline,commit,rollback"]
        command += ["-c", "2", "--loglevel", "INFO", "--without-gossip", "--without-mingle"]
        command += ["-n", f"{uuid.uuid4().hex}@test"]
        seen = self.log.read_bytes().count(b" ready.") if self.log.exists() else 0
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdout=out, stderr=out, start_new_session=True
            )
        wait_until(lambda: self.log.read_bytes().count(b" ready.") > seen, what="the worker to be ready")

    def kill(self) -> None:
        """-9 for the whole group."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> None:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()

    def children(self) -> list[psutil.Process]:
        assert self.process is not None
        return psutil.Process(self.process.pid).children()


def wait_until(is_so: Callable[[], Any], *, seconds: float = 30, what: str = "") -> None:
    """Ask every 20 ms; AssertionError that says what was waited for."""
    until = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > until:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(0.02)


def wait_for_end(pipelines: list[uuid.UUID], *, seconds: float = 30) -> None:
    """Until each has ended, consistently; AssertionError with the histories of those that have not."""
    try:
        wait_until(lambda: not _open(pipelines), seconds=seconds, what="the pipelines to end")
    except AssertionError as error:
        told = "\n".join(history(pipeline) for pipeline in _open(pipelines)[:3])
        raise AssertionError(f"{error}:\n{told}") from None
    for pipeline in pipelines:
        assert_consistent(pipeline)


def _open(pipelines: list[uuid.UUID]) -> list[uuid.UUID]:
    return list(Pipeline.objects.filter(pk__in=pipelines, finished_at=None).values_list("pk", flat=True))


@pytest.fixture(scope="session")
def crash_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a crash point into it, and the worker that gets there first dies."""
    return tmp_path_factory.mktemp("crash") / "point"


@pytest.fixture(scope="session")
def worker_environment(
    django_db_setup: None,
    shared_sandbox: Sandbox,  # noqa: F811
    crash_file: Path,
) -> dict[str, str]:
    """What the worker processes need to know."""
    database = connection.settings_dict
    address = f"{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}"
    redis.Redis.from_url(django_settings.CELERY_BROKER_URL).flushdb()
    return dict(os.environ) | {
        "DJANGO_SETTINGS_MODULE": "tests.e2e.settings",
        "DATABASE_URL": f"postgresql://{address}/{database['NAME']}",
        "BROKER_URL": django_settings.CELERY_BROKER_URL,
        "SANDBOX_URL": shared_sandbox.url,
        "MAIL_GRACE_SECONDS": "0.3",
        "CRASH_FILE": str(crash_file),
        "PYTHONPATH": str(ROOT),
    }


@pytest.fixture(scope="session")
def log_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workers")


@pytest.fixture(scope="module")
def worker(worker_environment: dict[str, str], log_folder: Path) -> Iterator[WorkerProcess]:
    """One worker, for all tests of a file."""
    running = WorkerProcess(worker_environment, log_folder / "worker.log")
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture
def start_worker(worker_environment: dict[str, str], log_folder: Path) -> Iterator[Callable[..., WorkerProcess]]:
    """Start another one, with changed variables if need be; stopped afterwards."""
    started: list[WorkerProcess] = []

    def start(**changed: str) -> WorkerProcess:
        made = WorkerProcess(worker_environment | changed, log_folder / f"worker-{uuid.uuid4().hex}.log")
        started.append(made)
        made.start()
        return made

    try:
        yield start
    finally:
        for each in started:
            each.stop()


@pytest.fixture
def outside(shared_sandbox: Sandbox) -> Outside:  # noqa: F811
    shared_sandbox.post("webhooks", {"stripe": None, "sendgrid": None})
    shared_sandbox.post("reset")
    return Outside(shared_sandbox)


@pytest.fixture
def submit(quick_flush: None) -> Callable[..., uuid.UUID]:
    """Start a pipeline through the real broker."""
    from pipeline.start import start
    from postings.workflow import PublishPosting

    plan = Plan.objects.create(slug="basic", name="Basic", amount=PRICE, currency="EUR", duration_days=30)
    logo = picture()

    def made(card: str = "pm_card_visa", **changed: Any) -> uuid.UUID:
        given = fields(plan, payment_method=card, **changed)
        return start(PublishPosting, input=given, key=uuid.uuid4().hex, attachments={"logo": logo}).id

    return made
