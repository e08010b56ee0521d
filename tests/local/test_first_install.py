"""docs/operations.md, "First install", played as it is written: in a new folder, with an empty database."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx
import psycopg
import pytest
from django.conf import settings

from config.local.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "a password of the first admin"
# These lines install the packages, which takes half a minute: the test runs on the same lock's.
NOT_PLAYED = ("python3.11 -m venv .venv", ".venv/bin/pip install --require-hashes --no-deps -r requirements.lock")
# Nobody outside is asked by a test.
NOWHERE = dict.fromkeys(("STRIPE_API_BASE", "SENDGRID_HOST", "S3_ENDPOINT_URL"), "http://127.0.0.1:9")
LEFT_OUT = (".venv", ".data", ".git", "__pycache__", "*_cache", ".hypothesis")


def section() -> str:
    document = (ROOT / "docs/operations.md").read_text()
    return document.partition("## First install\n")[2].partition("\n## ")[0]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", section(), re.MULTILINE | re.DOTALL)


@contextmanager
def empty_database() -> Iterator[str]:
    """The address of one beside the tests' own."""
    name = f"first_install_{os.getpid()}"
    own = settings.DATABASES["default"]
    address = urlsplit(os.environ["DATABASE_URL"])
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            assert own["ENGINE"].endswith("postgresql")
            yield urlunsplit(address._replace(path=f"/{name}"))
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*LEFT_OUT), symlinks=True)
    (folder / ".venv").symlink_to(Path(sys.prefix))
    return folder


def settings_file(document: str, here: dict[str, str]) -> str:
    """As it is written, with this machine's services."""
    lines = dict(line.split("=", 1) for line in document.splitlines())
    assert here.keys() <= lines.keys(), "the document does not name them"
    return "".join(f"{name}='{value}'\n" for name, value in (lines | here | NOWHERE).items())


@contextmanager
def running(command: str, folder: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A command of the document, in a process group of its own, until the end of the block."""
    script = f"set -a; . ./production.env; set +a\nexec env {command}\n"
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["bash", "-ec", script], cwd=folder, env=bare(), stdout=out, stderr=out, start_new_session=True
        )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(5)


def played(script: str, folder: Path, typed: str = "") -> str:
    """What the commands print; AssertionError when one of them fails."""
    command = ["bash", "-ec", script]
    done = subprocess.run(command, cwd=folder, env=bare(), input=typed, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def bare() -> dict[str, str]:
    """A new user's environment: nothing of the project's is set."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}


def wait_for(address: str, log: Path, headers: dict[str, str]) -> None:
    until = time.monotonic() + 40
    while time.monotonic() < until:
        try:
            if httpx.get(address, headers=headers).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"{address} does not answer:\n{log.read_text()}")


def test_the_document_has_these_lines_and_no_others() -> None:
    installing, setting_up, starting = blocks("bash")
    assert tuple(installing.splitlines()[:2]) == NOT_PLAYED
    assert "collectstatic" in setting_up
    assert len(starting.splitlines()) == 2


@pytest.mark.timeout(180)
def test_whoever_follows_the_document_has_a_styled_shop_with_a_plan_and_an_admin(
    checkout: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    installing, setting_up, starting = blocks("bash")
    (document,) = blocks("ini")
    redis = re.sub(r"/\d+$", "", settings.CELERY_BROKER_URL)
    port = free_port()
    with empty_database() as database:
        here = {"DATABASE_URL": database, "BROKER_URL": f"{redis}/14", "CACHE_URL": f"{redis}/15", "PORT": str(port)}
        here["PIPELINE_SECRET_KEYS"] = played(installing.splitlines()[2], checkout).strip()
        (checkout / "production.env").write_text(settings_file(document, here))
        played(setting_up, checkout, typed=f"{PASSWORD}\n")
        web, worker = starting.splitlines()
        web_log, worker_log = tmp_path / "web.log", tmp_path / "worker.log"
        with running(web, checkout, web_log), running(worker, checkout, worker_log):
            look(port, web_log)
            until = time.monotonic() + 60
            while not has_swept(database):
                assert time.monotonic() < until, worker_log.read_text()
                time.sleep(0.2)


def has_swept(database: str) -> bool:
    """Whether the worker has begun: what sweeps beside it calls the chores."""
    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT count(*) FROM pipeline_chore").fetchone()
        return row is not None and row[0] > 0


def look(port: int, log: Path) -> None:
    """As a browser behind the document's proxy sees it."""
    site = f"http://127.0.0.1:{port}"
    headers = {"Host": "jobs.example.com", "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7"}
    wait_for(f"{site}/healthz", log, headers)
    with httpx.Client(base_url=site, headers=headers) as browser:
        page = browser.get("/post/")
        assert page.status_code == 200
        assert "Standard" in page.text
        assert "99.00 EUR" in page.text
        stylesheets = re.findall(r'<link[^>]+rel="stylesheet"[^>]+href="([^"]+)"', page.text)
        stylesheets += re.findall(r'<link[^>]+href="([^"]+)"[^>]+rel="stylesheet"', page.text)
        assert stylesheets, page.text[:2000]
        for address in stylesheets:
            sheet = browser.get(address)
            assert sheet.status_code == 200, address
            assert sheet.headers["content-type"].startswith("text/css"), address
        assert [plan["slug"] for plan in browser.get("/api/v1/plans/").json()["results"]] == ["standard"]
        login = browser.get("/admin/login/")
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', login.text)
        assert token is not None
        cookies = "; ".join(f"{name}={value}" for name, value in login.cookies.items())
        inside = browser.post(
            "/admin/login/?next=/admin/",
            data={"username": "admin", "password": PASSWORD, "csrfmiddlewaretoken": token[1], "next": "/admin/"},
            headers={"Referer": "https://jobs.example.com/admin/login/", "Cookie": cookies},
        )
        assert (inside.status_code, inside.headers["location"]) == (302, "/admin/"), inside.text
