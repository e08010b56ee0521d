"""The sandbox's own ledger as traces: all that ever happened outside, seen by the client or not."""

from collections import Counter
from typing import Any

from postings.audit.traces import Outside, Traces
from postings.providers import sandbox


def read() -> Outside:
    """Read it over HTTP. Raises Unavailable."""
    entries, state = sandbox.ledger(), sandbox.state()
    outside = Outside(knows_what_was_told=True, net=Counter())
    for entry in entries:
        _happened(outside, entry)
    for hold in state["holds"]:
        outside.of[hold["reference"]].holds.append(hold["id"])
    for intent in state["open_intents"]:
        outside.of[intent["reference"]].open_intents.append(intent["id"])
    for each in state["objects"]:
        outside.of[each["reference"]].objects[each["key"]] = sandbox.digest_of(each)
    outside.of.pop("", None)
    return outside


def _happened(outside: Outside, entry: dict[str, Any]) -> None:
    assert outside.net is not None
    traces = outside.of[entry["reference"] or ""]
    match entry["effect"]:
        case "authorised":
            traces.authorised.append(entry["object_id"])
        case "captured":
            traces.captured.append((entry["object_id"], _money(entry)))
            traces.charged[entry["object_id"]] = entry["charged"]
            outside.net[entry["currency"]] += entry["amount"]
        case "refunded":
            traces.refunds.append((entry["object_id"], entry["payment_intent"], _money(entry)))
            outside.refunded[entry["payment_intent"]] += entry["amount"]
            outside.net[entry["currency"]] -= entry["amount"]
        case "refund_failed":
            outside.refunded[entry["payment_intent"]] -= entry["amount"]
            outside.net[entry["currency"]] += entry["amount"]
        case _:
            _told(traces, entry)


def _told(traces: Traces, entry: dict[str, Any]) -> None:
    if entry["effect"] == "email_accepted" and entry["category"] != "operator":
        traces.told[entry["category"]] += 1
    elif entry["effect"] == "sms_sent":
        traces.told["sms"] += 1


def _money(entry: dict[str, Any]) -> tuple[int, str]:
    return entry["amount"], entry["currency"].lower()
