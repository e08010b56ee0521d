"""The run itself: customers, and everything breaking under them; then quiet, and the reckoning."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import requests

from tests.chaos import checks, figures, quiet
from tests.chaos.acts import Hands
from tests.chaos.customers import Customers
from tests.chaos.mix import Submission, submissions
from tests.chaos.place import Place
from tests.chaos.schedule import REDIS, Act, schedule

EVERY: Final = 0.5  # seconds between two submissions
MOST_EXTRA: Final = 60.0  # seconds for faults that have not met a request when their time is over
KNOWN = "known-director@example.com"

Say = Callable[[str], None]


def world(place: Place) -> dict[str, Any]:
    """What the bodies of submissions refer to: plans, a buyer, an address that is known already."""
    plans = requests.get(f"{place.web}/api/v1/plans/", timeout=10).json()["results"]
    buyers = requests.get(f"{place.web}/api/v1/buyers/", timeout=30).json()["results"]
    user = {"email": KNOWN, "password": "a-first-password", "email_confirm": True}
    users = f"{place.sandbox}/supabase/auth/v1/admin/users"
    requests.post(users, json=user, headers={"Authorization": "Bearer x"}, timeout=10)
    richest = max(buyers, key=lambda buyer: buyer["available_balance"])
    return {
        "plans": {plan["slug"]: plan["price"] for plan in plans},
        "buyer": richest["id"],
        "known_email": KNOWN,
        "sms": bool(place.env.get("SMS_ENABLED")),
    }


def storm(
    place: Place, seed: int, minutes: float, say: Say, *, broker: tuple[str, ...] = REDIS
) -> tuple[dict[str, Any], list[str]]:
    """(figures, violations) of one run."""
    seconds = minutes * 60
    asked = submissions(seed, int(seconds / EVERY), EVERY, world(place))
    acts = schedule(seed, seconds, broker=broker)
    customers = Customers(place.web, place.sandbox, place.chaos / "answers")
    hands = Hands(place, customers.open)
    say(f"{len(asked)} submissions and {len(acts)} faults in {minutes:g} minutes, seed {seed} …")
    breaking = threading.Thread(target=hands.follow, args=[acts], daemon=True)
    breaking.start()
    customers.serve(asked)
    breaking.join()
    asked += _until_all_have_fired(place, customers, hands, acts, seed, say)
    hands.end()
    armed = place.ask("faults")["faults"]
    place.clear_faults()
    return reckon(place, asked, customers, hands, acts, armed, say)


def _until_all_have_fired(
    place: Place, customers: Customers, hands: Hands, acts: Sequence[Act], seed: int, say: Say
) -> list[Submission]:
    """More customers, while there are faults that have met nobody so far."""
    more: list[Submission] = []
    planned = {act.kind for act in acts if act.fault is None}
    until = time.monotonic() + MOST_EXTRA
    while time.monotonic() < until:
        missing = {kind for kind in planned if not hands.did[kind]}
        if not (left := missing | _quiet_ones(place)):
            break
        say(f"{len(left)} faults have met nobody yet ({', '.join(sorted(left)[:4])} …): more customers")
        hands.repeat(missing)
        batch = submissions(seed * 1000 + len(more) // 40 + 1, 40, 0.25, world(place))
        customers.serve(batch)
        more += batch
    return more


def _quiet_ones(place: Place) -> set[str]:
    return {name for name, fired in _strikes(place.ask("faults")["faults"]).items() if not fired}


def reckon(
    place: Place,
    asked: Sequence[Submission],
    customers: Customers,
    hands: Hands,
    acts: Sequence[Act],
    armed: Sequence[Mapping[str, Any]],
    say: Say,
) -> tuple[dict[str, Any], list[str]]:
    """Wait for quiet, then compare everything with everything."""
    say("No more faults: waiting until everything has ended …")
    took, left, hurried = quiet.wait_for_the_end(place)
    customers.come_again([one for one in asked if one.again])
    lines = [json.loads(line) for line in (place.chaos / "messages").read_text().splitlines()]
    sent = figures.messages(lines)
    ledger = place.ledger()
    rows = checks.pipelines()
    say("Publishing every message of the run once more …")
    replayed, changed = quiet.replay_everything(place)
    wrong, late = checks.expected_ends(rows, asked)
    violations = [
        *([f"I1 {left} pipelines have not ended {took:.0f} s after the last fault"] if left else []),
        *customers.odd,
        *checks.customers_agree(customers.log, rows),
        *checks.agree_with_outside(place, rows, asked),
        *(f"I8 old messages changed {name}" for name in changed),
        *checks.personal_data(place),
        *wrong,
        *checks.verified(place),
    ]
    if acts:
        planned = Counter(act.kind for act in acts if act.fault is None)
        violations += [*checks.vacuous(rows), *checks.unfired(armed, hands.did, planned)]
    facts: dict[str, Any] = {
        "pipelines": len(rows),
        "ended": dict(sorted(Counter(row["state"] for row in rows).items())),
        "given up by a deadline": late,
        "marked for attention": sum(row["attention"] > 0 for row in rows),
        "hurried by an operator at the end": hurried,
        "quiet after the last fault": f"{took:.1f} s",
        **_times(rows, asked, customers),
        "broken": dict(sorted(hands.did.items())),
        "found nobody": dict(sorted(hands.missed.items())),
        "provider faults that struck": _strikes(armed),
        **_absorbed(sent, ledger, customers, hands),
        "messages published once more at the end": replayed,
    }
    return facts, violations


def _times(rows: Sequence[Mapping[str, Any]], asked: Sequence[Submission], customers: Customers) -> dict[str, Any]:
    """Of those who wait for no customer."""
    waiting = {one.key for one in asked if one.kind.then}
    ended = [
        (row["finished_at"] - row["created_at"]).total_seconds()
        for row in rows
        if row["finished_at"] and row["key"] not in waiting
    ]
    return {"accepting": figures.spread(customers.slowest), "from accept to end": figures.spread(ended)}


def _strikes(armed: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    strikes: Counter[str] = Counter()
    for fault in armed:
        strikes[f"{fault['provider']} {fault['kind']}"] += fault["fired"]
    return dict(sorted(strikes.items()))


def _absorbed(
    sent: figures.Messages, ledger: Sequence[Mapping[str, Any]], customers: Customers, hands: Hands
) -> dict[str, Any]:
    replayed, mails = figures.repeats(ledger)
    kills = sum(number for kind, number in hands.did.items() if kind.startswith("kill") and "Redis" not in kind)
    lost = f"{sent.lost} of {sent.published}, of {sent.lost_pipelines} pipelines, all found again by the sweep"
    return {
        "messages lost": lost if sent.lost else "none: this run was too mild to show the sweep",
        "tasks begun again, absorbed": sent.repeated,
        "requests repeated with their key": f"{replayed} ({replayed / kills:.2f} per kill)" if kills else replayed,
        "mails sent more than once": mails,
        "kills": kills,
    }
