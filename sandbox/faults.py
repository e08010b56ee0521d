"""Faults: which of them strike a request or an event. What a strike does to a request stands in `exchange`."""

from __future__ import annotations

import random
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sandbox.provider import Call, Json, Operation, Provider
from sandbox.store import Store

SCHEMA = """
CREATE TABLE IF NOT EXISTS faults (
    id INTEGER PRIMARY KEY AUTOINCREMENT, provider TEXT NOT NULL, route TEXT, kind TEXT NOT NULL, probability REAL,
    nth INTEGER, times INTEGER, seconds REAL NOT NULL, seed TEXT NOT NULL, calls INTEGER NOT NULL,
    fired INTEGER NOT NULL);
"""
REQUEST_KINDS = (
    "error_before",
    "error_after",
    "drop_before",
    "drop_after",
    "timeout_before",
    "timeout_after",
    "late",
    "truncate",
    "drip",
    "drip_head",
    "endless",
    "rate_limit",
    "conflict",
    "unauthorised",
    "bad_request",
    "latency",
    "down",
)
WEBHOOK_KINDS = ("webhook_duplicate", "webhook_reorder", "webhook_lost")
# The client sees no whole answer although the effect happened: the ledger says so in `client_saw_answer`.
HIDING_KINDS = frozenset({"drop_after", "timeout_after", "error_after", "truncate", "late", "endless"})
# 15 s outlast a client's timeout of 10 s; a late effect comes 2 s after the client gave up.
DEFAULT_SECONDS = {"timeout_before": 15.0, "timeout_after": 15.0, "late": 2.0}
FIELDS = ("provider", "route", "kind", "probability", "nth", "times", "seconds", "seed")


class BadFault(ValueError):
    """A fault that cannot be understood: the message says why, `allowed` what would be."""

    def __init__(self, message: str, allowed: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.allowed = list(allowed)


@dataclass(slots=True)
class Fault:
    """One fault. `calls` counts the requests that it could have struck, `fired` those that it did."""

    id: int
    provider: str
    route: str | None
    kind: str
    probability: float | None
    nth: int | None
    times: int | None
    seconds: float
    seed: str
    calls: int = 0
    fired: int = 0

    def strikes(self) -> bool:
        """Counts one more call and decides. The draw depends on seed and count alone, so a run can be repeated."""
        self.calls += 1
        limit = self.times if self.times is not None or self.nth is None else 1
        if limit is not None and self.fired >= limit:
            return False
        if self.nth is not None and self.calls < self.nth:
            return False
        if self.probability is not None:
            draw = random.Random(f"{self.seed}:{self.calls}").random()  # noqa: S311 - repeatable, not secret
            if draw >= self.probability:
                return False
        self.fired += 1
        return True


@dataclass(frozen=True, slots=True)
class Verdict:
    """What befalls one request: at most one `kind`, and `latency` seconds before its answer."""

    kind: str | None = None
    seconds: float = 0.0
    latency: float = 0.0

    @property
    def hides_answer(self) -> bool:
        return self.kind in HIDING_KINDS


CALM = Verdict()


class Faults:
    """The active faults, oldest first, written through to the store."""

    def __init__(self, store: Store, providers: Mapping[str, Provider]) -> None:
        self._store = store
        self._providers = providers
        self._templates = {name: exact_routes(provider) for name, provider in providers.items()}
        self._active = [_from_row(dict(row)) for row in store.all("SELECT * FROM faults ORDER BY id")]

    def add(self, body: Any) -> Fault:
        """Adds the fault that `body` describes. Raises BadFault with what is allowed instead."""
        values = checked(body, self._providers)
        names = ", ".join(values)
        marks = ", ".join("?" * len(values))
        cursor = self._store.execute(
            f"INSERT INTO faults ({names}, calls, fired) VALUES ({marks}, 0, 0)",
            tuple(values.values()),
        )
        fault = Fault(id=cursor.lastrowid or 0, **values)
        self._active.append(fault)
        return fault

    def listed(self) -> list[Json]:
        return [asdict(fault) for fault in self._active]

    def clear(self) -> int:
        """Ends every fault; answers how many there were."""
        count = len(self._active)
        self._active.clear()
        self._store.execute("DELETE FROM faults")
        return count

    def for_call(self, call: Call) -> Verdict:
        """Asks each fault in turn. Latencies add up; the first other fault that strikes ends the asking."""
        if not self._active:
            return CALM
        latency = 0.0
        for fault in self._active:
            if fault.provider != call.origin.provider or fault.kind in WEBHOOK_KINDS:
                continue
            if not self._concerns(fault, call) or not self._struck(fault):
                continue
            if fault.kind != "latency":
                return Verdict(fault.kind, fault.seconds, latency)
            latency += fault.seconds
        return Verdict(latency=latency)

    def for_event(self, provider: str, event_type: str) -> Verdict:
        """The webhook fault that strikes an event; its `route` is looked for in the event's type."""
        for fault in self._active:
            if fault.provider != provider or fault.kind not in WEBHOOK_KINDS:
                continue
            if (fault.route is None or fault.route in event_type) and self._struck(fault):
                return Verdict(fault.kind, fault.seconds)
        return CALM

    def _concerns(self, fault: Fault, call: Call) -> bool:
        if fault.route is None:
            return True
        route = normal_route(fault.route)
        if route in self._templates[fault.provider]:
            return route in exact_forms(fault.provider, call.operation)
        concrete = (f"{call.method} {call.path}", f"{call.method} /{fault.provider}{call.path}")
        return any(route in form for form in (*exact_forms(fault.provider, call.operation), *concrete))

    def _struck(self, fault: Fault) -> bool:
        struck = fault.strikes()
        self._store.execute("UPDATE faults SET calls = ?, fired = ? WHERE id = ?", (fault.calls, fault.fired, fault.id))
        return struck


def normal_route(route: str) -> str:
    """Every placeholder spelt `{id}`."""
    return re.sub(r"\{[^}]*\}", "{id}", route.strip())


def exact_forms(provider: str, operation: Operation) -> tuple[str, str, str]:
    """The three exact spellings of an operation: name, `METHOD /path`, `METHOD /provider/path`."""
    template = operation.template()
    method, path = template.split(" ", 1)
    return operation.name, template, f"{method} /{provider}{path}"


def exact_routes(provider: Provider) -> frozenset[str]:
    return frozenset(form for operation in provider.operations for form in exact_forms(provider.name, operation))


def kinds_of(provider: Provider) -> list[str]:
    """The fault kinds that a provider knows."""
    webhooks = WEBHOOK_KINDS if provider.webhooks else ()
    return [*REQUEST_KINDS, *sorted(provider.extra_fault_kinds), *webhooks]


def checked(body: Any, providers: Mapping[str, Provider]) -> Json:
    """The columns of a new fault, or BadFault."""
    if not isinstance(body, dict):
        raise BadFault("the body must be a JSON object", FIELDS)
    if unknown := sorted(set(body) - set(FIELDS)):
        raise BadFault(f"unknown field: {', '.join(unknown)}", FIELDS)
    if not isinstance(body.get("provider"), str) or body["provider"] not in providers:
        raise BadFault("'provider' must be one that the sandbox stands in for", providers)
    provider = providers[body["provider"]]
    if body.get("kind") not in kinds_of(provider):
        raise BadFault(f"'kind' must be one that {provider.name} knows", kinds_of(provider))
    if body.get("probability") is not None and body.get("nth") is not None:
        raise BadFault("give 'probability' or 'nth', not both", ["probability", "nth"])
    seconds = _number(body, "seconds", 0, 86_400)
    return {
        "provider": provider.name,
        "route": _route(body, provider),
        "kind": body["kind"],
        "probability": _number(body, "probability", 0, 1),
        "nth": _count(body, "nth"),
        "times": _count(body, "times"),
        "seconds": DEFAULT_SECONDS.get(body["kind"], 1.0) if seconds is None else seconds,
        "seed": _seed(body),
    }


def _route(body: Json, provider: Provider) -> str | None:
    route = body.get("route")
    if route is None:
        return None
    names = [operation.name for operation in provider.operations]
    if not isinstance(route, str) or not route.strip():
        raise BadFault("'route' must be a route, or be left out for every route", names)
    known = any(normal_route(route) in form for form in exact_routes(provider))
    if not known and "/" not in route and body["kind"] not in WEBHOOK_KINDS:
        raise BadFault(f"'route' {route!r} is no operation of {provider.name} and no part of a path", names)
    return route


def _number(body: Json, name: str, low: float, high: float) -> float | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise BadFault(f"'{name}' must be a number from {low} to {high}")
    return float(value)


def _count(body: Json, name: str) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise BadFault(f"'{name}' must be a whole number from 1")
    return value


def _seed(body: Json) -> str:
    value = body.get("seed")
    if value is None:
        return secrets.token_hex(4)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise BadFault("'seed' must be a whole number or a string")
    return str(value)


def _from_row(row: Json) -> Fault:
    return Fault(**row)
