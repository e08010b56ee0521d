"""What breaks when: made from the seed alone, before the run begins."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

# Kinds of one family take turns in shuffled rounds, so that a short run has all of them. What stands twice comes
# twice as often. The two numbers are the shortest and the longest pause between two, in seconds.
PROCESSES: Final = (
    "kill a worker tree", "kill a worker tree", "kill a pool child", "kill a pool child", "kill a worker's parent",
    "kill at a crash point", "kill at a crash point", "kill a sweep", "kill web in a request", "kill the sandbox",
)  # fmt: skip
ZOMBIES: Final = ("stop before create", "stop between create and confirm", "stop before capture", "stop a worker tree")
REDIS: Final = ("kill Redis", "kill Redis and empty it", "FLUSHALL", "stall Redis", "CLIENT KILL")
RABBITMQ: Final = ("kill RabbitMQ", "purge the queues", "stall RabbitMQ")
POSTGRES: Final = ("restart PostgreSQL at once", "terminate sessions", "terminate sessions")
PAUSES: Final[Mapping[str, tuple[float, float]]] = {
    "processes": (2.5, 6),
    "zombies": (9, 15),
    "broker": (18, 32),
    "postgres": (25, 45),
}
QUIET_AT_THE_END: Final = 5.0

POINTS: Final = tuple(
    f"{place}.{point}"
    for place in (
        "logo.stage", "posting.stage", "payment.stage", "email.stage", "payment.commit", "posting.commit",
        "email.commit", "logo.rollback", "posting.rollback", "payment.rollback", "email.rollback",
    )
    for point in ("claimed", "effect", "recorded")
)  # fmt: skip
STOPPED_AT: Final[Mapping[str, str]] = {
    "stop before create": "payment.stage.create_stored",
    "stop between create and confirm": "payment.stage.confirm_stored",
    "stop before capture": "payment.commit.capture_stored",
}

REQUEST_KINDS: Final = (
    "error_before", "error_after", "drop_before", "drop_after", "timeout_before", "timeout_after", "late", "truncate",
    "rate_limit", "conflict", "latency", "down",
)  # fmt: skip
WEBHOOK_KINDS: Final = ("webhook_duplicate", "webhook_reorder", "webhook_lost")
PROVIDERS: Final = ("stripe", "sendgrid", "s3", "google", "twilio", "modern_treasury", "supabase")
WITH_WEBHOOKS: Final = ("stripe", "sendgrid")


@dataclass(frozen=True, slots=True, order=True)
class Act:
    """One fault: when, which, and what chance has decided about it."""

    at: float  # seconds from the start
    kind: str
    chance: float = field(compare=False, default=0.0)  # 0 to 1: chooses the victim, the length, the point
    fault: Mapping[str, Any] | None = field(compare=False, default=None)  # for the sandbox


def schedule(seed: int, seconds: float, *, broker: tuple[str, ...] = REDIS) -> list[Act]:
    """Every act of the run, in order."""
    families = {"processes": PROCESSES, "zombies": ZOMBIES, "broker": broker, "postgres": POSTGRES}
    acts = [act for name, kinds in families.items() for act in _turns(seed, name, kinds, seconds)]
    return sorted([*acts, *_provider_faults(seed, seconds)])


def kills(seed: int, seconds: float, every: float) -> list[Act]:
    """Scenario A: one of the worker trees killed at intervals, and nothing else."""
    chance = random.Random(f"{seed}:kills")
    return [Act(every * number, "kill a worker tree", chance.random()) for number in range(1, int(seconds / every) + 1)]


def _turns(seed: int, name: str, kinds: tuple[str, ...], seconds: float) -> Iterator[Act]:
    chance = random.Random(f"{seed}:{name}")
    shortest, longest = PAUSES[name]
    at, left = chance.uniform(2, shortest), list[str]()
    while at < seconds - QUIET_AT_THE_END:
        if not left:
            left = chance.sample(kinds, len(kinds))
        yield Act(at, left.pop(), chance.random())
        at += chance.uniform(shortest, longest)


def _provider_faults(seed: int, seconds: float) -> Iterator[Act]:
    """Every kind of every provider, in rounds of two minutes; each strikes a few times, wherever it meets a request."""
    chance = random.Random(f"{seed}:providers")
    rounds = max(1, round(seconds / 150))
    for number in range(rounds):
        faults = [(provider, kind) for provider in PROVIDERS for kind in kinds_of(provider)]
        length = seconds * 0.85 / rounds
        for place, (provider, kind) in enumerate(chance.sample(faults, len(faults))):
            fault = {
                "provider": provider,
                "kind": kind,
                "probability": round(chance.uniform(0.3, 0.8), 2),
                "times": chance.randint(1, 4 if provider in WITH_WEBHOOKS or provider == "s3" else 2),
                "seed": f"{seed}-{number}-{place}",
            }
            if kind == "latency":
                fault["seconds"] = round(chance.uniform(0.2, 1.2), 2)
            at = length * number + length * place / len(faults)
            yield Act(at, f"{provider} {kind}", chance.random(), fault)


def kinds_of(provider: str) -> tuple[str, ...]:
    """The fault kinds of SANDBOX.md that concern the provider."""
    more = ("lock_timeout",) if provider == "stripe" else ()
    return REQUEST_KINDS + more + (WEBHOOK_KINDS if provider in WITH_WEBHOOKS else ())
