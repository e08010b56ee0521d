"""Every kind of fault: what the client sees, whether the effect happened, and what the ledger says of it."""

import http.client
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import botocore.exceptions
import modern_treasury
import pytest
import requests
import stripe
import supabase_auth.errors
from python_http_client import exceptions as sendgrid_errors

from tests.sandbox.conftest import READ_TIMEOUT

KEY = "logos/1.png"
MAIL = {
    "personalizations": [{"to": [{"email": "customer@example.com"}]}],
    "from": {"email": "shop@example.com"},
    "subject": "s",
    "content": [{"type": "text/plain", "value": "t"}],
}
# What an SDK raises when it does not know what happened: a dead connection, no answer, half an answer, a 5xx.
UNKNOWN = {
    "stripe": (stripe.APIConnectionError, stripe.APIError),
    "sendgrid": (OSError, http.client.HTTPException, sendgrid_errors.InternalServerError),
    "s3": (botocore.exceptions.HTTPClientError, botocore.exceptions.ClientError),
    "modern_treasury": (modern_treasury.APIConnectionError, modern_treasury.InternalServerError),
    "supabase": (supabase_auth.errors.AuthRetryableError, supabase_auth.errors.AuthApiError),
    "google": (requests.RequestException,),
    "twilio": (requests.RequestException,),
}
ROUTES = {
    "stripe": "payment_intents.create",
    "sendgrid": "mail.send",
    "s3": "objects.put",
    "modern_treasury": "ledger_transactions.create",
    "supabase": "users.create",
    "google": "url_notifications.publish",
    "twilio": "messages.create",
}
EFFECTS = {
    "stripe": "authorised",
    "sendgrid": "email_accepted",
    "s3": "object_put",
    "modern_treasury": "ledger_pending",
    "supabase": "user_created",
    "google": "url_updated",
    "twilio": "sms_sent",
}


def act(sandbox, create, provider):
    """One request with one effect."""
    match provider:
        case "stripe":
            create(sandbox.stripe(), confirm=True)
        case "sendgrid":
            sandbox.sendgrid().send(MAIL)
        case "s3":
            sandbox.s3().put_object(Bucket="postings", Key=KEY, Body=b"x")
        case "modern_treasury":
            client = sandbox.modern_treasury()
            client.ledger_transactions.create(ledger_entries=[entry(client, "debit"), entry(client, "credit")])
        case "supabase":
            sandbox.supabase().create_user({"email": "director@example.com"})
        case "google":
            sandbox.publish("https://example.com/jobs/1").raise_for_status()
        case "twilio":
            sandbox.sms().raise_for_status()


def entry(client, direction):
    """One side of a transaction within one account, which is made when there is none."""
    accounts = client.ledger_accounts.list().items
    if not accounts:
        ledger = client.ledgers.create(name="Market").id
        account = {"name": "a", "currency": "EUR", "normal_balance": "debit", "ledger_id": ledger}
        accounts = [client.ledger_accounts.create(**account)]
    return {"amount": 1, "direction": direction, "ledger_account_id": accounts[0].id}


def wait_for_entry(sandbox):
    deadline = time.monotonic() + 5
    while not (entries := sandbox.ledger()):
        assert time.monotonic() < deadline, "the effect never came"
    return entries


@pytest.mark.parametrize("provider", ROUTES)
@pytest.mark.parametrize("kind", ["error_before", "drop_before", "timeout_before", "down"])
def test_before_means_that_nothing_happened(sandbox, create, provider, kind):
    sandbox.fault(provider, kind, route=ROUTES[provider], times=1)
    with pytest.raises(UNKNOWN[provider]):
        act(sandbox, create, provider)
    assert sandbox.ledger() == []
    act(sandbox, create, provider)
    assert sandbox.effects() == [EFFECTS[provider]]
    assert sandbox.faults()[0]["fired"] == 1


@pytest.mark.parametrize("provider", ROUTES)
@pytest.mark.parametrize("kind", ["error_after", "drop_after", "timeout_after", "truncate"])
def test_after_means_that_it_happened_and_the_client_does_not_know(sandbox, create, provider, kind):
    sandbox.fault(provider, kind, route=ROUTES[provider], times=1)
    with pytest.raises(UNKNOWN[provider]):
        act(sandbox, create, provider)
    (entry,) = sandbox.ledger()
    assert (entry["effect"], entry["client_saw_answer"], entry["replayed"]) == (EFFECTS[provider], False, False)


@pytest.mark.parametrize("provider", ROUTES)
@pytest.mark.parametrize("kind", ["drip", "drip_head"])
def test_a_dripping_answer_is_whole_for_a_client_that_waits(sandbox, create, provider, kind):
    sandbox.fault(provider, kind, route=ROUTES[provider], seconds=0, times=1)
    act(sandbox, create, provider)
    (entry,) = sandbox.ledger()
    assert (entry["effect"], entry["client_saw_answer"]) == (EFFECTS[provider], True)


@pytest.mark.parametrize("kind", ["drip", "drip_head"])
def test_the_head_of_a_dripping_answer_comes_at_once_unless_it_drips_too(sandbox, kind):
    sandbox.fault("google", kind, seconds=30)
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=READ_TIMEOUT) as client:
        body = b'{"url": "https://example.com/jobs/1", "type": "URL_UPDATED"}'
        head = f"POST /google/v3/urlNotifications:publish HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        client.sendall(f"{head}Authorization: Bearer x\r\nContent-Type: application/json\r\n\r\n".encode() + body)
        if kind == "drip":
            received = b""
            while b"\r\n\r\n" not in received:
                received += client.recv(4096)
            assert received.startswith(b"HTTP/1.1 200 OK\r\n")
        with pytest.raises(TimeoutError):
            assert client.recv(4096) == b""
    wait_until_unseen(sandbox)


def test_an_endless_answer_goes_on_for_as_long_as_the_client_reads(sandbox):
    sandbox.fault("google", "endless", times=1)
    address = f"{sandbox.url}/google/v3/urlNotifications:publish"
    notice = {"url": "https://example.com/jobs/1", "type": "URL_UPDATED"}
    headers = {"Authorization": "Bearer x"}
    with requests.post(address, json=notice, headers=headers, stream=True, timeout=READ_TIMEOUT) as answer:
        pieces = answer.iter_content(65536)
        assert sum(len(next(pieces)) for _ in range(100)) > 1_000_000
    wait_until_unseen(sandbox)


def wait_until_unseen(sandbox):
    deadline = time.monotonic() + 5
    while not sandbox.ledger() or sandbox.ledger()[0]["client_saw_answer"]:
        assert time.monotonic() < deadline, "the sandbox thinks that the client has seen its answer"


@pytest.mark.parametrize("provider", ROUTES)
def test_late_means_that_it_happens_once_the_client_has_given_up(sandbox, create, provider):
    sandbox.fault(provider, "late", route=ROUTES[provider], seconds=0.1)
    with pytest.raises(UNKNOWN[provider]):
        act(sandbox, create, provider)
    assert sandbox.ledger() == []
    (entry,) = wait_for_entry(sandbox)
    assert (entry["effect"], entry["client_saw_answer"]) == (EFFECTS[provider], False)


def test_a_late_request_meets_the_world_as_it_then_is(sandbox, create):
    client = sandbox.stripe()
    intent = create(client)
    sandbox.fault("stripe", "late", route="payment_intents.confirm", seconds=1)
    with pytest.raises(stripe.APIConnectionError):
        client.v1.payment_intents.confirm(intent.id, options={"idempotency_key": "confirm-1"})
    client.v1.payment_intents.cancel(intent.id)
    time.sleep(1.3)
    sandbox.http.delete("/_sandbox/faults")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payment_intents.confirm(intent.id, options={"idempotency_key": "confirm-1"})
    assert refused.value.headers["idempotent-replayed"] == "true"
    assert sandbox.effects() == ["cancelled"]
    assert sandbox.get("state")["holds"] == []


def test_a_late_request_that_was_repeated_meanwhile_has_one_effect(sandbox, create):
    sandbox.fault("stripe", "late", seconds=0.2, times=1)
    with pytest.raises(stripe.APIConnectionError):
        create(sandbox.stripe(), key="key-1", confirm=True)
    create(sandbox.stripe(), key="key-1", confirm=True)
    time.sleep(0.4)
    assert [(entry["effect"], entry["replayed"]) for entry in sandbox.ledger()] == [
        ("authorised", False),
        ("authorised", True),
    ]


def test_what_is_late_stays_away_after_a_reset(sandbox, create):
    sandbox.fault("stripe", "late", seconds=0.2)
    with pytest.raises(stripe.APIConnectionError):
        create(sandbox.stripe(), confirm=True)
    sandbox.post("reset")
    time.sleep(0.4)
    assert sandbox.ledger() == []


@pytest.mark.parametrize("kind", ["drop_after", "timeout_after", "truncate"])
def test_a_lost_answer_is_replayed_under_its_key(sandbox, create, kind):
    sandbox.fault("stripe", kind, times=1)
    with pytest.raises(stripe.APIConnectionError):
        create(sandbox.stripe(), key="key-1", confirm=True)
    assert create(sandbox.stripe(), key="key-1", confirm=True).status == "requires_capture"
    assert [(entry["replayed"], entry["client_saw_answer"]) for entry in sandbox.ledger()] == [
        (False, False),
        (True, True),
    ]


@pytest.mark.parametrize(
    ("act_on", "route"),
    [
        (lambda s3: s3.delete_object(Bucket="postings", Key=KEY), "objects.delete"),
        (lambda s3: s3.head_object(Bucket="postings", Key=KEY), "objects.head"),
        (lambda s3: s3.get_object(Bucket="postings", Key=KEY)["Body"].read(), "objects.get"),
    ],
)
def test_truncating_an_answer_without_a_body_is_noticed_too(sandbox, act_on, route):
    s3 = sandbox.s3()
    s3.put_object(Bucket="postings", Key=KEY, Body=b"0123456789")
    sandbox.fault("s3", "truncate", route=route)
    with pytest.raises((*UNKNOWN["s3"], botocore.exceptions.IncompleteReadError)):
        act_on(s3)


@pytest.mark.parametrize("provider", ROUTES)
def test_latency_delays_every_answer_and_loses_none(sandbox, create, provider):
    sandbox.fault(provider, "latency", seconds=0.15)
    started = time.monotonic()
    act(sandbox, create, provider)
    assert time.monotonic() - started >= 0.15
    assert sandbox.ledger()[0]["client_saw_answer"] is True


def test_latencies_add_up_and_go_with_another_fault(sandbox, create):
    sandbox.fault("stripe", "latency", seconds=0.1)
    sandbox.fault("stripe", "latency", seconds=0.1)
    sandbox.fault("stripe", "error_after")
    started = time.monotonic()
    with pytest.raises(stripe.APIError):
        create(sandbox.stripe())
    assert time.monotonic() - started >= 0.2


def test_a_client_that_left_during_the_latency_saw_no_answer(sandbox, create):
    sandbox.fault("stripe", "latency", seconds=30)
    with pytest.raises(stripe.APIConnectionError):
        create(sandbox.stripe(timeout=0.2), confirm=True)
    deadline = time.monotonic() + 5
    while sandbox.ledger()[0]["client_saw_answer"]:
        assert time.monotonic() < deadline


def test_a_timeout_holds_up_no_other_request(sandbox, create):
    sandbox.fault("stripe", "timeout_before", times=1)
    entered = threading.Event()

    def slow() -> None:
        entered.set()
        with pytest.raises(stripe.APIConnectionError):
            create(sandbox.stripe(timeout=3))

    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(slow)
        entered.wait()
        while not sandbox.faults()[0]["fired"]:
            pass
        create(sandbox.stripe())
        assert not waiting.done()
        waiting.result()


def test_the_nth_request_is_struck_and_no_other(sandbox, create):
    sandbox.fault("stripe", "rate_limit", nth=3)
    outcomes = [outcome(sandbox, create) for _ in range(5)]
    assert outcomes == [True, True, False, True, True]
    assert (sandbox.faults()[0]["calls"], sandbox.faults()[0]["fired"]) == (5, 1)


def test_from_the_nth_request_on_as_many_times_as_asked(sandbox, create):
    sandbox.fault("stripe", "rate_limit", nth=2, times=2)
    assert [outcome(sandbox, create) for _ in range(5)] == [True, False, False, True, True]


def test_a_probability_with_a_seed_strikes_the_same_requests_again(sandbox, create):
    runs = []
    for _ in range(2):
        sandbox.post("reset")
        sandbox.fault("stripe", "rate_limit", probability=0.5, seed=7)
        runs.append([outcome(sandbox, create) for _ in range(20)])
    assert runs[0] == runs[1]
    assert 3 < runs[0].count(True) < 17


def test_without_bounds_every_request_is_struck_until_the_fault_is_cleared(sandbox, create):
    sandbox.fault("stripe", "down")
    for _ in range(3):
        with pytest.raises(stripe.APIConnectionError):
            create(sandbox.stripe())
    assert sandbox.http.delete("/_sandbox/faults").json() == {"cleared": 1}
    assert outcome(sandbox, create)
    assert sandbox.faults() == []


def outcome(sandbox, create) -> bool:
    try:
        create(sandbox.stripe())
    except stripe.RateLimitError:
        return False
    return True


@pytest.mark.parametrize(
    ("route", "struck"),
    [
        ("payment_intents.capture", ["capture"]),
        ("capture", ["capture"]),
        ("POST /v1/payment_intents/{id}/capture", ["capture"]),
        ("POST /stripe/v1/payment_intents/{intent}/capture", ["capture"]),
        ("POST /v1/payment_intents", ["create"]),
        ("payment_intents.create", ["create"]),
        ("/v1/payment_intents", ["create", "confirm", "capture", "retrieve"]),
        ("GET /v1/payment_intents/", ["retrieve"]),
        (None, ["create", "confirm", "capture", "retrieve"]),
    ],
)
def test_a_route_is_an_operation_a_template_or_a_part_of_the_path(sandbox, create, route, struck):
    client = sandbox.stripe()
    intent = create(client)
    sandbox.fault("stripe", "rate_limit", route=route)
    requests = {
        "create": lambda: create(client),
        "confirm": lambda: client.v1.payment_intents.confirm(intent.id),
        "capture": lambda: client.v1.payment_intents.capture(intent.id),
        "retrieve": lambda: client.v1.payment_intents.retrieve(intent.id),
    }
    found = []
    for name, request in requests.items():
        try:
            request()
        except stripe.RateLimitError:
            found.append(name)
    assert found == struck


def test_a_route_can_name_one_object(sandbox):
    s3 = sandbox.s3()
    sandbox.fault("s3", "error_before", route="/postings/logos/bad")
    s3.put_object(Bucket="postings", Key="logos/good", Body=b"")
    with pytest.raises(botocore.exceptions.ClientError):
        s3.put_object(Bucket="postings", Key="logos/bad", Body=b"")


def test_other_providers_are_left_alone(sandbox, create):
    sandbox.fault("s3", "down")
    act(sandbox, create, "stripe")
    act(sandbox, create, "sendgrid")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ([], "JSON object"),
        ({}, "'provider'"),
        ({"provider": "paypal", "kind": "down"}, "stripe"),
        ({"provider": "stripe"}, "error_before"),
        ({"provider": "stripe", "kind": "explode"}, "lock_timeout"),
        ({"provider": "s3", "kind": "lock_timeout"}, "'kind'"),
        ({"provider": "s3", "kind": "webhook_lost"}, "'kind'"),
        ({"provider": "stripe", "kind": "down", "colour": 1}, "colour"),
        ({"provider": "stripe", "kind": "down", "probability": 2}, "from 0 to 1"),
        ({"provider": "stripe", "kind": "down", "probability": "1"}, "'probability'"),
        ({"provider": "stripe", "kind": "down", "nth": 0}, "'nth'"),
        ({"provider": "stripe", "kind": "down", "times": 1.5}, "'times'"),
        ({"provider": "stripe", "kind": "down", "seconds": -1}, "'seconds'"),
        ({"provider": "stripe", "kind": "down", "seed": []}, "'seed'"),
        ({"provider": "stripe", "kind": "down", "nth": 1, "probability": 0.5}, "not both"),
        ({"provider": "stripe", "kind": "down", "route": ""}, "payment_intents.create"),
        ({"provider": "stripe", "kind": "down", "route": "payment_intents.explode"}, "payment_intents.capture"),
    ],
)
def test_a_fault_that_cannot_be_understood_says_what_is_allowed(sandbox, body, words):
    answer = sandbox.http.post("/_sandbox/faults", json=body)
    assert answer.status_code == 400
    assert words in answer.text
    assert sandbox.faults() == []


def test_a_fault_is_listed_as_it_was_given(sandbox):
    given = {"provider": "stripe", "kind": "latency", "route": "mail", "probability": 0.5, "seed": "x", "times": 3}
    given["route"] = "payment_intents.capture"
    added = sandbox.post("faults", {**given, "seconds": 0.5})
    assert sandbox.faults() == [added]
    assert added == {**given, "seconds": 0.5, "nth": None, "id": added["id"], "calls": 0, "fired": 0}


def test_by_default_a_timeout_outlasts_a_client_that_waits_ten_seconds(sandbox):
    assert sandbox.fault("stripe", "timeout_after")["seconds"] > 10
    assert sandbox.fault("stripe", "timeout_before")["seconds"] > 10
