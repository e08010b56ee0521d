"""PostgreSQL and Redis in a data folder, also after everything that may have gone wrong before."""

import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from config.local import place, processes
from config.local.folder import DataFolder
from config.local.services import Services

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to give PostgreSQL another user")

BUSY = "import psycopg, sys; psycopg.connect(sys.argv[1]).execute('SELECT pg_sleep(60)')"


def services_of(folder: DataFolder, said: list[str] | None = None) -> Services:
    return Services.of(folder, durable=False, say=(said if said is not None else []).append)


def ask(services: Services, statement: str) -> object:
    with psycopg.connect(services.postgres.url(), autocommit=True) as connection:
        cursor = connection.execute(statement)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


@pytest.fixture(scope="module")
def running() -> Iterator[Services]:
    """Durable servers, as the demo has them, shared by the tests that only look."""
    with tempfile.TemporaryDirectory() as above:
        Path(above).chmod(0o755)
        services = Services.of(DataFolder(Path(above) / "data"), durable=True, say=lambda _line: None)
        with services.running():
            yield services


def test_both_servers_answer_on_loopback_in_the_promised_versions(running: Services):
    assert str(ask(running, "SHOW server_version")).startswith("18.")
    assert ask(running, "SHOW listen_addresses") == "127.0.0.1"
    with redis.Redis.from_url(running.redis.url()) as client:
        assert client.info("server")["redis_version"].startswith("6.2.")


def test_servers_are_set_as_the_engine_needs_them(running: Services):
    expected = {
        "client_connection_check_interval": "1s",
        "fsync": "on",
        "lc_messages": "C",
        "max_connections": "300",
        "server_encoding": "UTF8",
        "synchronous_commit": "on",
        "tcp_keepalives_count": "1",
        "tcp_keepalives_idle": "10",
        "tcp_keepalives_interval": "5",
        "TimeZone": "UTC",
    }
    assert {name: ask(running, f"SHOW {name}") for name in expected} == expected
    assert ask(running, "SELECT datcollate FROM pg_database WHERE datname = current_database()") == "C"
    assert ask(running, "SELECT upper('ärger')") == "ÄRGER"
    with redis.Redis.from_url(running.redis.url()) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("appendonly") == {"appendonly": "yes"}


def test_nobody_gets_in_without_the_password(running: Services):
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(f"postgresql://postgres:wrong@127.0.0.1:{running.postgres.port}/postings")
    once = Retry(NoBackoff(), 0)
    with redis.Redis(port=running.redis.port, retry=once) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_what_was_stored_is_there_in_the_next_run_and_nothing_runs_between(folder: DataFolder, left_running):
    first = services_of(folder)
    with first.running():
        ask(first, "CREATE TABLE kept AS SELECT 42 AS answer")
        assert left_running()
    assert left_running() == []
    said: list[str] = []
    second = services_of(folder, said)
    with second.running():
        assert ask(second, "SELECT answer FROM kept") == 42
    assert said == []


def test_two_data_folders_run_at_once(folder: DataFolder, data: Path):
    first, second = services_of(folder), services_of(DataFolder(data / "other"))
    with first.running(), second.running():
        ask(first, "CREATE TABLE only_here ()")
        assert ask(second, "SELECT to_regclass('only_here')") is None


def test_an_interrupted_initdb_is_made_anew(folder: DataFolder):
    services = services_of(folder)
    half = services.postgres.cluster.with_suffix(".new")
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    with services.running():
        assert ask(services, "SELECT 1") == 1
    assert not half.exists()


@pytest.mark.parametrize(
    ("there", "words"),
    [
        (["password", "cluster/PG_VERSION"], "was made by PostgreSQL 16, not 18"),
        (["password", "cluster/something"], "is not a PostgreSQL database folder"),
        (["cluster/PG_VERSION"], "lacks its password file"),
    ],
    ids=["another version", "no version", "no password"],
)
def test_a_cluster_that_cannot_be_used_is_moved_aside_and_said(
    folder: DataFolder, said: list[str], there: list[str], words: str
):
    services = services_of(folder, said)
    for name in there:
        path = services.postgres.cluster.parent / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("16\n")
    with services.running():
        assert ask(services, "SELECT 1") == 1
    aside = services.postgres.cluster.with_name("cluster-aside-1")
    assert aside.is_dir()
    assert any(words in line and str(aside) in line for line in said)


def test_servers_that_a_killed_run_left_behind_are_ended(folder: DataFolder, said: list[str]):
    left = services_of(folder)
    left.postgres.prepare()
    left.redis.prepare()
    database, broker = left.postgres.start(), left.redis.start()
    left.postgres.wait(database)
    left.redis.wait(broker)
    session = psycopg.connect(left.postgres.url())

    services = services_of(folder, said)
    with services.running():
        assert ask(services, "SELECT 1") == 1
    assert processes.is_over(database)
    assert processes.is_over(broker)
    assert any("PostgreSQL processes that an earlier run left behind" in line for line in said)
    assert any("a Redis that an earlier run left behind" in line for line in said)
    session.close()
    processes.end_group(database)
    processes.end_group(broker)


def test_a_stale_postmaster_file_naming_a_stranger_harms_neither(folder: DataFolder):
    services = services_of(folder)
    with services.running():
        pass
    account = processes.Account("x", services.postgres.cluster.stat().st_uid, 0) if os.geteuid() == 0 else None
    stranger = processes.start(["sleep", "60"], env={}, log=folder.logs / "stranger.log", account=account)
    lines = [str(stranger.pid), str(services.postgres.cluster), "1", "5432", "", "127.0.0.1", "1 1", "ready"]
    (services.postgres.cluster / "postmaster.pid").write_text("\n".join(lines))
    with services.running():
        assert ask(services, "SELECT 1") == 1
        assert not processes.is_over(stranger)
    processes.end_group(stranger)


def test_a_server_killed_with_its_sessions_busy_starts_again_on_its_port(folder: DataFolder):
    services = services_of(folder)
    services.postgres.prepare()
    server = services.postgres.start()
    services.postgres.wait(server)
    ask(services, "CREATE TABLE kept AS SELECT 42 AS answer")
    busy = subprocess.Popen(
        [sys.executable, "-c", BUSY, services.postgres.url()],
        stderr=subprocess.DEVNULL,
    )
    port = services.postgres.port
    os.kill(server.pid, signal.SIGKILL)
    processes.end_group(server)
    services.postgres.clear()
    assert processes.working_in(services.postgres.cluster, "postgres") == []
    again = services.postgres.start()
    services.postgres.wait(again)
    assert services.postgres.port == port
    assert ask(services, "SELECT answer FROM kept") == 42
    services.postgres.stop(again)
    busy.wait(20)


def test_a_damaged_append_only_file_is_put_aside_and_redis_starts_empty(folder: DataFolder, said: list[str]):
    (folder.path / "redis").mkdir()
    (folder.path / "redis" / "appendonly.aof").write_bytes(b"this is no command at all\r\n")
    services = Services.of(folder, durable=True, say=said.append)
    with services.running(), redis.Redis.from_url(services.redis.url()) as client:
        assert client.dbsize() == 0
    assert (folder.path / "redis" / "appendonly.aof.aside").exists()
    assert any("put aside" in line for line in said)


@AS_ROOT
def test_root_in_a_closed_folder_gets_a_place_outside_and_no_permission_is_changed(folder: DataFolder, data: Path):
    data.parent.chmod(0o700)
    said: list[str] = []
    services = services_of(folder, said)
    with services.running():
        owner = psutil.Process(int((services.postgres.cluster / "postmaster.pid").read_text().split()[0])).uids()
        assert owner.real == services.postgres.cluster.stat().st_uid != 0
        assert ask(services, "SELECT 1") == 1
    home = services.postgres.cluster.parent
    assert home in place.outside_of(folder.path)
    assert stat.S_IMODE(data.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(home.stat().st_mode) == 0o711
    assert stat.S_IMODE(services.postgres.cluster.stat().st_mode) == 0o700
    assert len([line for line in said if str(home) in line]) == 1


@AS_ROOT
def test_a_place_outside_that_somebody_else_made_is_not_used(folder: DataFolder, data: Path):
    data.parent.chmod(0o700)
    for trap in place.outside_of(folder.path):
        trap.mkdir()
        os.chown(trap, 65534, 65534)
    with pytest.raises(place.LocalError, match="remove what is there, or choose another --data"):
        place.find(folder)
