"""Compares what a sample says of itself with what the sandbox's ledger saw happen outside."""

from collections import Counter
from typing import Any

import requests

from config.local.samples import Effects, Result

# An intent without a hold that is cancelled, and a mail that was only checked, changed nothing outside.
NO_EFFECT = {"cancelled", "email_validated"}


def differences(sandbox: str, result: Result) -> list[str]:
    """What is not as it should be, a sentence each; empty when all agrees."""
    name, state = result.sample.title, result.pipeline["state"]
    if state != result.sample.ends:
        return [f"{name} is {state}, not {result.sample.ends}"]
    entries = requests.get(f"{sandbox}/_sandbox/ledger", timeout=10).json()["entries"]
    effects = [entry for entry in entries if entry["reference"] == result.id and not entry["replayed"]]
    return [
        f"{name}: {difference}" for difference in _compare(effects, result.sample.effects) + _money(effects, result)
    ]


def _compare(effects: list[dict[str, Any]], expected: Effects) -> list[str]:
    counted = Counter((entry["provider"], _kind(entry)) for entry in effects if entry["effect"] not in NO_EFFECT)
    return [
        f"{counted[key]} times {key[1]} at {key[0]} instead of {expected.get(key, 0)}"
        for key in sorted(counted.keys() | expected.keys())
        if counted[key] != expected.get(key, 0)
    ]


def _kind(entry: dict[str, Any]) -> str:
    return str(entry["category"] if entry["effect"] == "email_accepted" else entry["effect"])


def _money(effects: list[dict[str, Any]], result: Result) -> list[str]:
    if result.price is None:
        return []
    price = (result.price["amount"], result.price["currency"].lower())
    return [
        f"{entry['effect']} {entry['amount']} {entry['currency']} instead of {price[0]} {price[1]}"
        for entry in effects
        if entry["effect"] in {"authorised", "captured"} and (entry["amount"], entry["currency"].lower()) != price
    ]
