"""The sandbox's own controls (SANDBOX_URL): what a cardholder does at their bank, and what happened outside."""

from base64 import b64decode
from typing import Any, Final, Literal

import requests
from django.conf import settings

from pipeline.workflow import Refused, Unavailable
from postings.providers.http import body_of

Outcome = Literal["succeed", "fail"]
TIMEOUT: Final = (2, 5)  # seconds to connect, to answer
_READING: Final = (2, 60)  # likewise: a long run's ledger has some hundred thousand entries


def authenticate(intent: str, outcome: Outcome) -> None:
    """Pass 3-D Secure or fail it. Refused when the intent waits for nobody, Unavailable without the sandbox."""
    address = f"{settings.SANDBOX_URL}/_sandbox/stripe/payment_intents/{intent}/authenticate"
    try:
        answer = requests.post(address, json={"outcome": outcome}, timeout=TIMEOUT)
    except requests.RequestException as error:
        raise Unavailable("sandbox_unreachable", "no connection to the sandbox") from error
    if answer.status_code != requests.codes.ok:
        raise Refused("not_waiting", f"the sandbox answered {answer.status_code}")


def ledger() -> list[dict[str, Any]]:
    """Every effect that ever happened outside, in order; answers of the idempotency layer (`replayed`) left out."""
    entries: list[dict[str, Any]] = _read("ledger")["entries"]
    return [entry for entry in entries if not entry["replayed"]]


def state() -> dict[str, Any]:
    """What exists outside now: holds, captures, open_intents, objects and the rest."""
    return _read("state")


def _read(what: str) -> dict[str, Any]:
    try:
        answer = requests.get(f"{settings.SANDBOX_URL}/_sandbox/{what}", timeout=_READING)
    except requests.RequestException as error:
        raise Unavailable("sandbox_unreachable", "no answer from the sandbox: check SANDBOX_URL") from error
    return body_of("sandbox", answer)


def digest_of(stored: dict[str, Any]) -> str:
    """The SHA-256, in hex, of an object of the state's; empty when it was stored without."""
    checksum = stored["checksums"].get("x-amz-checksum-sha256", "")
    return b64decode(checksum).hex()
