"""Ledgers, ledger accounts and what an account's entries amount to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.provider import Answer, Call, Json
from sandbox.providers.modern_treasury import lists, objects, params
from sandbox.providers.modern_treasury.errors import invalid, not_found

if TYPE_CHECKING:
    import sqlite3

    from sandbox.world import World

DIRECTIONS = ("credit", "debit")
WITHOUT_MINOR_UNIT = frozenset("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF UGX VND VUV XAF XOF XPF".split())
CHANGEABLE = ("name", "description", "metadata")
LEDGER_FILTERS = {"id": "id = ?"}
ACCOUNT_FILTERS = {
    "id": "id = ?",
    "name": "body ->> '$.name' = ?",
    "ledger_id": "ledger_id = ?",
    "external_id": "external_id = ?",
    "currency": "body ->> '$.currency' = ?",
    "normal_balance": "body ->> '$.normal_balance' = ?",
}


@dataclass(slots=True)
class Sums:
    """What an account's entries add up to, in minor units: posted ones, and those that are pending alone."""

    posted_debits: int
    posted_credits: int
    pending_debits: int
    pending_credits: int
    lock_version: int

    @classmethod
    def of(cls, row: sqlite3.Row) -> Sums:
        return cls(*(row[name] for name in cls.__slots__))

    def add(self, status: str, direction: str, amount: int) -> None:
        """Counts an entry of a pending or posted transaction; one of an archived transaction counts nowhere."""
        if status != "archived":
            name = f"{status}_{direction}s"
            setattr(self, name, getattr(self, name) + amount)

    def balances(self, account: Json) -> Json:
        """Available counts what has arrived (posted) less what has left or is about to (posted and pending)."""
        debits, credits_ = self.posted_debits, self.posted_credits
        all_debits, all_credits = debits + self.pending_debits, credits_ + self.pending_credits
        leaves_by_debit = account["normal_balance"] == "credit"
        available = (all_debits, credits_) if leaves_by_debit else (debits, all_credits)
        return {
            "pending_balance": _balance(account, all_debits, all_credits),
            "posted_balance": _balance(account, debits, credits_),
            "available_balance": _balance(account, *available),
        }

    def write(self, world: World, account_id: str) -> None:
        world.store.execute(
            "UPDATE modern_treasury_objects SET posted_debits = ?, posted_credits = ?, pending_debits = ?, "
            "pending_credits = ?, lock_version = ? WHERE id = ?",
            (*(getattr(self, name) for name in self.__slots__), account_id),
        )


def _balance(account: Json, debits: int, credits_: int) -> Json:
    amount = credits_ - debits if account["normal_balance"] == "credit" else debits - credits_
    return {
        "amount": amount,
        "amount_string": str(amount),
        "credits": credits_,
        "credits_string": str(credits_),
        "debits": debits,
        "debits_string": str(debits),
        "currency": account["currency"],
        "currency_exponent": account["currency_exponent"],
    }


def shown(row: sqlite3.Row) -> Json:
    """An account as the API shows it, with the balances of now."""
    account: Json = json.loads(row["body"])
    sums = Sums.of(row)
    bounds = {"effective_at_lower_bound": None, "effective_at_upper_bound": None}
    return {**account, "lock_version": sums.lock_version, "balances": {**sums.balances(account), **bounds}}


def account_row(world: World, account_id: object) -> sqlite3.Row | None:
    return world.store.one(
        "SELECT * FROM modern_treasury_objects WHERE id = ? AND kind = 'ledger_account'", (str(account_id),)
    )


def create_ledger(world: World, call: Call) -> Answer:
    given = params.fields(call, CHANGEABLE, ["name"])
    ledger = {
        **objects.fresh(world, "ledger"),
        "name": params.text(given, "name"),
        "description": params.text(given, "description", params.LONGEST_DESCRIPTION),
        "metadata": params.metadata(given),
        "discarded_at": None,
    }
    objects.insert(world, ledger)
    return objects.answer(ledger, 201)


def retrieve_ledger(world: World, call: Call) -> Answer:
    return objects.answer(objects.load(world, "ledger", call.params["id"]))


def update_ledger(world: World, call: Call) -> Answer:
    ledger = objects.load(world, "ledger", call.params["id"])
    _change(ledger, params.fields(call, CHANGEABLE))
    objects.update(world, ledger)
    return objects.answer(ledger)


def create(world: World, call: Call) -> Answer:
    """201; 422 for an unknown ledger or an external id that another account of the ledger has."""
    required = ("name", "normal_balance", "ledger_id", "currency")
    given = params.fields(call, [*required, "currency_exponent", "description", "external_id", "metadata"], required)
    if not objects.exists(world, "ledger", given["ledger_id"]):
        raise invalid(f"No ledger exists with the ID {given['ledger_id']}.", "ledger_id")
    currency = str(params.text(given, "currency", 40)).upper()
    exponent = given.get("currency_exponent")
    if exponent is None:
        exponent = 0 if currency in WITHOUT_MINOR_UNIT else 2
    account = {
        **objects.fresh(world, "ledger_account"),
        "name": params.text(given, "name"),
        "description": params.text(given, "description", params.LONGEST_DESCRIPTION),
        "external_id": params.text(given, "external_id", params.LONGEST_EXTERNAL_ID),
        "ledger_id": given["ledger_id"],
        "normal_balance": params.one_of(given, "normal_balance", DIRECTIONS),
        "currency": currency,
        "currency_exponent": params.whole_number(exponent, "currency_exponent", 0, 18),
        "ledgerable_id": None,
        "ledgerable_type": None,
        "metadata": params.metadata(given),
        "discarded_at": None,
    }
    _refuse_taken(world, account)
    objects.insert(world, account)
    return _answer(world, account["id"], 201)


def retrieve(world: World, call: Call) -> Answer:
    return _answer(world, call.params["id"])


def update(world: World, call: Call) -> Answer:
    account = objects.load(world, "ledger_account", call.params["id"])
    given = params.fields(call, [*CHANGEABLE, "external_id"])
    _change(account, given)
    if "external_id" in given:
        account["external_id"] = params.text(given, "external_id", params.LONGEST_EXTERNAL_ID)
        _refuse_taken(world, account)
    objects.update(world, account)
    return _answer(world, account["id"])


def _refuse_taken(world: World, account: Json) -> None:
    if account["external_id"] is not None and objects.external_id_taken(world, account):
        raise invalid("external_id has already been taken by another ledger account of this ledger.", "external_id")


def _change(body: Json, given: Json) -> None:
    if "name" in given:
        body["name"] = params.text(given, "name") or body["name"]
    if "description" in given:
        body["description"] = params.text(given, "description", params.LONGEST_DESCRIPTION)
    body["metadata"] = params.metadata(given, body["metadata"])


def _answer(world: World, account_id: str, status: int = 200) -> Answer:
    row = account_row(world, account_id)
    if row is None:
        raise not_found("ledger account", account_id)
    return objects.answer(shown(row), status)


list_ledgers = lists.lister("ledger", LEDGER_FILTERS)
list_accounts = lists.lister("ledger_account", ACCOUNT_FILTERS, shown)
