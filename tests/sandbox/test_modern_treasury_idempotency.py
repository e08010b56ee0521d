"""Modern Treasury's idempotency layer, which is not Stripe's: only success is kept, whatever the route."""

import httpx
import modern_treasury
import pytest


def test_the_same_key_gives_the_first_success_again(sandbox, bank):
    create = bank.client.ledger_transactions.create
    first = create(**bank.transfer(100), idempotency_key="key-1")
    assert create(**bank.transfer(100), idempotency_key="key-1") == first
    assert bank.available() == 600
    original, replay = sandbox.ledger()[-2:]
    assert {**replay, "seq": original["seq"], "at": original["at"], "replayed": False} == original
    assert replay["replayed"] is True


def test_a_key_answers_as_at_first_whatever_parameters_or_route_it_comes_with(bank):
    first = bank.client.ledger_transactions.create(**bank.transfer(100), idempotency_key="key-1")
    again = bank.client.ledger_transactions.create(**bank.transfer(200), idempotency_key="key-1")
    assert (again.id, again.ledger_entries[0].amount) == (first.id, 100)
    assert bank.client.ledgers.create(name="Other", idempotency_key="key-1").id == first.id
    assert len(bank.client.ledgers.list().items) == 1


def test_another_api_key_has_keys_of_its_own(sandbox, bank):
    first = bank.client.ledger_transactions.create(**bank.transfer(100), idempotency_key="key-1")
    other = sandbox.modern_treasury(api_key="other").ledger_transactions
    assert other.create(**bank.transfer(100), idempotency_key="key-1").id != first.id


def test_a_refusal_is_not_kept(bank):
    with pytest.raises(modern_treasury.UnprocessableEntityError):
        bank.client.ledger_transactions.create(**bank.transfer(701), idempotency_key="key-1")
    assert bank.client.ledger_transactions.create(**bank.transfer(100), idempotency_key="key-1").status == "pending"


def test_a_500_is_not_kept_so_that_the_request_is_executed_again(sandbox, bank):
    create = bank.client.ledger_transactions.create
    for kind in ("error_before", "error_after"):
        sandbox.fault("modern_treasury", kind, times=1)
        with pytest.raises(modern_treasury.InternalServerError):
            create(**bank.transfer(100, external_id="order-1"), idempotency_key="key-1")
    with pytest.raises(modern_treasury.UnprocessableEntityError) as refused:
        create(**bank.transfer(100, external_id="order-1"), idempotency_key="key-1")
    assert refused.value.body["errors"]["parameter"] == "external_id"
    assert bank.available() == 600


@pytest.mark.parametrize("kind", ["drop_after", "timeout_after", "truncate"])
def test_a_success_whose_answer_was_lost_is_given_again(sandbox, bank, kind):
    sandbox.fault("modern_treasury", kind, times=1)
    with pytest.raises((modern_treasury.APIConnectionError, httpx.TransportError)):
        bank.client.ledger_transactions.create(**bank.transfer(100), idempotency_key="key-1")
    bank.client.ledger_transactions.create(**bank.transfer(100), idempotency_key="key-1")
    assert bank.available() == 600
    assert [(entry["replayed"], entry["client_saw_answer"]) for entry in sandbox.ledger()[-2:]] == [
        (False, False),
        (True, True),
    ]


def test_a_key_in_use_is_a_409(sandbox, bank):
    sandbox.fault("modern_treasury", "latency", seconds=30, times=1)
    with pytest.raises(modern_treasury.APITimeoutError):
        bank.client.ledger_transactions.create(**bank.transfer(100), idempotency_key="key-1")
    for attempt in (bank.client.ledger_transactions.create, sandbox.modern_treasury().ledger_transactions.create):
        with pytest.raises(modern_treasury.ConflictError, match="in progress"):
            attempt(**bank.transfer(100), idempotency_key="key-1")
    other = sandbox.modern_treasury(api_key="other").ledger_transactions
    assert other.create(**bank.transfer(100), idempotency_key="key-1").status == "pending"


def test_after_24_hours_a_key_is_forgotten(sandbox, bank):
    create = bank.client.ledger_transactions.create
    first = create(**bank.transfer(100), idempotency_key="key-1")
    sandbox.post("clock", {"hours": 23.9})
    assert create(**bank.transfer(100), idempotency_key="key-1").id == first.id
    sandbox.post("clock", {"hours": 0.2})
    assert create(**bank.transfer(100), idempotency_key="key-1").id != first.id


def test_on_a_patch_the_key_is_ignored(sandbox, bank):
    staged = bank.client.ledger_transactions.create(**bank.transfer(100), idempotency_key="key-1")
    answers = [
        sandbox.http.patch(
            f"/modern_treasury/api/ledger_transactions/{staged.id}",
            json={"status": "posted"},
            auth=("org", "key"),
            headers={"Idempotency-Key": "key-1"},
        )
        for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [200, 422]
    assert answers[0].json()["status"] == "posted"
    assert sandbox.ledger()[-1]["idempotency_key"] is None
