"""Modern Treasury's ledgers: accounts with balances, transactions with balance locks, and its idempotency rules.

Money is had through the API itself: a posted transaction from an account of the shop's to the buyer's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from sandbox.provider import Answer, Call, IdempotencyRules, Json, Operation, Provider, Refused, basic, credentials
from sandbox.providers.modern_treasury import accounts, objects, transactions
from sandbox.providers.modern_treasury.errors import error_answer, words

if TYPE_CHECKING:
    from sandbox.world import World

NAME = "modern_treasury"
LEDGER, ACCOUNT, TRANSACTION = "/api/ledgers", "/api/ledger_accounts", "/api/ledger_transactions"
OPERATIONS = (
    Operation("ledgers.create", "POST", LEDGER, accounts.create_ledger),
    Operation("ledgers.list", "GET", LEDGER, accounts.list_ledgers),
    Operation("ledgers.retrieve", "GET", f"{LEDGER}/{{id}}", accounts.retrieve_ledger),
    Operation("ledgers.update", "PATCH", f"{LEDGER}/{{id}}", accounts.update_ledger),
    Operation("ledger_accounts.create", "POST", ACCOUNT, accounts.create),
    Operation("ledger_accounts.list", "GET", ACCOUNT, accounts.list_accounts),
    Operation("ledger_accounts.retrieve", "GET", f"{ACCOUNT}/{{id}}", accounts.retrieve),
    Operation("ledger_accounts.update", "PATCH", f"{ACCOUNT}/{{id}}", accounts.update),
    Operation("ledger_transactions.create", "POST", TRANSACTION, transactions.create),
    Operation("ledger_transactions.list", "GET", TRANSACTION, transactions.list_transactions),
    Operation("ledger_transactions.retrieve", "GET", f"{TRANSACTION}/{{id}}", transactions.retrieve),
    Operation("ledger_transactions.update", "PATCH", f"{TRANSACTION}/{{id}}", transactions.update),
    Operation("ledger_transactions.reverse", "POST", f"{TRANSACTION}/{{id}}/reversal", transactions.reverse),
    Operation("ledger_transactions.versions", "GET", f"{TRANSACTION}/{{id}}/versions", transactions.versions),
    Operation("ledger_transaction_versions.list", "GET", "/api/ledger_transaction_versions", transactions.versions),
)


def authorise(_: World, call: Call) -> None:
    """Basic authentication by organisation and API key; any of both will do."""
    organisation, key = basic(call)
    if not organisation or not key:
        message = "Authenticate with your organization ID and API key by HTTP Basic authentication."
        raise Refused(error_answer(401, "unauthorized", message))


def unknown_route(method: str, path: str) -> Answer:
    message = f"No such route (as far as the sandbox knows Modern Treasury): {method} {path}"
    return error_answer(404, "resource_not_found", message)


def request_headers(call: Call) -> Mapping[str, str]:
    return {"x-request-id": call.request_id}


def in_use(call: Call) -> Answer:
    message = f"A request with the idempotency key {call.origin.idempotency_key} is in progress. Please try again."
    return error_answer(409, "conflict", message)


def api_key(call: Call) -> str:
    """Idempotency keys are those of one API key."""
    return credentials(call)[1]


def state(world: World) -> Json:
    """`ledger_accounts` with their balances and `ledger_transactions`, archived ones too, oldest first."""
    of_kind = "SELECT * FROM modern_treasury_objects WHERE kind = ? ORDER BY seq"
    return {
        "ledger_accounts": [_account(accounts.shown(row)) for row in world.store.all(of_kind, ("ledger_account",))],
        "ledger_transactions": [
            _transaction(json.loads(row["body"])) for row in world.store.all(of_kind, ("ledger_transaction",))
        ],
    }


def _account(account: Json) -> Json:
    names = ("id", "ledger_id", "name", "external_id", "currency", "normal_balance", "metadata")
    return {name: account[name] for name in names} | {
        name: account["balances"][name]["amount"] for name in ("available_balance", "pending_balance", "posted_balance")
    }


def _transaction(transaction: Json) -> Json:
    names = ("id", "ledger_id", "status", "external_id", "archived_reason", "reverses_ledger_transaction_id")
    entries = ("ledger_account_id", "direction", "amount")
    return {name: transaction[name] for name in names} | {
        "reference": transaction["metadata"].get(objects.REFERENCE),
        "amount": transactions.amount_of(transaction),
        "currency": transaction["ledger_entries"][0]["ledger_account_currency"].lower(),
        "created": transaction["created_at"],
        "entries": [{name: each[name] for name in entries} for each in transaction["ledger_entries"]],
    }


PROVIDER = Provider(
    name=NAME,
    operations=OPERATIONS,
    schema=objects.SCHEMA,
    tables=objects.TABLES,
    authorise=authorise,
    unknown_route=unknown_route,
    words=words,
    state=state,
    request_headers=request_headers,
    # The same key gives the first success again whatever route or parameters it comes with.
    idempotency=IdempotencyRules(
        header="idempotency-key",
        methods=frozenset({"POST"}),
        remembered_for=timedelta(hours=24),
        in_use=in_use,
        scope=api_key,
    ),
)
