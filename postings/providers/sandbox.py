"""The sandbox's own controls (SANDBOX_URL): what a cardholder does at their bank, and what happened outside."""

from base64 import b64decode
from datetime import timedelta
from typing import Any, Final, Literal

import requests
from django.conf import settings

from pipeline.conf import conf
from pipeline.providers import budget
from pipeline.providers.over_urllib3 import session
from pipeline.workflow import Refused, Unavailable
from postings.providers.http import body_of

Outcome = Literal["succeed", "fail"]
# A long run's ledger has some hundred thousand entries.
_READING: Final = timedelta(seconds=60)
_LARGEST: Final = 1024 * 1024 * 1024  # bytes


def authenticate(intent: str, outcome: Outcome) -> None:
    """Pass 3-D Secure or fail it. Refused when the intent waits for nobody, Unavailable without the sandbox."""
    address = f"{settings.SANDBOX_URL}/_sandbox/stripe/payment_intents/{intent}/authenticate"
    try:
        with budget.within(conf().CALL_TIME_IN_REQUEST), session() as client:
            answer = client.post(address, json={"outcome": outcome})
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
        with budget.within(_READING, size=_LARGEST), session() as client:
            answer = client.get(f"{settings.SANDBOX_URL}/_sandbox/{what}")
    except requests.RequestException as error:
        raise Unavailable("sandbox_unreachable", "no answer from the sandbox: check SANDBOX_URL") from error
    return body_of("sandbox", answer)


def digest_of(stored: dict[str, Any]) -> str:
    """The SHA-256, in hex, of an object of the state's; empty when it was stored without."""
    checksum = stored["checksums"].get("x-amz-checksum-sha256", "")
    return b64decode(checksum).hex()
