"""Scenario A: worker trees killed -9 at intervals, and nothing else. The bar is what the best peer reached."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.chaos import figures
from tests.chaos.acts import Hands
from tests.chaos.customers import Customers
from tests.chaos.figures import Spread
from tests.chaos.mix import PLAIN, submissions
from tests.chaos.place import Place
from tests.chaos.schedule import kills
from tests.chaos.storm import reckon, world

SUBMISSIONS: Final = 600
EVERY: Final = 0.15  # seconds between two submissions
KILL_EVERY: Final = 4.0
WORKERS: Final = ("worker", "worker-2")
# Four steps, as the peers' sagas have: without SMS and indexing.
PLAIN_STEPS: Final = {"SMS_ENABLED": "", "INDEXING_ENABLED": ""}
# Measured with DBOS 3.4.0 under the same kills: p99 1.3 s, longest 2.9 s, 0.5 repeats a kill; with the immediate
# restarts of PostgreSQL 2.5 s and 7 to 17 s.
P99, LONGEST, REPEATS = 2.5, 7.0, 0.5

Say = Callable[[str], None]


def killing(place: Place, seed: int, say: Say, *, count: int = SUBMISSIONS) -> tuple[dict[str, Any], list[str]]:
    """(figures, violations): the invariants, and the bar."""
    asked = submissions(seed, count, EVERY, world(place), PLAIN, copies=False)
    acts = kills(seed, asked[-1].at, KILL_EVERY)
    customers = Customers(place.web, place.sandbox, place.chaos / "answers")
    hands = Hands(place, customers.open)
    say(f"{count} submissions, one of {len(place.workers)} worker trees killed every {KILL_EVERY:g} s, seed {seed} …")
    breaking = threading.Thread(target=hands.follow, args=[acts], daemon=True)
    breaking.start()
    customers.serve(asked)
    breaking.join()
    time.sleep(KILL_EVERY)  # what the last kill interrupted
    hands.end()
    facts, violations = reckon(place, asked, customers, hands, [], [], say)
    facts |= {"wrong": len(violations), "repeats": sum(figures.repeats(place.ledger()))}
    return facts, violations + missed(facts)


def missed(facts: Mapping[str, Any]) -> list[str]:
    """What falls short of the bar."""
    times: Spread = facts["from accept to end"]
    found = []
    if times.p99 is None or times.p99 > P99:
        found.append(f"bar: p99 is {times.p99} s, more than {P99} s")
    if times.max is None or times.max > LONGEST:
        found.append(f"bar: the longest took {times.max} s, more than {LONGEST} s")
    if facts["repeats"] > REPEATS * facts["kills"]:
        found.append(f"bar: {facts['repeats']} repeats in {facts['kills']} kills, more than {REPEATS} a kill")
    return found
