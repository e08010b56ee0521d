"""The sandbox as a real process, and the official SDKs pointed at it."""

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import httpx
import modern_treasury
import pytest
import requests
import sendgrid
import stripe
from botocore.config import Config
from supabase_auth import SyncGoTrueClient

ROOT = Path(__file__).resolve().parents[2]
ACCOUNT = "AC00000000000000000000000000000001"
READ_TIMEOUT = 0.4  # seconds after which a test's client gives up


@dataclass
class Sandbox:
    """One sandbox process over one data folder; it may be killed and started again on the same port."""

    data: Path
    port: int = 0
    process: subprocess.Popen[str] | None = None
    usual_s3: Any = None
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=10))
    impatient: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=READ_TIMEOUT))

    def start(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "sandbox", "--port", str(self.port), "--data", str(self.data), *arguments]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SANDBOX_")}
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert "listening on" in line, f"the sandbox did not start: {line!r}"
        self.port = int(line.rsplit(":", 1)[1])
        self.http.base_url = self.url
        for _ in range(100):
            try:
                self.http.get("/_sandbox/health").raise_for_status()
            except httpx.TransportError:
                continue
            return

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)
        self.process.stdout.close()

    def stop(self) -> int:
        self.process.terminate()
        status = self.process.wait(10)
        self.process.stdout.close()
        return status

    def close(self) -> None:
        self.http.close()
        self.impatient.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str) -> Any:
        answer = self.http.get(f"/_sandbox/{path}")
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, body: Any = None) -> Any:
        answer = self.http.post(f"/_sandbox/{path}", json={} if body is None else body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def fault(self, provider: str, kind: str, **more: Any) -> Any:
        return self.post("faults", {"provider": provider, "kind": kind, **more})

    def faults(self) -> list[dict[str, Any]]:
        return self.get("faults")["faults"]

    def ledger(self, query: str = "") -> list[dict[str, Any]]:
        return self.get(f"ledger{query}")["entries"]

    def effects(self) -> list[str]:
        return [entry["effect"] for entry in self.ledger() if not entry["replayed"]]

    def stripe(self, *, timeout: float = READ_TIMEOUT, key: str = "sk_test_x") -> stripe.StripeClient:
        return stripe.StripeClient(
            key,
            base_addresses={"api": f"{self.url}/stripe"},
            max_network_retries=0,
            http_client=stripe.RequestsClient(timeout=(2, timeout)),
        )

    def s3(self, **config: Any) -> Any:
        """A client that tries once; making one takes long, so the usual one is kept."""
        if not config and self.usual_s3 is not None:
            return self.usual_s3
        settings = {"read_timeout": READ_TIMEOUT, "retries": {"total_max_attempts": 1}, **config}
        client = boto3.client(
            "s3",
            endpoint_url=f"{self.url}/s3",
            aws_access_key_id="x",
            aws_secret_access_key="y",
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}, **settings),
        )
        self.usual_s3 = self.usual_s3 if config else client
        return client

    def modern_treasury(self, *, api_key: str = "key", timeout: float = READ_TIMEOUT) -> Any:
        """A client that tries once."""
        return modern_treasury.ModernTreasury(
            api_key=api_key,
            organization_id="org",
            base_url=f"{self.url}/modern_treasury",
            max_retries=0,
            timeout=timeout,
            http_client=self.impatient,
        )

    def supabase(self, key: str = "service-role-key") -> Any:
        client = SyncGoTrueClient(
            url=f"{self.url}/supabase/auth/v1",
            headers={"Authorization": f"Bearer {key}", "apikey": key},
            http_client=self.impatient,
        )
        return client.admin

    def publish(self, url: str, kind: str = "URL_UPDATED") -> requests.Response:
        return requests.post(
            f"{self.url}/google/v3/urlNotifications:publish",
            json={"url": url, "type": kind},
            headers={"Authorization": "Bearer ya29.x"},
            timeout=READ_TIMEOUT,
        )

    def sms(self, **form: str) -> requests.Response:
        message = {"To": "+4915112345678", "From": "+15005550006", "Body": "Your posting is online.", **form}
        return requests.post(
            f"{self.url}/twilio/2010-04-01/Accounts/{ACCOUNT}/Messages.json",
            data={name: value for name, value in message.items() if value},
            auth=(ACCOUNT, "token"),
            timeout=READ_TIMEOUT,
        )

    def sendgrid(self) -> sendgrid.SendGridAPIClient:
        client = sendgrid.SendGridAPIClient("SG.x", host=f"{self.url}/sendgrid")
        client.client.timeout = READ_TIMEOUT
        return client


@pytest.fixture(scope="session")
def shared_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    running = Sandbox(tmp_path_factory.mktemp("sandbox"))
    running.start()
    yield running
    running.stop()
    running.close()


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Sandbox:
    """An empty sandbox that sends no webhooks."""
    shared_sandbox.post("webhooks", {"stripe": None, "sendgrid": None})
    shared_sandbox.post("reset")
    return shared_sandbox


@pytest.fixture
def own_sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """One that the test may kill: it starts it itself."""
    own = Sandbox(tmp_path / "data")
    yield own
    if own.process is not None and own.process.poll() is None:
        own.kill()
    own.close()


@dataclass
class Received:
    """One webhook request as it came in."""

    headers: Any
    body: bytes


class Receiver:
    """A webhook target. It answers `status`, and hands out what it was sent in order of arrival."""

    def __init__(self) -> None:
        self.status = 200
        self.requests: queue.Queue[Received] = queue.Queue()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                self.send_response(receiver.status)
                self.send_header("content-length", "0")
                self.end_headers()
                receiver.requests.put(Received(self.headers, body))

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/hook"

    def next(self, timeout: float = 5) -> Received:
        return self.requests.get(timeout=timeout)

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    target = Receiver()
    yield target
    target.close()


@pytest.fixture
def create() -> Callable[..., stripe.PaymentIntent]:
    """Makes a PaymentIntent with manual capture of 99.00 EUR."""

    def made(client: stripe.StripeClient, card: str = "pm_card_visa", key: str | None = None, **more: Any):
        parameters = {
            "amount": 9900,
            "currency": "eur",
            "capture_method": "manual",
            "payment_method": card,
            "payment_method_types": ["card"],
            "metadata": {"pipeline_id": "pipeline-1"},
            **more,
        }
        return client.v1.payment_intents.create(parameters, {} if key is None else {"idempotency_key": key})

    return made


@dataclass
class Bank:
    """A Modern Treasury ledger with a buyer who has funds, a vendor, and the account that the funds came from."""

    client: Any
    ledger: Any
    buyer: Any
    vendor: Any
    source: Any

    def transfer(self, amount: int, sender: Any = None, receiver: Any = None, **more: Any) -> dict[str, Any]:
        """The parameters of a pending transaction, by default one from buyer to vendor within the buyer's funds."""
        debit = {"amount": amount, "direction": "debit", "ledger_account_id": (sender or self.buyer).id}
        if sender is None:
            debit["available_balance_amount"] = {"gte": 0}
        credit = {"amount": amount, "direction": "credit", "ledger_account_id": (receiver or self.vendor).id}
        return {"ledger_entries": [debit, credit], "metadata": {"pipeline_id": "pipeline-1"}, **more}

    def available(self) -> int:
        return self.client.ledger_accounts.retrieve(self.buyer.id).balances.available_balance.amount


def bank_with(sandbox: Sandbox, funds: int) -> Bank:
    client = sandbox.modern_treasury()
    ledger = client.ledgers.create(name="Marketplace")
    accounts = [
        client.ledger_accounts.create(
            name=name, ledger_id=ledger.id, currency="EUR", normal_balance=normal, metadata={"role": name}
        )
        for name, normal in (("buyer", "credit"), ("vendor", "credit"), ("source", "debit"))
    ]
    bank = Bank(client, ledger, *accounts)
    opening = bank.transfer(funds, bank.source, bank.buyer, status="posted", metadata={})
    client.ledger_transactions.create(**opening)
    return bank


@pytest.fixture
def make_bank() -> Callable[[Sandbox, int], Bank]:
    return bank_with


@pytest.fixture
def bank(sandbox: Sandbox) -> Bank:
    """The buyer has 7.00 EUR."""
    return bank_with(sandbox, 700)
