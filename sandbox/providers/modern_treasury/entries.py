"""The entries of a transaction: read, balanced, held against the locks that the request puts on its accounts."""

from __future__ import annotations

import operator
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.provider import Json
from sandbox.providers.modern_treasury import objects, params
from sandbox.providers.modern_treasury.accounts import DIRECTIONS, Sums, account_row, shown
from sandbox.providers.modern_treasury.errors import invalid, missing

if TYPE_CHECKING:
    from sandbox.world import World

MOST_ENTRIES = 1_000
LARGEST_AMOUNT = 10**15  # minor units; SQLite's whole numbers end at 2**63 and sums must have room
BALANCES = ("available_balance", "pending_balance", "posted_balance")
COMPARISONS = {"gt": operator.gt, "gte": operator.ge, "eq": operator.eq, "lte": operator.le, "lt": operator.lt}
FIELDS = (
    "amount",
    "amount_string",
    "direction",
    "ledger_account_id",
    "effective_at",
    "lock_version",
    "metadata",
    "show_resulting_ledger_account_balances",
    *(f"{each}_amount" for each in BALANCES),
)


class LockFailed(Exception):
    """A condition on an account would not hold once the transaction is written."""

    def __init__(self, message: str, parameter: str) -> None:
        super().__init__(message)
        self.parameter = parameter


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as asked for, with its account as it stands (`shown`) and its place in the request."""

    account: Json
    direction: str
    amount: int
    given: Json
    place: str


def read(world: World, given: Any) -> list[Entry]:
    """The entries of a request. Raises Refused unless they are sound and debits equal credits in each currency."""
    if not isinstance(given, list) or not 2 <= len(given) <= MOST_ENTRIES:
        message = f"ledger_entries must be an array of 2 to {MOST_ENTRIES} entries: at least a debit and a credit."
        raise invalid(message, "ledger_entries")
    accounts: dict[str, Json] = {}
    entries = [_entry(world, each, f"ledger_entries[{number}]", accounts) for number, each in enumerate(given)]
    if len({entry.account["ledger_id"] for entry in entries}) != 1:
        raise invalid("All ledger entries must be on accounts of the same ledger.", "ledger_entries")
    balance: dict[str, int] = {}
    for entry in entries:
        currency = entry.account["currency"]
        balance[currency] = balance.get(currency, 0) + (1 if entry.direction == "debit" else -1) * entry.amount
    if any(balance.values()):
        raise invalid("The sum of debits must equal the sum of credits in each currency.", "ledger_entries")
    return entries


def _entry(world: World, given: Any, place: str, accounts: dict[str, Json]) -> Entry:
    if not isinstance(given, dict):
        raise invalid(f"{place} must be an object.", place)
    params.known(given, FIELDS, ["direction", "ledger_account_id"], f"{place}.")
    account_id = str(given["ledger_account_id"])
    if account_id not in accounts:
        row = account_row(world, account_id)
        if row is None:
            raise invalid(f"No ledger account exists with the ID {account_id}.", f"{place}.ledger_account_id")
        accounts[account_id] = shown(row)
    params.metadata(given, name=f"{place}.metadata")
    params.moment(given, "effective_at")
    direction = params.one_of(given, "direction", DIRECTIONS)
    return Entry(accounts[account_id], str(direction), _amount(given, place), given, place)


def _amount(given: Json, place: str) -> int:
    if given.get("amount") is None and given.get("amount_string") is None:
        raise missing(f"{place}.amount")
    amount = given.get("amount")
    if amount is None:
        written = str(given["amount_string"])
        amount = int(written) if written.isdecimal() else written
    return params.whole_number(amount, f"{place}.amount", 0, LARGEST_AMOUNT)


def sums_after(world: World, status: str, entries: Sequence[Entry], before: Json | None) -> dict[str, Sums]:
    """Each account's sums once the transaction as it was `before` has become one of `status` with `entries`.

    Raises LockFailed when a `lock_version` is outdated or a balance would leave the range that the request demands.
    """
    sums: dict[str, Sums] = {}
    if before is not None:
        for entry in before["ledger_entries"]:
            account = _sums(world, sums, entry["ledger_account_id"])
            account.add(before["status"], entry["direction"], -entry["amount"])
    for asked in entries:
        account = _sums(world, sums, asked.account["id"])
        account.add(status, asked.direction, asked.amount)
        _check_version(asked)
    for asked in entries:
        _check_balances(asked, sums[asked.account["id"]].balances(asked.account))
    if status == "posted":
        for account in sums.values():
            account.lock_version += 1
    return sums


def _sums(world: World, sums: dict[str, Sums], account_id: str) -> Sums:
    if account_id not in sums:
        row = account_row(world, account_id)
        assert row is not None, "accounts are never deleted"
        sums[account_id] = Sums.of(row)
    return sums[account_id]


def _check_version(entry: Entry) -> None:
    wanted = entry.given.get("lock_version")
    if wanted is not None and wanted != entry.account["lock_version"]:
        message = f"The ledger account is at lock_version {entry.account['lock_version']}, not {wanted}."
        raise LockFailed(message, f"{entry.place}.lock_version")


def _check_balances(entry: Entry, balances: Json) -> None:
    for name in BALANCES:
        conditions = entry.given.get(f"{name}_amount") or {}
        place = f"{entry.place}.{name}_amount"
        if not isinstance(conditions, dict) or not set(conditions) <= set(COMPARISONS):
            raise invalid(f"{place} must be an object with any of: {', '.join(COMPARISONS)}.", place)
        amount = balances[name]["amount"]
        for comparison, bound in conditions.items():
            params.whole_number(bound, f"{place}.{comparison}", -LARGEST_AMOUNT, LARGEST_AMOUNT)
            if not COMPARISONS[comparison](amount, bound):
                words = f"{name.replace('_', ' ')} of {amount}"
                raise LockFailed(f"The ledger account would have a {words}, which is not {comparison} {bound}.", place)


def bodies(world: World, transaction: Json, entries: Sequence[Entry], sums: Mapping[str, Sums]) -> list[Json]:
    """The entries as the API shows them."""
    return [_body(world, transaction, entry, sums.get(entry.account["id"])) for entry in entries]


def _body(world: World, transaction: Json, entry: Entry, sums: Sums | None) -> Json:
    show = entry.given.get("show_resulting_ledger_account_balances") and sums is not None
    return {
        **objects.fresh(world, "ledger_entry"),
        "id": str(uuid.uuid4()),
        "amount": entry.amount,
        "amount_string": str(entry.amount),
        "direction": entry.direction,
        "status": transaction["status"],
        "ledger_account_id": entry.account["id"],
        "ledger_account_currency": entry.account["currency"],
        "ledger_account_currency_exponent": entry.account["currency_exponent"],
        "ledger_account_lock_version": None if sums is None else sums.lock_version,
        "ledger_transaction_id": transaction["id"],
        "effective_at": entry.given.get("effective_at") or transaction["effective_at"],
        "resulting_ledger_account_balances": sums.balances(entry.account) if show and sums else None,
        "metadata": params.metadata(entry.given),
        "discarded_at": None,
    }
