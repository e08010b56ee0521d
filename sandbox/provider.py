"""What a provider's stand-in is made of: its operations, its words, its rules.

One provider is one module or package under `providers/` that exports a `Provider`; everything else (faults, ledger,
clock, idempotency, delivery) is shared.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.routing import Route

    from sandbox.world import World

Json = dict[str, Any]
compact = json.JSONEncoder(separators=(",", ":")).encode  # made once: `json.dumps` would make it for each call


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. `storable` is false for what an idempotency layer never keeps (refused parameters, 401, 429)."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    storable: bool = True


class Refused(Exception):
    """Raised by a handler to answer at once; what it has written until then stays."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


@dataclass(slots=True)
class Origin:
    """Who caused an effect: copied into every ledger entry and event that comes of it."""

    provider: str
    idempotency_key: str | None = None
    request_id: str | None = None
    client_saw_answer: bool = True
    entries: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Call:
    """One request to a provider. `path` is below the provider's prefix; header names are in lower case."""

    operation: Operation
    method: str
    path: str
    params: dict[str, str]
    query: str
    headers: dict[str, str]
    body: bytes
    origin: Origin

    @property
    def request_id(self) -> str:
        return self.origin.request_id or ""


Handler = Callable[["World", Call], Answer]


@dataclass(frozen=True, slots=True)
class Operation:
    """One route of a provider: `name` such as `payment_intents.capture`, `path` with `{placeholders}`.

    `{key*}` matches across slashes. `queries` are query parameters that must be present for the route to match.
    """

    name: str
    method: str
    path: str
    handler: Handler
    queries: tuple[str, ...] = ()
    header: str | None = None

    def pattern(self) -> re.Pattern[str]:
        literal = re.sub(r"\{(\w+)\*\}", r"(?P<\1>.+)", self.path)
        return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", literal) + r"\Z")

    def template(self) -> str:
        """`METHOD /path` with every placeholder spelt `{id}`, the form in which faults compare routes."""
        return f"{self.method} {re.sub(r'{[^}]*}', '{id}', self.path)}"


def same(call: Call) -> str:
    """The fingerprint, or scope, of a provider to which all requests are alike."""
    return ""


def unmarked(call: Call, first_request: str) -> Mapping[str, str]:
    """The headers of a provider that does not say when it replays."""
    return {}


@dataclass(frozen=True, slots=True)
class IdempotencyRules:
    """How a provider remembers requests by key.

    Without `mismatch` a key gives the first answer to whatever is asked with it; `scope` says whose the keys are.
    """

    header: str
    methods: frozenset[str]
    remembered_for: timedelta
    in_use: Callable[[Call], Answer]
    fingerprint: Callable[[Call], str] = same
    mismatch: Callable[[Call, str], Answer] | None = None
    replay_headers: Callable[[Call, str], Mapping[str, str]] = unmarked
    scope: Callable[[Call], str] = same


@dataclass(frozen=True, slots=True)
class WebhookRules:
    """How a provider tells of events: up to `batch_size` payloads joined into one signed POST."""

    batch_size: int
    join: Callable[[Sequence[bytes]], bytes]
    sign: Callable[[World, bytes], Mapping[str, str]]


def nothing(world: World) -> None:
    """The `tick` of a provider for which time changes nothing."""


def bare(_: Call) -> Mapping[str, str]:
    """The `request_headers` of a provider that gives its requests no ids."""
    return {}


@dataclass(frozen=True, slots=True)
class Provider:
    """A stand-in. `words` turns a fault kind into that provider's own error; `tick` lets time pass over its objects."""

    name: str
    operations: Sequence[Operation]
    schema: str
    tables: Sequence[str]
    authorise: Callable[[World, Call], None]
    unknown_route: Callable[[str, str], Answer]
    words: Callable[[str, float], Answer]
    state: Callable[[World], Json]
    request_headers: Callable[[Call], Mapping[str, str]] = bare
    idempotency: IdempotencyRules | None = None
    webhooks: WebhookRules | None = None
    extra_fault_kinds: frozenset[str] = frozenset()
    tick: Callable[[World], None] = nothing
    control: Sequence[Route] = ()


def credentials(call: Call) -> tuple[str, str]:
    """Scheme, in small letters, and value of the `Authorization` header; both empty without one."""
    scheme, _, value = call.headers.get("authorization", "").partition(" ")
    return scheme.lower(), value


def basic(call: Call) -> tuple[str, str]:
    """User and password of basic authentication (RFC 7617); both empty without it, or where they cannot be read."""
    scheme, value = credentials(call)
    if scheme != "basic":
        return "", ""
    try:
        user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return user, password


def new_id(prefix: str) -> str:
    """An id in the provider's manner: prefix and 24 random characters."""
    return f"{prefix}{time.time_ns() >> 10:014x}{secrets.token_hex(5)}"
