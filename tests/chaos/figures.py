"""Figures of a run, from the customers' log, the recorded messages, the rows and the ledger. Pure functions."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tests.chaos.armed.apps import PUBLISHED, STARTED


@dataclass(frozen=True, slots=True)
class Spread:
    """Seconds; None where nothing was measured."""

    count: int
    p50: float | None
    p99: float | None
    max: float | None


def spread(values: Iterable[float]) -> Spread:
    """Nearest-rank percentiles."""
    ordered = sorted(values)
    if not ordered:
        return Spread(0, None, None, None)
    at = [ordered[min(len(ordered) - 1, max(0, -(-len(ordered) * part // 100) - 1))] for part in (50, 99)]
    return Spread(len(ordered), round(at[0], 3), round(at[1], 3), round(ordered[-1], 3))


@dataclass(frozen=True, slots=True)
class Messages:
    """What became of the messages. Lost: published, and no worker ever began it."""

    published: int
    lost: int
    lost_pipelines: int  # pipelines that lost one, each of which the sweep found again
    repeated: int  # tasks begun for a job that another task had begun already: duplicates that were absorbed


def messages(lines: Iterable[Sequence[Any]]) -> Messages:
    """From the lines that the armed processes wrote."""
    published: dict[str, str] = {}
    started: set[str] = set()
    begun: Counter[tuple[str, ...]] = Counter()
    for what, id_, task, args, *_ in lines:
        if what == PUBLISHED:
            published[id_] = str(args[0])
        elif what == STARTED:
            started.add(id_)
            begun[task, *map(str, args)] += 1
    lost = [pipeline for id_, pipeline in published.items() if id_ not in started]
    repeated = sum(number - 1 for number in begun.values())
    return Messages(len(published), len(lost), len(set(lost)), repeated)


def repeats(ledger: Iterable[Mapping[str, Any]]) -> tuple[int, int]:
    """(requests with a key that was used already, mails that came more than once)."""
    replayed, mails = 0, Counter[tuple[str, str]]()
    last: tuple[Any, Any] | None = None
    for entry in ledger:
        request = (entry["idempotency_key"], entry["at"])
        if entry["replayed"] and request != last:  # a replay of several effects has several entries
            replayed += 1
        last = request if entry["replayed"] else None
        if entry["effect"] == "email_accepted" and not entry["replayed"]:
            mails[str(entry["reference"]), str(entry.get("category"))] += 1
    return replayed, sum(number - 1 for number in mails.values())


def client_differences(log: Iterable[Mapping[str, Any]], rows: Mapping[str, Sequence[str]]) -> list[str]:
    """I1 and I7: each key that was accepted has one pipeline, whoever asked how often. `rows`: key to ids."""
    ids: dict[str, set[str]] = defaultdict(set)
    found: list[str] = []
    for line in log:
        if line["which"] == "changed":
            if line["status"] == 202:
                found.append(f"I7 {line['key']}: other content under the same key was accepted")
        elif line["status"] == 202:
            ids[line["key"]].add(line["id"])
    for key, answered in ids.items():
        if len(answered) != 1 or sorted(answered) != sorted(rows.get(key, [])):
            found.append(f"I1/I7 {key}: answered {sorted(answered)}, rows {sorted(rows.get(key, []))}")
    return found


def bound(pipelines: int) -> float:
    """No violation in so many: the rate is below this at 95 % (the rule of three)."""
    return 3 / pipelines if pipelines else 1.0


def as_json(value: Any) -> Any:
    """Dataclasses and counters as plain data."""
    if isinstance(value, Spread | Messages):
        return asdict(value)
    return dict(value) if isinstance(value, Counter) else str(value)
