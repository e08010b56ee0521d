"""The sandbox's own controls: what a cardholder does at their bank, where there is no bank (SANDBOX_URL)."""

from typing import Final, Literal

import requests
from django.conf import settings

from pipeline.workflow import Refused, Unavailable

Outcome = Literal["succeed", "fail"]
TIMEOUT: Final = (2, 5)  # seconds to connect, to answer


def authenticate(intent: str, outcome: Outcome) -> None:
    """Pass 3-D Secure or fail it. Refused when the intent waits for nobody, Unavailable without the sandbox."""
    address = f"{settings.SANDBOX_URL}/_sandbox/stripe/payment_intents/{intent}/authenticate"
    try:
        answer = requests.post(address, json={"outcome": outcome}, timeout=TIMEOUT)
    except requests.RequestException as error:
        raise Unavailable("sandbox_unreachable", "no connection to the sandbox") from error
    if answer.status_code != requests.codes.ok:
        raise Refused("not_waiting", f"the sandbox answered {answer.status_code}")
