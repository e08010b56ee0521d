"""SendGrid, by its official SDK. It knows no idempotency key: who calls decides what an unknown outcome means."""

import json
import socket
from collections.abc import Mapping
from datetime import timedelta
from http.client import HTTPException
from typing import Any, Final
from urllib.error import URLError

from django.conf import settings
from python_http_client import Client
from python_http_client.exceptions import HTTPError
from sendgrid import SendGridAPIClient

from pipeline.addresses import as_sent
from pipeline.providers import budget
from pipeline.providers.over_urllib import opener
from pipeline.retry import retry_after
from pipeline.workflow import Misconfigured, Refused, StepFailure, Unavailable, Unknown

_PAUSE: Final = timedelta(seconds=5)  # after a 429 that names none


def message(
    *, to: str, subject: str, text: str, html: str, category: str, custom_args: Mapping[str, str]
) -> dict[str, Any]:
    """The body of one mail, as it will be stored and sent."""
    return {
        "personalizations": [{"to": [{"email": as_sent(to)}], "custom_args": dict(custom_args)}],
        "from": {"email": as_sent(settings.MAIL_FROM), "name": settings.MAIL_FROM_NAME},
        "subject": " ".join(subject.split()),  # no line of a header can be smuggled in
        "content": [{"type": "text/plain", "value": text}, {"type": "text/html", "value": html}],
        "categories": [category],
    }


def send(body: Mapping[str, Any]) -> str:
    """Hand one mail over; the provider's message id.

    Refused: the address or the mail. Unavailable: certainly not accepted. Unknown: perhaps accepted.
    """
    response = _post(body)
    if response.status_code != 202:
        raise Unknown("unexpected_answer", f"SendGrid answered {response.status_code}")
    return str(response.headers.get("X-Message-Id", ""))


def is_reachable() -> bool:
    """Whether SendGrid takes connections."""
    try:
        with budget.within():
            _client().client.scopes.get()
    except HTTPError:
        return True
    except (URLError, OSError, HTTPException):
        return False
    return True


class _Bounded(Client):  # type: ignore[misc] # it ships no types
    """The SDK's own client, which opens its requests with our opener."""

    def _build_client(self, name: str | None = None) -> "_Bounded":
        path = [*self._url_path, name] if name else self._url_path
        return _Bounded(self.host, self.request_headers, self._version, path, self.append_slash)

    def _make_request(self, _: Any, request: Any, timeout: float | None = None) -> Any:
        return super()._make_request(opener(), request)


def _client() -> SendGridAPIClient:
    """A new one each time: the SDK shares its headers' dict between calls and threads."""
    client = SendGridAPIClient(settings.SENDGRID_API_KEY, **_host())
    client.client = _Bounded(client.client.host, client.client.request_headers, version=3)
    return client


def _host() -> dict[str, str]:
    return {"host": settings.SENDGRID_HOST} if settings.SENDGRID_HOST else {}


def _post(body: Mapping[str, Any]) -> Any:
    try:
        with budget.within():
            return _client().client.mail.send.post(request_body=dict(body))
    except HTTPError as error:
        raise _ours(error) from error
    except URLError as error:
        if isinstance(error.reason, ConnectionRefusedError | socket.gaierror):
            raise Unavailable("mail_unreachable", "no connection to SendGrid") from error
        raise Unknown("no_answer", "the connection to SendGrid broke") from error
    except (OSError, HTTPException) as error:
        raise Unknown("no_answer", "the connection to SendGrid broke") from error


def _ours(error: HTTPError) -> StepFailure:
    status = error.status_code
    if status in (409, 429):
        pause = retry_after(error.headers) or _PAUSE
        return Unavailable("rate_limited", "SendGrid asks for fewer requests, or for this one later", retry_after=pause)
    if status in (401, 403):
        return Misconfigured("mail_credentials", "SendGrid refuses us: check SENDGRID_API_KEY and MAIL_FROM's sender")
    if status == 413 or (status == 400 and _is_about_ours(error)):
        detail = "SendGrid refuses the mail's form: check MAIL_FROM and the templates"
        return Misconfigured("mail_refused", detail, outage=False)
    if status == 400:
        return Refused("email_refused", "SendGrid refuses the mail or its address", title="Email refused")
    if status < 500:
        return Misconfigured("mail_settings", f"SendGrid answered {status}: check the mail settings")
    return Unknown("server_error", f"SendGrid answered {status}")


def _is_about_ours(error: HTTPError) -> bool:
    """Whether it names fields, and the recipient's is not one of them."""
    try:
        fields = [str(each.get("field") or "") for each in json.loads(error.body)["errors"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    return any(fields) and not any(field.startswith("personalizations") for field in fields)
