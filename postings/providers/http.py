"""Plain HTTP to providers without an SDK of ours: one request, no retry, and what a broken connection means."""

from typing import Any

import requests
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from pipeline.providers import budget
from pipeline.providers.over_urllib3 import session
from pipeline.workflow import Unavailable, Unknown


def ask(vendor: str, method: str, url: str, **given: Any) -> requests.Response:
    """One request, whatever its status. Unavailable: it was never sent. Unknown: perhaps it was."""
    try:
        with budget.within(), session() as client:
            return client.request(method, url, allow_redirects=False, **given)
    except requests.RequestException as error:
        if _never_connected(error):
            raise Unavailable(f"{vendor}_unreachable", f"no connection to {vendor}") from error
        raise Unknown("no_answer", f"the connection to {vendor} broke") from error


def body_of(vendor: str, answer: requests.Response) -> dict[str, Any]:
    """The JSON object of an answer; Unknown when it is none."""
    try:
        body = answer.json()
    except requests.JSONDecodeError as error:
        raise Unknown("unexpected_answer", f"{vendor} answered {answer.status_code} without JSON") from error
    if not isinstance(body, dict):
        raise Unknown("unexpected_answer", f"{vendor} answered {answer.status_code} with something else")
    return body


def _never_connected(error: requests.RequestException) -> bool:
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(error, requests.ConnectTimeout) or isinstance(reason, NewConnectionError | ConnectTimeoutError)
