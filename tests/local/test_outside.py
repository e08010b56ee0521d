"""What the demo says of a sample is compared with the sandbox's ledger."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from config.local.outside import differences
from config.local.samples import SAMPLES, Result

COMMITTED, DECLINED = SAMPLES
PRICE = {"amount": 4900, "currency": "EUR"}


def entry(provider: str, effect: str, **more: Any) -> dict[str, Any]:
    money = {"amount": 4900, "currency": "eur"} if provider == "stripe" else {"amount": None, "currency": None}
    return (
        {"provider": provider, "effect": effect, "reference": "p1", "replayed": False, "category": None} | money | more
    )


PUT = entry("s3", "object_put")
DELETED = entry("s3", "object_deleted")
HELD = entry("stripe", "authorised")
TAKEN = entry("stripe", "captured")
REFUSED = entry("stripe", "declined")
RECEIPT = entry("sendgrid", "email_accepted", category="receipt")
SORRY = entry("sendgrid", "email_accepted", category="not_published")


@pytest.fixture
def sandbox() -> Iterator[Callable[[list[dict[str, Any]]], str]]:
    """Serves a ledger with the given entries; the base URL."""
    servers: list[HTTPServer] = []

    def serve(entries: list[dict[str, Any]]) -> str:
        class Ledger(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps({"entries": entries}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args: object) -> None:
                pass

        servers.append(HTTPServer(("127.0.0.1", 0), Ledger))
        threading.Thread(target=servers[-1].serve_forever, args=[0.01], daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def result(sample, state: str) -> Result:
    return Result(sample, PRICE, {"id": "p1", "state": state})


def test_a_committed_sample_agrees_whatever_else_the_ledger_holds(sandbox):
    noise = [TAKEN | {"reference": "p2"}, TAKEN | {"replayed": True}, entry("sendgrid", "email_validated")]
    assert differences(sandbox([PUT, HELD, TAKEN, RECEIPT, *noise]), result(COMMITTED, "committed")) == []


def test_a_declined_sample_agrees(sandbox):
    entries = [PUT, REFUSED, entry("stripe", "cancelled"), DELETED, SORRY]
    assert differences(sandbox(entries), result(DECLINED, "rolled_back")) == []


@pytest.mark.parametrize(
    ("entries", "difference"),
    [
        ([PUT, HELD, TAKEN, TAKEN, RECEIPT], "2 times captured at stripe instead of 1"),
        ([PUT, HELD, RECEIPT], "0 times captured at stripe instead of 1"),
        ([PUT, HELD, TAKEN, entry("stripe", "refunded"), RECEIPT], "1 times refunded at stripe instead of 0"),
        ([PUT, HELD, TAKEN | {"amount": 1}, RECEIPT], "captured 1 eur instead of 4900 eur"),
        ([PUT, HELD, TAKEN, RECEIPT, SORRY], "1 times not_published at sendgrid instead of 0"),
    ],
)
def test_what_differs_from_a_commit_is_named(sandbox, entries, difference: str):
    assert differences(sandbox(entries), result(COMMITTED, "committed")) == [f"{COMMITTED.title}: {difference}"]


@pytest.mark.parametrize(
    ("entries", "difference"),
    [
        ([PUT, REFUSED, SORRY], "0 times object_deleted at s3 instead of 1"),
        ([PUT, REFUSED, DELETED, SORRY, TAKEN], "1 times captured at stripe instead of 0"),
        ([PUT, REFUSED, DELETED], "0 times not_published at sendgrid instead of 1"),
    ],
)
def test_what_differs_from_a_rollback_is_named(sandbox, entries, difference: str):
    assert differences(sandbox(entries), result(DECLINED, "rolled_back")) == [f"{DECLINED.title}: {difference}"]


def test_a_sample_that_ended_otherwise_is_named(sandbox):
    found = differences(sandbox([]), result(COMMITTED, "rolled_back"))
    assert found == [f"{COMMITTED.title} is rolled_back, not committed"]
