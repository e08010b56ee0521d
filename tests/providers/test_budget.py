"""Every client of the kit gives up a call when its whole time is over, even if the peer never ends."""

import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.request import Request

import boto3
import httpx
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from urllib3.exceptions import HTTPError

from pipeline.providers import budget, over_httpx, over_urllib, over_urllib3, sockets
from tests.providers import peers
from tests.providers.peers import Peer, peer

CALL = timedelta(seconds=1)
SIZE = 1024 * 1024  # bytes of an answer
UPLOAD = b"x" * (8 * 1024 * 1024)  # more than the buffers between two sockets hold
# Requests' errors are OSErrors; botocore lets urllib3's through where it reads the text of an error.
GIVEN_UP = (OSError, HTTPException, httpx.HTTPError, BotoCoreError, ClientError, HTTPError)
NEVER = 30  # seconds after which a call that has not ended never will: no peer ends by itself


def by_requests(url: str) -> "Act":
    client = over_urllib3.session()
    return lambda: client.put(url, data=UPLOAD).content


def by_urllib(url: str) -> "Act":
    opener = over_urllib.opener()
    return lambda: opener.open(Request(url, data=UPLOAD, method="PUT")).read()


def by_httpx(url: str) -> "Act":
    client = over_httpx.client()
    return lambda: client.put(url, content=UPLOAD).content


def s3(url: str) -> Any:
    client = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="y",
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )
    over_urllib3.bind(client._endpoint.http_session._pool_classes_by_scheme)
    return client


def by_botocore(url: str) -> "Act":
    client = s3(url)
    return lambda: bytes(client.get_object(Bucket="b", Key="k")["Body"].read())


def by_botocore_up(url: str) -> "Act":
    client = s3(url)
    return lambda: str(client.put_object(Bucket="b", Key="k", Body=UPLOAD)).encode()


Act = Callable[[], bytes]
CLIENTS: tuple[Callable[[str], Act], ...] = (by_requests, by_urllib, by_httpx, by_botocore, by_botocore_up)


def call(client: Callable[[str], Act], url: str) -> bytes | Exception:
    """The answer's body, or what was raised."""
    act = client(url)
    try:
        with budget.within(CALL, size=SIZE):
            return act()
    except Exception as error:  # noqa: BLE001 - every library has its own
        return error


def calls(url: str) -> list[bytes | Exception]:
    """One call by each client, side by side. Fails when one does not end."""
    with ThreadPoolExecutor(len(CLIENTS)) as pool:
        futures = [pool.submit(call, client, url) for client in CLIENTS]
        return [future.result(NEVER) for future in futures]


def assert_given_up(outcomes: list[bytes | Exception]) -> None:
    """Each by the error with which its library tells of a peer that cannot be reached or understood."""
    assert [outcome for outcome in outcomes if not isinstance(outcome, GIVEN_UP)] == []


@pytest.mark.parametrize("behaviour", peers.WITHOUT_AN_ANSWER, ids=lambda behaviour: behaviour.__name__)
def test_a_call_ends_whatever_its_peer_does(behaviour):
    with peer(behaviour) as running:
        outcomes = calls(running.url)
    assert_given_up(outcomes)
    assert running.connections > 0


@pytest.mark.parametrize("behaviour", [peers.sends_for_ever, peers.announces_a_terabyte])
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
def test_no_more_of_an_answer_is_read_than_a_call_allows(behaviour, client):
    """The peer can have sent what was read and what lies in the buffers between, at most 6 MiB each way."""
    with peer(behaviour) as running:
        outcome = call(client, running.url)
    assert isinstance(outcome, Exception)
    assert running.sent < 16 * SIZE


def test_no_client_follows_redirects_without_end():
    """Each request of a loop would send our key again."""
    with peer(peers.redirects_to_itself) as running:
        calls(running.url)
    assert 0 < running.connections <= len(CLIENTS)


def test_no_client_unpacks_what_it_did_not_ask_to_be_packed():
    with peer(peers.answers_compressed) as running:
        outcomes = calls(running.url)
    assert all(isinstance(outcome, Exception) or len(outcome) < SIZE for outcome in outcomes)


def test_a_peer_that_does_not_take_the_connection_is_given_up():
    """Its queue of connections is full: the kernel answers no more of them."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        outcomes = calls(f"http://127.0.0.1:{full.getsockname()[1]}")
        for each in waiting:
            each.close()
    assert_given_up(outcomes)


def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's context for 127.0.0.1, and the file by which a client trusts it."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (folder / "key.pem").write_bytes(pem)
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context, folder / "cert.pem"


def answers(peer: Peer, connection: socket.socket) -> None:
    peers.asked(connection)
    peer.send(connection, peers.OK + b"Content-Length: 2\r\n\r\n{}")
    peer.over.wait()


SECURE = [
    peers.says_nothing,
    peers.drips_lines_of_its_head,
    peers.drips_its_body,
    peers.reads_nothing,
    peers.announces_a_terabyte,
]


@pytest.fixture
def trusted(tmp_path, monkeypatch):
    """A server's TLS context that every client trusts."""
    context, file = certificate(tmp_path)
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE"):
        monkeypatch.setenv(name, str(file))
    over_urllib.opener.cache_clear()
    over_urllib._context.cache_clear()
    yield context
    over_urllib.opener.cache_clear()
    over_urllib._context.cache_clear()


@pytest.mark.parametrize("behaviour", SECURE, ids=lambda behaviour: behaviour.__name__)
def test_a_call_over_tls_ends_too(trusted, behaviour):
    with peer(behaviour, tls=trusted) as running:
        outcomes = calls(f"https://{running.host}")
    assert_given_up(outcomes)
    assert not any("CERTIFICATE" in str(outcome) for outcome in outcomes), "it never came as far as the answer"


@pytest.mark.parametrize("client", [by_requests, by_urllib, by_httpx], ids=lambda client: client.__name__)
def test_a_peer_that_answers_is_heard_over_tls(trusted, client, monkeypatch):
    monkeypatch.setattr("tests.providers.test_budget.UPLOAD", b"{}")
    with peer(answers, tls=trusted) as running, budget.within(timedelta(seconds=NEVER)):
        assert client(f"https://{running.host}")() == b"{}"


def test_a_handshake_that_does_not_end_is_given_up():
    """It listens, and knows no TLS."""
    with peer(peers.reads_nothing) as running:
        outcomes = calls(f"https://{running.host}")
    assert_given_up(outcomes)


def test_an_address_that_is_looked_up_for_ever_holds_one_thread_whoever_asks(monkeypatch):
    released, getaddrinfo = threading.Event(), socket.getaddrinfo

    def hanging(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("flags") != socket.AI_NUMERICHOST:
            released.wait(NEVER)
        return getaddrinfo(*args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    with ThreadPoolExecutor(8) as pool:
        outcomes = [future.result(NEVER) for future in [pool.submit(look_up, "hangs.invalid") for _ in range(8)]]
    asking = [thread for thread in threading.enumerate() if thread.name == "resolve hangs.invalid"]
    assert (set(map(type, outcomes)), len(asking)) == ({TimeoutError}, 1)
    released.set()
    asking[0].join()
    assert sockets._lookups == {}


def look_up(host: str) -> Exception | None:
    try:
        with budget.within(CALL):
            sockets.connect(host, 1)
    except OSError as error:
        return error
    return None


def test_a_name_that_does_not_exist_is_told_from_one_that_takes_long():
    assert isinstance(look_up("nobody.invalid"), socket.gaierror)


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
def test_a_call_without_a_budget_is_not_made(client):
    with peer(answers) as running:
        with pytest.raises(Exception) as refused:
            client(running.url)()
        assert running.connections == 0
    assert "NoBudget" in repr(refused.getrepr(chain=True)) or "budget.within" in str(refused.getrepr())


def test_an_attempt_bounds_its_calls_together():
    with budget.at_most(timedelta(seconds=5)):
        with budget.within(timedelta(seconds=60)):
            assert budget.left() <= 5
        with budget.within(timedelta(seconds=1)):
            assert budget.left() <= 1
        with pytest.raises(budget.NoBudget):
            budget.left()


def test_a_call_inside_a_call_is_a_part_of_it():
    with budget.within(timedelta(seconds=1), size=10), budget.within(timedelta(seconds=60)):
        assert budget.left() <= 1
        budget.count(10)
        with pytest.raises(budget.TooLarge):
            budget.count(1)


def test_calls_in_other_threads_have_budgets_of_their_own():
    with budget.within(timedelta(seconds=1)), ThreadPoolExecutor(1) as pool, pytest.raises(budget.NoBudget):
        pool.submit(budget.left).result()


def test_a_kept_connection_serves_the_next_call_with_that_calls_budget():
    def answers_again(peer: Peer, connection: socket.socket) -> None:
        while not peer.over.is_set():
            peers.asked(connection)
            peer.send(connection, peers.OK + b"Content-Length: 2\r\n\r\n{}")

    with peer(answers_again) as running, over_urllib3.session() as client:
        with budget.within(timedelta(seconds=5), size=1000):
            assert client.get(running.url).json() == {}
        with budget.within(timedelta(seconds=5), size=10), pytest.raises(requests.RequestException):
            client.get(running.url)
        assert running.connections == 1


def test_an_idle_connection_that_the_peer_has_closed_is_not_used_again():
    def answers_once(peer: Peer, connection: socket.socket) -> None:
        peers.asked(connection)
        peer.send(connection, peers.OK + b"Content-Length: 2\r\n\r\n{}")

    limit = budget.within(timedelta(seconds=NEVER))
    with peer(answers_once) as running, over_httpx.client() as client, limit:
        for number in (1, 2, 3):
            assert client.get(running.url).json() == {}
            until = time.monotonic() + NEVER
            while not all(each.has_expired() for each in client._transport._pool.connections):
                assert time.monotonic() < until
            assert running.connections == number


@pytest.mark.parametrize(
    ("make", "late", "unsent"),
    [
        (over_urllib3.session, (requests.ConnectionError, requests.Timeout), requests.ConnectTimeout),
        (over_httpx.client, httpx.ReadTimeout, httpx.ConnectTimeout),
    ],
    ids=["requests", "httpx"],
)
def test_errors_tell_a_call_that_was_never_sent_from_one_that_may_have_been(make, late, unsent):
    with peer(peers.drips_its_body) as running, budget.within(CALL), make() as client, pytest.raises(late):
        client.get(running.url)
    with budget.within(timedelta(seconds=-1)), make() as client, pytest.raises(unsent):
        client.get("http://127.0.0.1:1")
