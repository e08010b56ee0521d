"""G1 to G4: full pipelines a second beside bare Celery chains, DBOS and Restate, and against providers that wait."""

from collections.abc import Collection
from typing import Final

from benchmarks import provider
from benchmarks.contenders import BareChains, Contender, Pipelines
from benchmarks.goals import GOALS, Measured
from benchmarks.peers.dbos import DbosWorkflows
from benchmarks.peers.environments import LeftOutError
from benchmarks.peers.restate import RestateInvocations
from benchmarks.place import Place
from benchmarks.saturation import Amount, Best, compare, say
from benchmarks.workers import Setting, gevent

FULL: Final = Amount(rounds=3, count=1000, choosing=250)
QUICK: Final = Amount(rounds=2, count=300, choosing=0)

PROVIDER_MS: Final = 50
AT_ONCE: Final = 200
WAITING_FULL: Final = Amount(rounds=3, count=1200, choosing=500, at_once=AT_ONCE)
WAITING_QUICK: Final = Amount(rounds=2, count=300, choosing=100, at_once=AT_ONCE)
THREADS: Final = [Setting("threads", 50, 4, 2), Setting("threads", 32, 4, 2), Setting("threads", 100, 1, 2)]
GREENLETS: Final = [Setting("gevent", 100, 4, 2)]


def measure(place: Place, wanted: Collection[str], amount: Amount) -> list[Measured]:
    """Those of G1, G2 and G3 that are wanted: all contenders in the same rounds."""
    contenders: list[Contender] = [Pipelines(), BareChains(place.broker, 4)]
    if "G1" in wanted and amount.choosing:
        contenders.append(BareChains(place.broker, 8))
    peers = {}
    for goal, make in (("G2", DbosWorkflows), ("G3", RestateInvocations)):
        if goal in wanted:
            try:
                contenders.append(make())
                peers[goal] = make.name
            except LeftOutError as error:
                say(f"{goal} is not measured: {error}")
    found = compare(place, "W0", contenders, amount)
    against = {"G1": "bare chains of 4"} | peers
    return [_measured(goal, found, name, amount) for goal, name in against.items() if goal in wanted and name in found]


def measure_waiting(place: Place, amount: Amount) -> list[Measured]:
    """G4: the same eight calls of 50 ms each, as a full pipeline and as a chain."""
    with provider.answering(PROVIDER_MS):
        ours = Pipelines(THREADS[:2] if amount.rounds > 2 else THREADS[:1], calls=True)
        theirs = BareChains(place.broker, 8, [*_greenlets(), *THREADS], calls=True)
        found = compare(place, "W1", [ours, theirs], amount)
    return [_measured("G4", found, theirs.name, amount)]


def _measured(goal: str, found: dict[str, Best], name: str, amount: Amount) -> Measured:
    ours = found[Pipelines.name]
    ratio = ours.rate.middle / found[name].rate.middle
    others = [str(best) for contender, best in found.items() if contender not in (Pipelines.name, name)]
    beside = f"; beside it {'; '.join(others)}" if goal == "G1" and others else ""
    at_once = f", {amount.at_once} under way" if amount.at_once else ""
    return Measured(
        GOALS[goal], ratio, f"{ours}; {found[name]}{beside}; {amount.rounds} rounds of {amount.count}{at_once}"
    )


def _greenlets() -> list[Setting]:
    try:
        gevent()
    except LeftOutError as error:
        say(str(error))
        return []
    return GREENLETS
