"""G1: how many pipelines a second, at most, beside bare Celery chains on the same broker with the same workers."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.contenders import BareChains, Contender, Pipelines, seconds_for
from benchmarks.cpu import BROKER, CLIENT, DATABASE, WORKERS, Processes, difference
from benchmarks.figures import Spread, number, spread
from benchmarks.goals import GOALS, Measured
from benchmarks.place import Place
from benchmarks.workers import Setting

WARM_UP: Final = 30  # pieces: the worker is up, connected, and its statements are prepared
SECONDS: Final = 300.0  # a round that takes longer has failed


@dataclass(frozen=True, slots=True)
class Amount:
    """How much is measured: so many rounds of so many pieces, each with each of the settings."""

    rounds: int
    count: int
    settings: Sequence[Setting]


FULL: Final = Amount(3, 1000, [Setting("prefork", 2, 1), Setting("prefork", 2, 4), Setting("prefork", 2, 16)])
QUICK: Final = Amount(2, 500, [Setting("prefork", 2, 4)])


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
    setting: Setting
    rounds: Sequence[Round]

    @property
    def rate(self) -> Spread:
        """Pieces per second."""
        return spread([one.per_second for one in self.rounds])

    def cpu(self, part: str) -> float:
        """The median of milliseconds of processor for one piece."""
        return spread([one.cpu[part] for one in self.rounds]).middle

    def messages(self) -> float:
        """The median of messages for one piece."""
        return spread([one.messages for one in self.rounds]).middle

    def __str__(self) -> str:
        parts = ", ".join(f"{part} {number(self.cpu(part))}" for part in (CLIENT, WORKERS, DATABASE, BROKER))
        total = sum(self.cpu(part) for part in (CLIENT, WORKERS, DATABASE, BROKER))
        cost = f"{number(total)} ms of processor each ({parts}), {number(self.messages())} messages each"
        return f"{self.rate} {self.contender}/s, {self.setting}, {cost}"


def measure(place: Place, amount: Amount) -> list[Measured]:
    """Both contenders, round by round in turn, each judged by its best setting."""
    contenders: list[Contender] = [Pipelines(), BareChains(place.broker)]
    rounds: dict[tuple[str, Setting], list[Round]] = {}
    for turn in range(amount.rounds):
        for setting in amount.settings:
            for contender in contenders:
                one = _round(place, contender, setting, amount.count)
                rounds.setdefault((contender.name, setting), []).append(one)
                say(f"G1 round {turn + 1}: {number(one.per_second)} {contender.name}/s, {setting}")
    ours, theirs = (best(contender.name, rounds) for contender in contenders)
    detail = f"{ours}; {theirs}; {amount.rounds} rounds of {amount.count}"
    return [Measured(GOALS["G1"], ours.rate.middle / theirs.rate.middle, detail)]


def best(contender: str, rounds: Mapping[tuple[str, Setting], Sequence[Round]]) -> Best:
    """The setting with the highest median rate."""
    own = [Best(name, setting, done) for (name, setting), done in rounds.items() if name == contender]
    return max(own, key=lambda one: one.rate.middle)


def _round(place: Place, contender: Contender, setting: Setting, count: int) -> Round:
    place.empty()
    with contender.running(setting) as worker:
        seconds_for(contender, WARM_UP, SECONDS)
        processes = Processes({WORKERS: worker, DATABASE: place.postmaster()}, place.broker)
        before, messages = processes.spent(), place.messages()
        seconds = seconds_for(contender, count, SECONDS)
        spent = difference(before, processes.spent())
        sent = place.messages() - messages
    return Round(count / seconds, {part: value / count * 1000 for part, value in spent.items()}, sent / count)


def say(line: str) -> None:
    """Progress, beside the result."""
    if not os.environ.get("BENCH_QUIET"):
        print(line, file=sys.stderr, flush=True)
