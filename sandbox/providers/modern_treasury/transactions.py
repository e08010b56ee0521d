"""Ledger transactions: pending ones may change; posted and archived ones are final."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

from sandbox.clock import rfc3339
from sandbox.provider import Answer, Call, Json, Refused, compact
from sandbox.providers.modern_treasury import entries, lists, objects, params
from sandbox.providers.modern_treasury.entries import Entry, LockFailed
from sandbox.providers.modern_treasury.errors import error_answer, invalid

if TYPE_CHECKING:
    from sandbox.world import World

STATUSES = ("pending", "posted", "archived")
CHANGEABLE = ("description", "effective_at", "external_id", "ledger_entries", "metadata", "status")
ARCHIVE_INSTEAD = "archive_on_balance_lock_failure"
FILTERS = {
    "id": "id = ?",
    "external_id": "external_id = ?",
    "ledger_id": "ledger_id = ?",
    "status": "status = ?",
    "ledger_account_id": "id IN (SELECT transaction_id FROM modern_treasury_entries WHERE account_id = ?)",
    "reverses_ledger_transaction_id": "body ->> '$.reverses_ledger_transaction_id' = ?",
}
VERSION_FILTERS = {"ledger_transaction_id": "transaction_id = ?"}
LINKS = {
    "archived_reason": None,
    "ledgerable_id": None,
    "ledgerable_type": None,
    "partially_posts_ledger_transaction_id": None,
    "posted_at": None,
    "reversed_by_ledger_transaction_id": None,
    "reverses_ledger_transaction_id": None,
}


def create(world: World, call: Call) -> Answer:
    """201; 422 when a balance lock fails, unless the request wants it archived instead."""
    given = params.fields(call, [*CHANGEABLE, "effective_date", ARCHIVE_INSTEAD], ["ledger_entries"])
    read = entries.read(world, given["ledger_entries"])
    transaction = _new(world, given, read)
    return _write_new(world, call, transaction, read, archive_instead=given.get(ARCHIVE_INSTEAD) is True)


def _new(world: World, given: Json, read: list[Entry]) -> Json:
    moment = params.moment(given, "effective_at") or params.moment(given, "effective_date")
    transaction = {
        **objects.fresh(world, "ledger_transaction"),
        **LINKS,
        "status": params.one_of(given, "status", STATUSES) or "pending",
        "description": params.text(given, "description", params.LONGEST_DESCRIPTION),
        "external_id": params.text(given, "external_id", params.LONGEST_EXTERNAL_ID),
        "ledger_id": read[0].account["ledger_id"],
        "effective_at": moment or rfc3339(world.clock.now()),
        "metadata": params.metadata(given),
    }
    transaction["effective_date"] = transaction["effective_at"][:10]
    _refuse_taken(world, transaction)
    return transaction


def _write_new(
    world: World, call: Call, transaction: Json, read: list[Entry], *, archive_instead: bool = False
) -> Answer:
    try:
        sums = entries.sums_after(world, transaction["status"], read, None)
    except LockFailed as failed:
        if not archive_instead:
            raise _lock_failure(failed) from failed
        transaction |= {"status": "archived", "archived_reason": "balance_lock_failure"}
        sums = {}
    if transaction["status"] == "posted":
        transaction["posted_at"] = transaction["created_at"]
    transaction["ledger_entries"] = entries.bodies(world, transaction, read, sums)
    for account_id, each in sums.items():
        each.write(world, account_id)
    objects.insert(world, transaction)
    _index_entries(world, transaction)
    _keep_version(world, transaction)
    record(world, call, transaction)
    return objects.answer(transaction, 201)


def retrieve(world: World, call: Call) -> Answer:
    return objects.answer(objects.load(world, "ledger_transaction", call.params["id"]))


def update(world: World, call: Call) -> Answer:
    """200; 422 for a transaction that is final, or when a balance lock fails (then nothing has changed)."""
    transaction = objects.load(world, "ledger_transaction", call.params["id"])
    given = params.fields(call, CHANGEABLE)
    if transaction["status"] != "pending":
        message = f"A ledger transaction that is {transaction['status']} cannot be changed."
        raise invalid(message, "status")
    before = json.loads(compact(transaction))
    transaction["status"] = params.one_of(given, "status", STATUSES) or "pending"
    _change(world, transaction, given)
    read = entries.read(world, given.get("ledger_entries") or _as_given(before))
    try:
        sums = entries.sums_after(world, transaction["status"], read, before)
    except LockFailed as failed:
        raise _lock_failure(failed) from failed
    if transaction["status"] == "posted":
        transaction["posted_at"] = rfc3339(world.clock.now())
    if given.get("ledger_entries"):
        transaction["ledger_entries"] = entries.bodies(world, transaction, read, sums)
        _index_entries(world, transaction)
    for entry in transaction["ledger_entries"]:
        entry["status"] = transaction["status"]
    for account_id, each in sums.items():
        each.write(world, account_id)
    objects.update(world, transaction)
    _keep_version(world, transaction)
    if transaction["status"] != "pending":
        record(world, call, transaction)
    return objects.answer(transaction)


def reverse(world: World, call: Call) -> Answer:
    """201 with a transaction of the opposite entries, posted unless asked otherwise; 422 unless it was posted."""
    original = objects.load(world, "ledger_transaction", call.params["id"])
    given = params.fields(call, ["description", "effective_at", "external_id", "metadata", "status"])
    if original["status"] != "posted" or original["reversed_by_ledger_transaction_id"]:
        message = "Only a posted ledger transaction that has not been reversed can be reversed."
        raise invalid(message, "id")
    opposite = [{**each, "direction": _opposite(each["direction"])} for each in _as_given(original)]
    read = entries.read(world, opposite)
    reversal = _new(world, {"status": "posted", "effective_at": original["effective_at"], **given}, read)
    reversal["metadata"] = params.metadata(given, original["metadata"])
    reversal["reverses_ledger_transaction_id"] = original["id"]
    answer = _write_new(world, call, reversal, read)
    if reversal["status"] != "archived":
        original["reversed_by_ledger_transaction_id"] = reversal["id"]
        objects.update(world, original)
    return answer


def versions(world: World, call: Call) -> Answer:
    """Every state that a transaction has been in, the latest first."""
    always = [("transaction_id = ?", [call.params["id"]])] if "id" in call.params else [("1", [])]
    return lists.page(world, call, "modern_treasury_versions", always, VERSION_FILTERS)


list_transactions = lists.lister("ledger_transaction", FILTERS)


def record(world: World, call: Call, transaction: Json) -> None:
    """The ledger's entry: `amount` is what the debits of the first entry's currency come to."""
    currency = transaction["ledger_entries"][0]["ledger_account_currency"]
    world.ledger.record(
        call.origin,
        f"ledger_{transaction['status']}",
        transaction["id"],
        reference=transaction["metadata"].get(objects.REFERENCE),
        amount=amount_of(transaction),
        currency=currency.lower(),
    )


def amount_of(transaction: Json) -> int:
    first = transaction["ledger_entries"][0]["ledger_account_currency"]
    debits = [each for each in transaction["ledger_entries"] if each["direction"] == "debit"]
    return sum(each["amount"] for each in debits if each["ledger_account_currency"] == first)


def _change(world: World, transaction: Json, given: Json) -> None:
    if "description" in given:
        transaction["description"] = params.text(given, "description", params.LONGEST_DESCRIPTION)
    if given.get("effective_at") is not None:
        transaction["effective_at"] = params.moment(given, "effective_at")
        transaction["effective_date"] = transaction["effective_at"][:10]
    if "external_id" in given:
        transaction["external_id"] = params.text(given, "external_id", params.LONGEST_EXTERNAL_ID)
        _refuse_taken(world, transaction)
    transaction["metadata"] = params.metadata(given, transaction["metadata"])


def _refuse_taken(world: World, transaction: Json) -> None:
    if transaction["status"] == "archived" or transaction["external_id"] is None:
        return
    if objects.external_id_taken(world, transaction):
        message = "external_id has already been taken by a pending or posted ledger transaction of this ledger."
        raise invalid(message, "external_id")


def _lock_failure(failed: LockFailed) -> Refused:
    return Refused(error_answer(422, "parameter_invalid", str(failed), failed.parameter))


def _as_given(transaction: Json) -> list[Json]:
    """The entries in the form in which a request would give them, without locks."""
    names = ("amount", "direction", "ledger_account_id", "metadata")
    return [{name: each[name] for name in names} for each in transaction["ledger_entries"]]


def _opposite(direction: str) -> str:
    return "credit" if direction == "debit" else "debit"


def _index_entries(world: World, transaction: Json) -> None:
    world.store.execute("DELETE FROM modern_treasury_entries WHERE transaction_id = ?", (transaction["id"],))
    for account_id in {each["ledger_account_id"] for each in transaction["ledger_entries"]}:
        world.store.execute("INSERT INTO modern_treasury_entries VALUES (?, ?)", (transaction["id"], account_id))


def _keep_version(world: World, transaction: Json) -> None:
    row = world.store.one(
        "SELECT coalesce(max(version), 0) + 1 AS next FROM modern_treasury_versions WHERE transaction_id = ?",
        (transaction["id"],),
    )
    number = row["next"] if row is not None else 1
    version = {
        **transaction,
        "id": str(uuid.uuid4()),
        "object": "ledger_transaction_version",
        "ledger_transaction_id": transaction["id"],
        "version": number,
        "created_at": rfc3339(world.clock.now()),
    }
    world.store.execute(
        "INSERT INTO modern_treasury_versions (id, transaction_id, version, body) VALUES (?, ?, ?, ?)",
        (version["id"], transaction["id"], number, compact(version)),
    )
