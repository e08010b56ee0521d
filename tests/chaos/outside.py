"""What the providers' ledger must show of each pipeline, by what was asked for and how it ended (I2 to I5, I9)."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ended:
    """One pipeline: what was asked for, and its row."""

    id: str
    path: str  # where it was submitted
    facts: Mapping[str, Any]  # mix._facts
    state: str
    is_cancelled: bool


def differences(ended: Iterable[Ended], ledger: Iterable[Entry]) -> list[str]:
    """A sentence for each thing that is not as it must be."""
    by_pipeline: dict[str | None, list[Entry]] = defaultdict(list)
    for entry in ledger:
        if not entry["replayed"]:
            by_pipeline[entry["reference"]].append(entry)
    known = {each.id: each for each in ended}
    found = [
        f"I5 {reference}: {entries[0]['effect']} at {entries[0]['provider']} for no pipeline of ours"
        for reference, entries in by_pipeline.items()
        if reference and reference not in known
    ]
    for each in known.values():
        found += [f"{each.id} ({each.state}): {text}" for text in _wrong(each, by_pipeline[each.id])]
    return [*found, *_money(known.values(), by_pipeline)]


def _wrong(one: Ended, entries: list[Entry]) -> list[str]:
    count = Counter(str(entry["effect"]) for entry in entries)
    if "orders" in one.path:
        return _wrong_order(one, count)
    if "register" in one.path:
        net = count["user_created"] - count["user_deleted"]
        return _expect("I2" if _is_done(one) else "I3", {"users": net}, {"users": int(_is_done(one))})
    return _wrong_posting(one, count, entries)


def _is_done(one: Ended) -> bool:
    return one.state == "committed"


def _wrong_order(one: Ended, count: Counter[str]) -> list[str]:
    items = len(one.facts["amounts"])
    if _is_done(one):
        return _expect("I2", count, {"ledger_pending": items, "ledger_posted": items, "ledger_archived": 0})
    return _expect("I3", count, {"ledger_posted": 0, "ledger_archived": count["ledger_pending"]})


def _wrong_posting(one: Ended, count: Counter[str], entries: list[Entry]) -> list[str]:
    mails = {str(entry["category"]) for entry in entries if entry["effect"] == "email_accepted"}
    net = {"objects": count["object_put"] - count["object_deleted"]}
    wrong = [f"I4 {effect} {count[effect]} times" for effect in ("authorised", "captured") if count[effect] > 1]
    if _is_done(one):
        wrong += _expect("I2", net, {"objects": int(one.facts["logo"])})
        wrong += _expect("I2", count, {"authorised": 1, "captured": 1, "voided": 0, "refunded": 0})
        wrong += [] if mails == {"receipt"} else [f"I2 mails {sorted(mails)}"]
        wrong += [] if not one.facts["phone"] or count["sms_sent"] else ["I2 no SMS"]
        return wrong + _prices(one, entries)
    wrong += _expect("I3", net, {"objects": 0})
    held = count["authorised"] - count["voided"] - count["captured"]
    wrong += _expect("I3", {"held": held, "kept": count["captured"] - count["refunded"]}, {"held": 0, "kept": 0})
    told = mails == {"not_published"} or (one.is_cancelled and not mails)
    return wrong + ([] if told else [f"I3 mails {sorted(mails)}"])


def _prices(one: Ended, entries: list[Entry]) -> list[str]:
    price = (one.facts["price"]["amount"], one.facts["price"]["currency"].lower())
    return [
        f"I2 {entry['effect']} {entry['amount']} {entry['currency']} instead of {price[0]} {price[1]}"
        for entry in entries
        if entry["effect"] in ("authorised", "captured") and (entry["amount"], entry["currency"].lower()) != price
    ]


def _expect(invariant: str, found: Mapping[str, int], expected: Mapping[str, int]) -> list[str]:
    return [
        f"{invariant} {found.get(name, 0)} {name} instead of {number}"
        for name, number in expected.items()
        if found.get(name, 0) != number
    ]


def _money(ended: Iterable[Ended], by_pipeline: Mapping[str | None, list[Entry]]) -> list[str]:
    """I9: what was captured and not given back is the price of what was committed."""
    owed = sum(one.facts["price"]["amount"] for one in ended if _is_done(one) and "price" in one.facts)
    entries = [entry for many in by_pipeline.values() for entry in many]
    taken = sum(entry["amount"] for entry in entries if entry["effect"] == "captured")
    given_back = sum(entry["amount"] for entry in entries if entry["effect"] == "refunded")
    if taken - given_back == owed:
        return []
    return [f"I9 {taken - given_back} were taken (minor units) and {owed} are the price of what was committed"]
