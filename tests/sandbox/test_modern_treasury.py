"""Modern Treasury's ledgers: balances, locks, final states, external ids, lists."""

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import modern_treasury
import pytest

REFUSED = modern_treasury.UnprocessableEntityError


def amounts(account):
    balances = account.balances
    return (balances.posted_balance.amount, balances.pending_balance.amount, balances.available_balance.amount)


def test_a_pending_transaction_takes_from_what_is_available_and_posting_moves_it(bank):
    client = bank.client
    staged = client.ledger_transactions.create(**bank.transfer(300))
    assert (staged.status, staged.posted_at, staged.ledger_id) == ("pending", None, bank.ledger.id)
    assert amounts(client.ledger_accounts.retrieve(bank.buyer.id)) == (700, 400, 400)
    assert amounts(client.ledger_accounts.retrieve(bank.vendor.id)) == (0, 300, 0)
    posted = client.ledger_transactions.update(staged.id, status="posted")
    assert (posted.status, posted.posted_at is not None) == ("posted", True)
    assert {entry.status for entry in posted.ledger_entries} == {"posted"}
    assert amounts(client.ledger_accounts.retrieve(bank.buyer.id)) == (400, 400, 400)
    assert amounts(client.ledger_accounts.retrieve(bank.vendor.id)) == (300, 300, 300)


def test_archiving_gives_the_funds_back(bank):
    staged = bank.client.ledger_transactions.create(**bank.transfer(300))
    assert bank.client.ledger_transactions.update(staged.id, status="archived").status == "archived"
    assert amounts(bank.client.ledger_accounts.retrieve(bank.buyer.id)) == (700, 700, 700)


def test_every_change_is_an_entry_in_the_sandboxs_ledger(sandbox, bank):
    transactions = bank.client.ledger_transactions
    for status in ("posted", "archived"):
        transactions.update(transactions.create(**bank.transfer(100)).id, status=status)
    entries = [entry for entry in sandbox.ledger("?provider=modern_treasury") if entry["reference"]]
    assert [entry["effect"] for entry in entries] == [
        "ledger_pending",
        "ledger_posted",
        "ledger_pending",
        "ledger_archived",
    ]
    assert {(entry["reference"], entry["amount"], entry["currency"]) for entry in entries} == {
        ("pipeline-1", 100, "eur")
    }
    assert entries[0]["object_id"] == entries[1]["object_id"] != entries[2]["object_id"]


def test_a_balance_lock_refuses_what_the_account_has_not_got(sandbox, bank):
    with pytest.raises(REFUSED) as refused:
        bank.client.ledger_transactions.create(**bank.transfer(701))
    error = refused.value.body["errors"]
    assert (error["code"], error["parameter"]) == ("parameter_invalid", "ledger_entries[0].available_balance_amount")
    assert bank.available() == 700
    assert sandbox.effects() == ["ledger_posted"]


@pytest.mark.parametrize(
    ("lock", "holds"),
    [
        ({"posted_balance_amount": {"eq": 700}}, True),
        ({"pending_balance_amount": {"eq": 700}}, False),
        ({"pending_balance_amount": {"gt": 599, "lt": 601}}, True),
        ({"available_balance_amount": {"lte": 599}}, False),
        ({"available_balance_amount": {"gt": 600}}, False),
        ({"lock_version": 1}, True),
        ({"lock_version": 0}, False),
    ],
)
def test_locks_are_held_against_the_balances_as_they_would_become(bank, lock, holds):
    given = bank.transfer(100)
    del given["ledger_entries"][0]["available_balance_amount"]
    given["ledger_entries"][0] |= lock
    if holds:
        assert bank.client.ledger_transactions.create(**given).status == "pending"
    else:
        with pytest.raises(REFUSED):
            bank.client.ledger_transactions.create(**given)


def test_a_failed_lock_can_be_kept_as_an_archived_transaction(sandbox, bank):
    kept = bank.client.ledger_transactions.create(
        **bank.transfer(701), extra_body={"archive_on_balance_lock_failure": True}
    )
    assert (kept.status, kept.archived_reason) == ("archived", "balance_lock_failure")
    assert bank.available() == 700
    assert sandbox.effects()[-1] == "ledger_archived"


def test_twenty_orders_racing_for_the_funds_of_seven_leave_no_balance_below_zero(sandbox, bank):
    start = Barrier(20)

    def order(number: int) -> bool:
        client = sandbox.modern_treasury(timeout=10)
        start.wait()
        try:
            staged = client.ledger_transactions.create(**bank.transfer(100, external_id=f"order-{number}"))
        except REFUSED:
            return False
        return client.ledger_transactions.update(staged.id, status="posted").status == "posted"

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(order, range(20))).count(True) == 7
    accounts = {account["name"]: account for account in sandbox.get("state")["ledger_accounts"]}
    assert (accounts["buyer"]["available_balance"], accounts["vendor"]["posted_balance"]) == (0, 700)


@pytest.mark.parametrize("final", ["posted", "archived"])
def test_what_is_posted_or_archived_is_final(sandbox, bank, final):
    transactions = bank.client.ledger_transactions
    staged = transactions.create(**bank.transfer(100))
    transactions.update(staged.id, status=final)
    before = sandbox.effects()
    for change in ({"status": "posted"}, {"status": "archived"}, {"description": "x"}):
        with pytest.raises(REFUSED, match=f"is {final} cannot be changed"):
            transactions.update(staged.id, **change)
    assert transactions.retrieve(staged.id).status == final
    assert sandbox.effects() == before


def test_entries_may_be_changed_while_pending_within_the_locks(bank):
    transactions = bank.client.ledger_transactions
    staged = transactions.create(**bank.transfer(100))
    with pytest.raises(REFUSED):
        transactions.update(staged.id, ledger_entries=bank.transfer(701)["ledger_entries"])
    assert bank.available() == 600
    transactions.update(staged.id, ledger_entries=bank.transfer(700)["ledger_entries"], status="posted")
    assert bank.available() == 0


def test_an_external_id_is_held_by_one_pending_or_posted_transaction_until_it_is_archived(bank):
    transactions = bank.client.ledger_transactions
    first = transactions.create(**bank.transfer(100, external_id="order-1"))
    with pytest.raises(REFUSED) as refused:
        transactions.create(**bank.transfer(100, external_id="order-1"))
    assert refused.value.body["errors"]["parameter"] == "external_id"
    transactions.update(first.id, status="archived")
    second = transactions.create(**bank.transfer(100, external_id="order-1"))
    found = transactions.list(external_id="order-1").items
    assert [(each.id, each.status) for each in found] == [(second.id, "pending"), (first.id, "archived")]
    other = bank.client.ledger_accounts
    other.update(bank.buyer.id, external_id="buyer-1")
    with pytest.raises(REFUSED):
        other.update(bank.vendor.id, external_id="buyer-1")


def test_lists_are_filtered_and_paged(bank):
    transactions = bank.client.ledger_transactions
    for number in range(5):
        transactions.create(**bank.transfer(10, external_id=f"order-{number}", metadata={"parity": str(number % 2)}))
    transactions.update(transactions.list(external_id="order-4").items[0].id, status="posted")
    pages = transactions.list(metadata={"parity": "0"}, per_page=2)
    assert (len(pages.items), [each.external_id for each in pages]) == (2, ["order-4", "order-2", "order-0"])
    assert len(transactions.list(status=["pending"]).items) == 4
    assert len(transactions.list(status=["pending", "posted"], ledger_account_id=bank.vendor.id).items) == 5
    assert len(transactions.list(ledger_account_id=bank.source.id).items) == 1
    assert [each.name for each in bank.client.ledger_accounts.list(metadata={"role": "buyer"})] == ["buyer"]
    with pytest.raises(REFUSED, match="no filter"):
        transactions.list(extra_query={"colour": "red"})


def test_metadata_pipeline_id_finds_its_transactions(bank):
    staged = bank.client.ledger_transactions.create(**bank.transfer(10, metadata={"pipeline_id": "a b&c"}))
    found = bank.client.ledger_transactions.list(metadata={"pipeline_id": "a b&c"}).items
    assert [each.id for each in found] == [staged.id]


def test_versions_tell_every_state_it_was_in(sandbox, bank):
    staged = bank.client.ledger_transactions.create(**bank.transfer(10))
    bank.client.ledger_transactions.update(staged.id, description="ten", metadata={"pipeline_id": "", "other": "x"})
    bank.client.ledger_transactions.update(staged.id, status="posted")
    versions = bank.client.ledger_transactions.versions.list(ledger_transaction_id=staged.id).items
    assert [(each.version, each.status) for each in versions] == [(3, "posted"), (2, "pending"), (1, "pending")]
    assert [each.metadata for each in versions] == [{"other": "x"}, {"other": "x"}, {"pipeline_id": "pipeline-1"}]
    path = f"/modern_treasury/api/ledger_transactions/{staged.id}/versions"
    assert len(sandbox.http.get(path, auth=("org", "key")).json()) == 3


def test_what_was_posted_is_undone_by_one_reversal(sandbox, bank):
    transactions = bank.client.ledger_transactions
    posted = transactions.create(**bank.transfer(300, status="posted"))
    reversal = transactions.create_reversal(posted.id)
    assert (reversal.status, reversal.reverses_ledger_transaction_id) == ("posted", posted.id)
    assert transactions.retrieve(posted.id).reversed_by_ledger_transaction_id == reversal.id
    assert bank.available() == 700
    assert sandbox.ledger()[-1]["reference"] == "pipeline-1"
    with pytest.raises(REFUSED):
        transactions.create_reversal(posted.id)


def test_resulting_balances_are_shown_when_asked_for(bank):
    given = bank.transfer(300)
    given["ledger_entries"][0]["show_resulting_ledger_account_balances"] = True
    debit, credit = bank.client.ledger_transactions.create(**given).ledger_entries
    assert debit.resulting_ledger_account_balances.available_balance.amount == 400
    assert credit.resulting_ledger_account_balances is None


@pytest.mark.parametrize(
    ("change", "parameter"),
    [
        ({"ledger_entries": []}, "ledger_entries"),
        ({"ledger_entries": "none"}, "ledger_entries"),
        ({"status": "done"}, "status"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"effective_at": "soon"}, "effective_at"),
        ({"external_id": "x" * 181}, "external_id"),
        ({"extra_body": {"colour": "red"}}, "colour"),
    ],
)
def test_parameters_that_make_no_sense_are_named(bank, change, parameter):
    with pytest.raises(REFUSED) as refused:
        bank.client.ledger_transactions.create(**{**bank.transfer(1), **change})
    assert refused.value.body["errors"]["parameter"] == parameter


@pytest.mark.parametrize(
    "change",
    [
        {"amount": 2},
        {"amount": -1},
        {"amount": True},
        {"amount": 10**16},
        {"direction": "sideways"},
        {"ledger_account_id": "nobody"},
        {"available_balance_amount": {"above": 1}},
    ],
)
def test_entries_that_make_no_sense_are_refused(sandbox, bank, change):
    given = bank.transfer(1)
    given["ledger_entries"][0] |= change
    with pytest.raises(REFUSED):
        bank.client.ledger_transactions.create(**given)
    assert sandbox.effects() == ["ledger_posted"]


def test_amounts_may_be_given_as_strings(bank):
    given = bank.transfer(1)
    for entry in given["ledger_entries"]:
        del entry["amount"]
        entry["amount_string"] = "250"
    assert bank.client.ledger_transactions.create(**given).ledger_entries[0].amount == 250


def test_what_is_not_there_is_a_404(bank):
    with pytest.raises(modern_treasury.NotFoundError) as missing:
        bank.client.ledger_transactions.retrieve("00000000-0000-0000-0000-000000000000")
    assert missing.value.body["errors"]["code"] == "resource_not_found"
    with pytest.raises(modern_treasury.NotFoundError):
        bank.client.payment_orders.list()


def test_without_credentials_it_is_a_401(sandbox):
    answer = sandbox.http.get("/modern_treasury/api/ledgers")
    assert (answer.status_code, "errors" in answer.json()) == (401, True)


def test_ledgers_and_accounts_can_be_changed(bank):
    ledger = bank.client.ledgers.update(bank.ledger.id, name="Market", metadata={"a": "b"})
    assert (ledger.name, ledger.metadata) == ("Market", {"a": "b"})
    assert [each.id for each in bank.client.ledgers.list()] == [ledger.id]
    account = bank.client.ledger_accounts.update(bank.buyer.id, description="d", metadata={"role": ""})
    assert (account.description, account.metadata, account.lock_version) == ("d", {}, 1)


def test_the_state_shows_accounts_and_transactions(sandbox, bank):
    staged = bank.client.ledger_transactions.create(**bank.transfer(300, external_id="order-1"))
    state = json.loads(json.dumps(sandbox.get("state")))
    assert [each["available_balance"] for each in state["ledger_accounts"]] == [400, 0, 700]
    last = state["ledger_transactions"][-1]
    assert (last["id"], last["status"], last["reference"], last["amount"]) == (staged.id, "pending", "pipeline-1", 300)
