"""What a run tells: text for people, JSON for documents."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks.machine import machine, versions
from tests.chaos.figures import Spread, as_json, bound
from tests.chaos.place import Place

LINES: Final = 40  # violations shown
PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "chaos.md"


def surroundings(place: Place) -> dict[str, Any]:
    """Machine and versions."""
    url = place.services.postgres.url()
    return {"machine": machine(), "versions": versions(url, place.services.redis.url())}


def text(facts: Mapping[str, Any], violations: list[str]) -> Iterator[str]:
    """The lines of the report."""
    yield ""
    for name, value in facts.items():
        if isinstance(value, Spread):
            yield f"{name}: p50 {value.p50} s, p99 {value.p99} s, longest {value.max} s ({value.count})"
        elif isinstance(value, Mapping):
            yield f"{name}: {', '.join(f'{key} {number}' for key, number in value.items()) or 'none'}"
        else:
            yield f"{name}: {value}"
    yield ""
    for line in violations[:LINES]:
        yield f"  {line}"
    if len(violations) > LINES:
        yield f"  … and {len(violations) - LINES} more"


def verdict(violations: list[str], pipelines: int) -> str:
    """One sentence."""
    if violations:
        return f"{len(violations)} violations in {pipelines} pipelines."
    return f"No violation in {pipelines} pipelines: at 95 %, fewer than {bound(pipelines):.3%} are wrong."


def write(path: Path, facts: Mapping[str, Any], violations: list[str], around: Mapping[str, Any]) -> None:
    """The figures for documents."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    whole = {"at": at, **around, "figures": facts, "violations": violations}
    path.write_text(json.dumps(whole, indent=2, default=as_json) + "\n")


def keep(mode: str, again: str, facts: Mapping[str, Any], violations: list[str], around: Mapping[str, Any]) -> None:
    """Put the run into its place in docs/chaos.md, whatever came of it."""
    page = PAGE.read_text()
    begin, end = f"<!-- {mode} -->\n", f"<!-- end of {mode} -->"
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    section = "\n".join(_section(again, facts, violations, around))
    PAGE.write_text(f"{before}{begin}{section}\n{end}{after}")


def _section(again: str, facts: Mapping[str, Any], violations: list[str], around: Mapping[str, Any]) -> Iterator[str]:
    machine, found = around["machine"], around["versions"]
    yield f"`{again}`, {datetime.now(UTC):%d %B %Y}, {machine['cores']} cores of {machine['processor']}, "
    yield f"{machine['memory_gib']} GiB, load {machine['load_before']} before; PostgreSQL {found['postgresql']}, "
    yield f"Redis {found['redis-server']}, Celery {found['celery']}. **{verdict(violations, facts['pipelines'])}**"
    yield ""
    yield "| figure | |"
    yield "|---|---|"
    for line in text(facts, violations):
        name, _, value = line.strip().partition(": ")
        if name:
            yield f"| {name} | {value.replace('|', '/')} |"
