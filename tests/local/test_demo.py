"""The whole demo as its user starts it: one run, looked at, killed at, and ended."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
import redis
import requests

from config.local.ports import free_port, listen

DEMO = "config.local.demo"
NAMED = {"postgres", "redis", "sandbox", "web", "worker", "worker-2"}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def facts(data: Path) -> dict[str, Any]:
    """demo.json, or nothing while it is not there; never a part of it."""
    try:
        read: dict[str, Any] = json.loads((data / "demo.json").read_text())
    except FileNotFoundError:
        return {}
    return read


def serves(process: subprocess.Popen[str], data: Path) -> bool:
    assert process.poll() is None, process.communicate()
    return bool(facts(data))


def is_gone(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).ok
    except requests.RequestException:
        return False


def database_answers(url: str) -> bool:
    try:
        with psycopg.connect(url) as connection:
            return connection.execute("SELECT count(*) FROM django_migrations").fetchone() is not None
    except psycopg.OperationalError:
        return False


def broker_answers(url: str) -> bool:
    try:
        with redis.Redis.from_url(url) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def test_a_demo_serves_survives_every_kill_starts_again_after_its_own_and_ends_clean(
    spawn: Callable[..., Any], data: Path, until, left_running
):
    demo = spawn(DEMO, "--data", data, "--port", free_port(), STRIPE_SECRET_KEY="sk_live_not_for_a_demo")
    until(lambda: serves(demo, data), 60)
    told = facts(data)

    assert set(told) == {"web", "sandbox", "database_url", "broker_url", "admin", "processes"}
    assert set(told["processes"]) == NAMED
    assert [os.getpgid(pid) for pid in told["processes"].values()] == list(told["processes"].values())
    assert psutil.Process(told["processes"]["web"]).environ().get("STRIPE_SECRET_KEY") is None
    for path in ("/readyz", "/", "/post/", "/admin/", "/api/docs/", "/static/admin/css/base.css"):
        assert answers(told["web"] + path), path
    assert answers(told["sandbox"] + "/_sandbox/ledger")
    with requests.Session() as browser:
        login = f"{told['web']}/admin/login/"
        browser.get(login, timeout=5)
        form = told["admin"] | {"csrfmiddlewaretoken": browser.cookies["csrftoken"], "next": "/admin/"}
        page = browser.post(login, data=form, headers={"Referer": login}, timeout=5)
        assert page.url == f"{told['web']}/admin/"

    second = spawn(DEMO, "--data", data)
    assert second.wait(30) == 2
    errors = second.communicate()[1]
    assert f"process {demo.pid}" in errors
    assert told["web"] in errors

    children = psutil.Process(told["processes"]["worker"]).children(recursive=True)
    assert children
    for pid in told["processes"].values():
        os.kill(pid, signal.SIGKILL)
    before = set(told["processes"].values())
    until(lambda: not before & set(facts(data).get("processes", {"": 0}).values()), 30)
    until(lambda: answers(told["web"] + "/readyz"), 30)
    now = facts(data)
    assert set(now["processes"]) == NAMED
    assert {key: now[key] for key in now if key != "processes"} == {
        key: told[key] for key in told if key != "processes"
    }
    assert answers(now["sandbox"] + "/_sandbox/health")
    until(lambda: database_answers(now["database_url"]), 30)
    until(lambda: broker_answers(now["broker_url"]), 30)
    assert all(is_gone(child) for child in children)

    stale = facts(data)
    demo.kill()
    shown = demo.communicate()[0]
    assert "Both ended as they should, and the sandbox's ledger agrees." in shown
    assert told["admin"]["password"] in shown
    kept = json.loads((data / "secrets.json").read_text())
    assert not any(secret in shown for name, secret in kept.items() if name != "admin_password")
    again = spawn(DEMO, "--no-samples", "--data", data)
    # The killed demo's file is still there at first, and none in between.
    until(lambda: serves(again, data) and facts(data).get("processes") not in (None, stale["processes"]), 60)
    again.send_signal(signal.SIGTERM)
    assert again.wait(30) == 0
    assert left_running() == []
    assert facts(data) == {}


@pytest.mark.parametrize("after", [0.4, 1.5])
def test_a_demo_ended_while_it_starts_leaves_nothing(spawn: Callable[..., Any], data: Path, left_running, after: float):
    demo = spawn(DEMO, "--no-samples", "--data", data)
    time.sleep(after)  # wherever that is: the imports, the first initdb, the migrations
    demo.send_signal(signal.SIGTERM)
    assert demo.wait(30) != 0
    assert left_running() == []
    assert facts(data) == {}


def test_arguments_that_cannot_be_followed_are_refused_with_advice(spawn: Callable[..., Any], data: Path):
    with listen(free_port(), 0) as taken:
        refused = spawn(DEMO, "--data", data, "--port", taken.getsockname()[1])
        assert refused.wait(30) == 2
        assert "choose another with --port" in refused.communicate()[1]
    for wrong in (["--port", "70000"], ["--port", "web"], ["--once", "--no-samples"]):
        done = subprocess.run([sys.executable, "-m", DEMO, *wrong], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
