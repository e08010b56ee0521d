"""``python -m config.local.run``: a command with PostgreSQL and Redis beside it."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SHOW = "import json, os; print(json.dumps(dict(os.environ)))"
RUN = "config.local.run"


def python(code: str) -> list[str]:
    return ["--", sys.executable, "-c", code]


def outcome(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    output, errors = process.communicate(timeout=50)
    return process.returncode, output, errors


def test_the_command_gets_addresses_that_answer_and_a_clean_redis(spawn, data: Path, left_running):
    code = """
import os, psycopg, redis
print(psycopg.connect(os.environ["DATABASE_URL"]).execute("SELECT 40 + 2").fetchone()[0])
client = redis.Redis.from_url(os.environ["BROKER_URL"])
print(client.dbsize())
client.set("left", "over")
"""
    for _ in range(2):
        assert outcome(spawn(RUN, "--fast", "--data", data, *python(code)))[:2] == (0, "42\n0\n")
    assert left_running() == []


@pytest.mark.parametrize(
    ("code", "status"),
    [("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 15)", 128 + 15)],
    ids=["its own", "a signal's"],
)
def test_the_commands_exit_status_is_passed_on(spawn, data: Path, code: str, status: int):
    # With both addresses given nothing has to be started.
    given = {"DATABASE_URL": "postgresql://given/x", "BROKER_URL": "redis://given/0"}
    assert outcome(spawn(RUN, "--data", data, *python(code), **given))[0] == status


def test_addresses_that_are_given_are_used(spawn, data: Path):
    given = {"DATABASE_URL": "postgresql://given/x", "BROKER_URL": "redis://given/0"}
    status, output, _ = outcome(spawn(RUN, "--data", data, *python(SHOW), **given))
    assert status == 0
    assert json.loads(output).items() >= given.items()
    assert not (data / "postgres").exists()


def test_a_signal_reaches_the_command_and_the_servers_are_stopped(spawn, data: Path, left_running):
    code = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
print("up", flush=True)
signal.pause()
"""
    runner = spawn(RUN, "--fast", "--data", data, *python(code))
    assert runner.stdout.readline() == "up\n"
    runner.send_signal(signal.SIGTERM)
    assert outcome(runner)[0] == 5
    assert left_running() == []


def test_a_second_run_on_the_same_folder_is_told_who_holds_it(spawn, data: Path):
    holder = spawn(RUN, "--fast", "--data", data, *python("print('up', flush=True); import signal; signal.pause()"))
    assert holder.stdout.readline() == "up\n"
    status, _, errors = outcome(spawn(RUN, "--fast", "--data", data, *python(SHOW)))
    assert status == 2
    assert f"process {holder.pid}" in errors
    holder.send_signal(signal.SIGTERM)
    assert outcome(holder)[0] == 128 + signal.SIGTERM


def test_what_a_killed_run_left_does_not_disturb_the_next(spawn, data: Path, until, left_running):
    killed = spawn(RUN, "--fast", "--data", data, *python("print('up', flush=True); import time; time.sleep(60)"))
    assert killed.stdout.readline() == "up\n"
    killed.kill()
    assert outcome(spawn(RUN, "--fast", "--data", data, *python("print('fine')")))[:2] == (0, "fine\n")
    until(lambda: left_running() == [])


def test_a_command_that_does_not_exist_is_named(spawn, data: Path):
    given = {"DATABASE_URL": "postgresql://given/x", "BROKER_URL": "redis://given/0"}
    status, _, errors = outcome(spawn(RUN, "--data", data, "--", "no-such-command", **given))
    assert (status, errors) == (2, "no-such-command cannot be run: No such file or directory.\n")
