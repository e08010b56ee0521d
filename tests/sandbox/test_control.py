"""The sandbox's own routes, its command line, and that it listens on loopback only."""

import socket
import subprocess
import sys
from datetime import datetime

import psutil
import pytest


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sandbox", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)


def test_it_is_ready_once_health_answers(sandbox):
    providers = ["stripe", "sendgrid", "s3", "google", "twilio", "modern_treasury", "supabase"]
    assert sandbox.get("health") == {"status": "ready", "providers": providers}


def test_it_listens_on_loopback_only(sandbox):
    listening = [
        each.laddr for each in psutil.Process(sandbox.process.pid).net_connections() if each.status == "LISTEN"
    ]
    assert [(each.ip, each.port) for each in listening] == [("127.0.0.1", sandbox.port)]


def test_the_ledger_is_shown_from_a_sequence_number_and_by_provider(sandbox, create):
    create(sandbox.stripe(), confirm=True)
    sandbox.s3().put_object(Bucket="postings", Key="a", Body=b"")
    assert [entry["seq"] for entry in sandbox.ledger()] == [1, 2]
    assert [entry["provider"] for entry in sandbox.ledger("?since=1")] == ["s3"]
    assert [entry["provider"] for entry in sandbox.ledger("?provider=stripe&since=0")] == ["stripe"]
    assert sandbox.ledger("?since=2") == []
    for query in ("since=x", "since=-1", "provider=paypal"):
        assert sandbox.http.get(f"/_sandbox/ledger?{query}").status_code == 400


def test_the_ledger_comes_whole_however_long_it_is(sandbox):
    s3 = sandbox.s3()
    for _ in range(300):
        s3.put_object(Bucket="postings", Key="a", Body=b"")
    assert [entry["seq"] for entry in sandbox.ledger()] == list(range(1, 301))


def test_reset_wipes_everything_but_the_keys(sandbox, create):
    keys = sandbox.get("keys")
    client = sandbox.stripe()
    intent = create(client, key="key-1", confirm=True)
    sandbox.sendgrid()
    sandbox.s3().put_object(Bucket="postings", Key="a", Body=b"")
    sandbox.fault("stripe", "latency", seconds=0)
    sandbox.post("clock", {"days": 1})
    sandbox.post("reset")
    assert sandbox.ledger() == sandbox.faults() == []
    assert all(found == [] for found in sandbox.get("state").values())
    assert sandbox.get("clock")["offset"] == 0
    assert sandbox.get("keys") == keys
    assert create(client, key="key-1", confirm=True).id != intent.id
    assert sandbox.ledger()[0]["seq"] == 1
    sandbox.s3().head_bucket(Bucket="postings")


def test_the_state_names_every_kind_of_thing(sandbox):
    kinds = {"holds", "captures", "objects", "mails", "users", "ledger_transactions"}
    assert kinds <= set(sandbox.get("state"))


@pytest.mark.parametrize(
    ("move", "seconds"), [({"advance": 90}, 90), ({"seconds": 90}, 90), ({"hours": 2}, 7200), ({"days": 1.5}, 129_600)]
)
def test_the_clock_moves_on_by_what_is_asked(sandbox, move, seconds):
    before = datetime.fromisoformat(sandbox.get("clock")["now"])
    moved = sandbox.post("clock", move)
    assert moved["offset"] == seconds
    assert seconds <= (datetime.fromisoformat(moved["now"]) - before).total_seconds() < seconds + 5


def test_the_clock_can_be_set_to_a_later_time(sandbox):
    assert sandbox.post("clock", {"now": "2040-01-01T00:00:00Z"})["now"].startswith("2040-01-01T00:00:0")


@pytest.mark.parametrize("move", [{}, {"advance": -1}, {"advance": "1"}, {"weeks": 1}, {"now": "soon"}, {"now": 5}])
def test_a_move_of_the_clock_that_makes_no_sense_is_refused(sandbox, move):
    answer = sandbox.http.post("/_sandbox/clock", json=move)
    assert (answer.status_code, bool(answer.json()["error"])) == (400, True)
    assert sandbox.get("clock")["offset"] == 0


def test_what_is_not_json_is_refused(sandbox):
    assert sandbox.http.post("/_sandbox/faults", content=b"{").json()["error"] == "the body must be JSON"


def test_unknown_routes_name_the_known_prefixes(sandbox):
    for path in ("/", "/paypal/v1", "/_sandbox/nope"):
        answer = sandbox.http.get(path)
        assert (answer.status_code, "/stripe" in answer.json()["allowed"]) == (404, True)


def test_help_names_every_option():
    shown = run("--help").stdout
    for option in ("--port", "--data", "--bucket", "--stripe-webhook-url", "--sendgrid-webhook-url", "/_sandbox"):
        assert option in shown


def test_a_taken_port_is_named_with_the_way_out(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        failed = run("--port", str(port), "--data", str(tmp_path))
    assert (failed.returncode, f"port {port}" in failed.stderr, "--port" in failed.stderr) == (1, True, True)


def test_bad_arguments_are_explained(tmp_path):
    assert "no bucket name" in run("--port", "0", "--data", str(tmp_path), "--bucket", "Not A Bucket").stderr
    assert "URL" in run("--port", "0", "--data", str(tmp_path), "--stripe-webhook-url", "nowhere").stderr
    (tmp_path / "file").write_text("")
    assert "cannot write" in run("--port", "0", "--data", str(tmp_path / "file")).stderr
