"""Stripe's idempotency layer: what it stores, replays, refuses and forgets."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import stripe


def test_the_same_key_and_parameters_give_the_first_answer_again(sandbox, create):
    client = sandbox.stripe()
    first = create(client, key="key-1", confirm=True)
    again = create(client, key="key-1", confirm=True)
    assert again.id == first.id
    assert again.last_response.headers["idempotent-replayed"] == "true"
    assert again.last_response.headers["original-request"] == first.last_response.headers["request-id"]
    assert "idempotent-replayed" not in first.last_response.headers
    original, replay = sandbox.ledger()
    assert {**replay, "seq": original["seq"], "at": original["at"], "replayed": False} == original
    assert replay["replayed"] is True
    assert len(sandbox.get("state")["holds"]) == 1


def test_a_replay_of_a_request_without_effect_is_an_entry_without_effect(sandbox, create):
    client = sandbox.stripe()
    create(client, key="key-1")
    create(client, key="key-1")
    (entry,) = sandbox.ledger()
    assert (entry["effect"], entry["replayed"], entry["idempotency_key"]) == (None, True, "key-1")


def test_the_order_of_parameters_does_not_matter(sandbox):
    body = ("amount=9900&currency=eur&metadata[a]=1", "metadata[a]=1&currency=eur&amount=9900")
    headers = {
        "authorization": "Bearer sk_test_x",
        "idempotency-key": "key-1",
        "content-type": "application/x-www-form-urlencoded",
    }
    answers = [sandbox.http.post("/stripe/v1/payment_intents", content=each, headers=headers) for each in body]
    assert answers[0].content == answers[1].content


def test_other_parameters_under_the_same_key_are_an_idempotency_error(sandbox, create):
    client = sandbox.stripe()
    create(client, key="key-1")
    with pytest.raises(stripe.IdempotencyError, match="same parameters they were first used with") as refused:
        create(client, key="key-1", amount=9901)
    assert (refused.value.http_status, refused.value.error.type) == (400, "idempotency_error")


def test_the_same_key_on_another_endpoint_is_an_idempotency_error(sandbox, create):
    client = sandbox.stripe()
    intent = create(client, key="key-1")
    with pytest.raises(stripe.IdempotencyError, match="same endpoint"):
        client.v1.payment_intents.confirm(intent.id, options={"idempotency_key": "key-1"})


def test_a_decline_is_replayed_for_ever_under_its_key(sandbox, create):
    client = sandbox.stripe()
    intents = []
    for _ in range(2):
        with pytest.raises(stripe.CardError) as declined:
            create(client, "pm_card_chargeDeclined", key="key-1", confirm=True)
        intents.append(declined.value.error.payment_intent.id)
    assert intents[0] == intents[1]
    assert [entry["replayed"] for entry in sandbox.ledger()] == [False, True]


def test_refused_parameters_leave_the_key_free(sandbox, create):
    client = sandbox.stripe()
    with pytest.raises(stripe.InvalidRequestError):
        create(client, key="key-1", amount=1)
    assert create(client, key="key-1").amount == 9900


def test_a_wrong_state_is_stored_as_the_request_was_executed(sandbox, create):
    client = sandbox.stripe()
    intent = create(client)
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payment_intents.capture(intent.id, options={"idempotency_key": "key-1"})
    client.v1.payment_intents.confirm(intent.id)
    with pytest.raises(stripe.InvalidRequestError, match="requires_confirmation"):
        client.v1.payment_intents.capture(intent.id, options={"idempotency_key": "key-1"})
    assert client.v1.payment_intents.retrieve(intent.id).status == "requires_capture"


@pytest.mark.parametrize("kind", ["rate_limit", "lock_timeout", "conflict", "drop_before", "timeout_before"])
def test_what_never_reached_the_endpoint_leaves_the_key_free(sandbox, create, kind):
    client = sandbox.stripe()
    sandbox.fault("stripe", kind, times=1)
    with pytest.raises((stripe.APIError, stripe.RateLimitError, stripe.APIConnectionError)):
        create(client, key="key-1")
    assert create(client, key="key-1").status == "requires_confirmation"


def test_a_wrong_api_key_leaves_the_key_free(sandbox, create):
    with pytest.raises(stripe.AuthenticationError):
        create(sandbox.stripe(key="nonsense"), key="key-1")
    assert create(sandbox.stripe(), key="key-1").status == "requires_confirmation"


@pytest.mark.parametrize(("kind", "happened"), [("error_before", False), ("error_after", True)])
def test_a_500_is_stored_and_replayed_whether_or_not_it_happened(sandbox, create, kind, happened):
    client = sandbox.stripe()
    sandbox.fault("stripe", kind, times=1)
    replays = []
    for _ in range(2):
        with pytest.raises(stripe.APIError) as failed:
            create(client, key="key-1", confirm=True)
        replays.append(failed.value.headers.get("idempotent-replayed"))
    assert replays == [None, "true"]
    assert len(sandbox.get("state")["holds"]) == int(happened)
    assert sandbox.effects() == ["authorised"] * happened
    if happened:
        assert [entry["client_saw_answer"] for entry in sandbox.ledger()] == [False, True]


def test_a_key_is_forgotten_after_24_hours_and_executes_again(sandbox, create):
    client = sandbox.stripe()
    first = create(client, key="key-1")
    sandbox.post("clock", {"hours": 23})
    assert create(client, key="key-1").id == first.id
    sandbox.post("clock", {"hours": 1})
    assert create(client, key="key-1").id != first.id


def test_a_key_whose_first_request_is_still_being_answered_is_in_use(sandbox, create):
    sandbox.fault("stripe", "latency", seconds=0.5, times=1)
    started = threading.Event()

    def first() -> str:
        started.set()
        return create(sandbox.stripe(timeout=5), key="key-1", confirm=True).id

    with ThreadPoolExecutor() as pool:
        slow = pool.submit(first)
        started.wait()
        while not sandbox.ledger():
            pass
        with pytest.raises(stripe.APIError) as in_use:
            create(sandbox.stripe(), key="key-1", confirm=True)
        assert (in_use.value.http_status, in_use.value.error.code) == (409, "idempotency_key_in_use")
        assert slow.result() == create(sandbox.stripe(), key="key-1", confirm=True).id
    assert sandbox.effects() == ["authorised"]


def test_the_same_key_from_many_at_once_has_one_effect(sandbox, create):
    barrier = threading.Barrier(10)

    def one(_: int) -> str:
        client = sandbox.stripe(timeout=5)
        barrier.wait()
        return create(client, key="key-1", confirm=True).id

    with ThreadPoolExecutor(10) as pool:
        assert len(set(pool.map(one, range(10)))) == 1
    assert sandbox.effects() == ["authorised"]
    assert len(sandbox.ledger()) == 10


def test_reads_ignore_the_key(sandbox, create):
    client = sandbox.stripe()
    intent = create(client)
    headers = {"authorization": "Bearer sk_test_x", "idempotency-key": "key-1"}
    path = f"/stripe/v1/payment_intents/{intent.id}"
    before = sandbox.http.get(path, headers=headers).json()["status"]
    client.v1.payment_intents.cancel(intent.id)
    assert (before, sandbox.http.get(path, headers=headers).json()["status"]) == ("requires_confirmation", "canceled")


def test_a_key_longer_than_255_characters_is_refused(sandbox, create):
    with pytest.raises(stripe.InvalidRequestError, match="255"):
        create(sandbox.stripe(), key="k" * 256)
