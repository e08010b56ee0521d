"""Everything that must be so at the end of a run, as sentences about what is not."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.chaos import figures
from tests.chaos.mix import CANARY, COMMITTED, PHONE, Submission
from tests.chaos.outside import Ended, differences
from tests.chaos.place import Place

HEALTHY: Final = 0.6  # of all pipelines that commit in a mix that is mostly healthy (I12)
# Ends of a submission that nothing was wrong with: the faults lasted longer than its deadlines.
TIMED_OUT: Final = ("staging_timed_out", "customer_timed_out")
NOT_LOGS: Final = ("answers", "messages")


def pipelines() -> list[dict[str, Any]]:
    """The rows, as far as checks and figures need them."""
    from pipeline.models import Pipeline

    names = ("id", "key", "workflow", "state", "is_cancelled", "error", "created_at", "finished_at", "attention")
    return list(Pipeline.objects.order_by("created_at").values(*names))


def agree_with_outside(place: Place, rows: Sequence[Mapping[str, Any]], asked: Sequence[Submission]) -> list[str]:
    """I2 to I5 and I9: the rows against the providers' ledger."""
    wishes = {one.key: one for one in asked}
    ended = [
        Ended(str(row["id"]), wishes[row["key"]].kind.path, wishes[row["key"]].facts, row["state"], row["is_cancelled"])
        for row in rows
        if row["key"] in wishes
    ]
    strange = [f"I5 a pipeline with the key {row['key']} that nobody sent" for row in rows if row["key"] not in wishes]
    return strange + differences(ended, place.ledger())


def expected_ends(rows: Sequence[Mapping[str, Any]], asked: Sequence[Submission]) -> tuple[list[str], Counter[str]]:
    """Who did not end as its submission must, and how many healthy ones were given up by a deadline, by code."""
    wishes = {one.key: one.kind for one in asked}
    wrong, late = list[str](), Counter[str]()
    for row in rows:
        ends = wishes[row["key"]].ends if row["key"] in wishes else ""
        if not ends or row["state"] == ends:
            continue
        code = (row["error"] or {}).get("code", "")
        if ends == COMMITTED and code in TIMED_OUT:
            late[code] += 1
        else:
            wrong.append(f"I12 {row['id']} ({wishes[row['key']].name}) is {row['state']} {code}, not {ends}")
    return wrong, late


def customers_agree(answers: Path, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """I1 and I7: what customers were answered against the rows."""
    by_key: dict[str, list[str]] = {}
    for row in rows:
        by_key.setdefault(row["key"], []).append(str(row["id"]))
    return figures.client_differences(map(json.loads, answers.read_text().splitlines()), by_key)


def personal_data(place: Place) -> list[str]:
    """I10: the canary stands in no message, nowhere in the broker, and in no log."""
    words = (CANARY.encode(), PHONE.encode())
    found = []
    for path in _readable(place):
        content = path.read_bytes()
        for word in words:
            if word in content:
                line = content[: content.index(word)].count(b"\n") + 1
                found.append(f"I10 {path.relative_to(place.folder.path)}:{line} holds personal data")
    return found + _in_redis(place, words)


def _readable(place: Place) -> Iterator[Path]:
    yield from sorted(place.folder.logs.glob("*"))
    yield from sorted((place.folder.path / "redis").glob("*.aof*"))  # every command since the last start
    yield place.chaos / "messages"


def _in_redis(place: Place, words: tuple[bytes, ...]) -> list[str]:
    import redis

    with redis.Redis.from_url(place.services.redis.url()) as client:
        dumped = {key: client.dump(key) or b"" for key in client.scan_iter()}
    return [
        f"I10 Redis holds personal data in {key!r}" for key, value in dumped.items() for word in words if word in value
    ]


def verified(place: Place) -> list[str]:
    """`manage.py verify --settled --strict`: what it prints when it finds something."""
    done = place.manage("verify", "--settled", "--strict")
    if done.returncode == 0:
        return []
    return [f"verify: {line}" for line in (done.stdout + done.stderr).splitlines() if line.strip()]


def vacuous(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """I12: most of a mostly healthy mix has committed."""
    committed = sum(row["state"] == COMMITTED for row in rows)
    if rows and committed >= HEALTHY * len(rows):
        return []
    return [f"I12 only {committed} of {len(rows)} pipelines committed"]


def unfired(armed: Sequence[Mapping[str, Any]], did: Mapping[str, int], planned: Mapping[str, int]) -> list[str]:
    """I12: every fault that was armed has struck, every act that was planned has had a victim."""
    strikes: Counter[str] = Counter()
    for fault in armed:
        strikes[f"{fault['provider']} {fault['kind']}"] += fault["fired"]
    quiet = [f"I12 {name} never fired" for name, fired in sorted(strikes.items()) if not fired]
    return quiet + [f"I12 '{kind}' never had a victim" for kind in sorted(planned) if not did.get(kind)]
