"""How many a second, at most: contenders in turn on the same machine, each by its best setting."""

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.contenders import Contender, seconds_for
from benchmarks.cpu import BROKER, CLIENT, DATABASE, SERVER, WORKERS, Processes, difference
from benchmarks.figures import Spread, number, spread
from benchmarks.peers.environments import LeftOutError
from benchmarks.place import Place

WARM_UP: Final = 60  # pieces, and two for each under way: all are up, connected, and their statements are prepared
SECONDS: Final = 300.0  # a round that takes longer has failed


@dataclass(frozen=True, slots=True)
class Amount:
    """So many rounds of so many pieces, `at_once` under way together (None: all). Before that so many with each
    setting, to choose the best (0: the first one is taken).
    """

    rounds: int
    count: int
    choosing: int
    at_once: int | None = None


@dataclass(frozen=True, slots=True)
class Round:
    """One round of one contender: its rate, and what one piece cost by part (ms of processor) and in messages."""

    per_second: float
    cpu: Mapping[str, float]
    messages: float


@dataclass(frozen=True, slots=True)
class Best:
    """A contender's rounds with the setting in which it was fastest."""

    contender: str
    setting: Any
    rounds: Sequence[Round]

    @property
    def rate(self) -> Spread:
        """Pieces per second."""
        return spread([one.per_second for one in self.rounds])

    def cpu(self, part: str) -> float:
        """The median of milliseconds of processor for one piece."""
        return spread([one.cpu.get(part, 0.0) for one in self.rounds]).middle

    def messages(self) -> float:
        """The median of messages for one piece."""
        return spread([one.messages for one in self.rounds]).middle

    def __str__(self) -> str:
        spent = {part: self.cpu(part) for part in (CLIENT, WORKERS, SERVER, DATABASE, BROKER)}
        parts = ", ".join(f"{part} {number(value)}" for part, value in spent.items() if value >= 0.01)
        cost = f"{number(sum(spent.values()))} ms of processor each ({parts})"
        sent = f", {number(self.messages())} messages each" if self.messages() else ""
        return f"{self.rate} {self.contender}/s, {self.setting}, {cost}{sent}"


def compare(place: Place, label: str, contenders: Sequence[Contender], amount: Amount) -> dict[str, Best]:
    """Each contender's rounds by its name, taken in turn: whatever disturbs the machine disturbs all.

    A peer that does not run here is missing, and said to be.
    """
    chosen: dict[str, Any] = {}
    rounds: dict[str, list[Round]] = {}
    for turn in range(amount.rounds):
        for contender in contenders:
            name = contender.name
            try:
                if turn == 0:
                    chosen[name] = _choose(place, label, contender, amount)
                elif name not in rounds:
                    continue
                one = one_round(place, contender, chosen[name], amount.count, amount.at_once)
            except LeftOutError as error:
                rounds.pop(name, None)
                say(str(error))
                continue
            rounds.setdefault(name, []).append(one)
            say(f"{label} round {turn + 1}: {number(one.per_second)} {name}/s, {chosen[name]}")
    return {name: Best(name, chosen[name], own) for name, own in rounds.items()}


def _choose(place: Place, label: str, contender: Contender, amount: Amount) -> Any:
    if not amount.choosing or len(contender.settings) == 1:
        return contender.settings[0]
    tried: dict[Any, float] = {}
    for setting in contender.settings:
        tried[setting] = one_round(place, contender, setting, amount.choosing, amount.at_once).per_second
        say(f"{label} choosing: {number(tried[setting])} {contender.name}/s, {setting}")
    return max(tried, key=lambda setting: tried[setting])


def one_round(place: Place, contender: Contender, setting: Any, count: int, at_once: int | None = None) -> Round:
    """So many pieces from an empty database and broker; TimeoutError when they do not end."""
    place.empty()
    with contender.running(setting) as heads:
        seconds_for(contender, max(WARM_UP, min(2 * (at_once or 0), count)), SECONDS, at_once=at_once)
        processes = Processes({**heads, DATABASE: place.postmaster()}, place.broker)
        before, messages = processes.spent(), place.messages()
        seconds = seconds_for(contender, count, SECONDS, at_once=at_once)
        spent = difference(before, processes.spent())
        sent = place.messages() - messages
    return Round(count / seconds, {part: value / count * 1000 for part, value in spent.items()}, sent / count)


def say(line: str) -> None:
    """Progress, beside the result."""
    if not os.environ.get("BENCH_QUIET"):
        with suppress(BrokenPipeError):
            print(line, file=sys.stderr, flush=True)
