"""Google's Indexing API over plain HTTP, with a service account's key.

Sources: https://developers.google.com/search/apis/indexing-api/v3/using-api, RFC 7523 (the signed assertion).
"""

import json
import time
from base64 import urlsafe_b64encode
from datetime import datetime, timedelta
from typing import Any, Final, Literal, cast

import requests
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from pipeline.retry import retry_after
from pipeline.workflow import Misconfigured, Refused, StepFailure, Unavailable, Unknown
from postings.providers import http

Kind = Literal["URL_UPDATED", "URL_DELETED"]

_PAUSE: Final = timedelta(hours=1)  # after a 429 that names none: a day's quota is used up
_SCOPE: Final = "https://www.googleapis.com/auth/indexing"
_TOKEN_LIFE: Final = 3600  # seconds; Google's longest
_TOKEN_MARGIN: Final = 300  # seconds before its end at which a token is renewed
_LATEST: Final[dict[Kind, str]] = {"URL_UPDATED": "latestUpdate", "URL_DELETED": "latestRemove"}

_tokens: dict[str, tuple[str, float]] = {}  # of this process: by credentials, with their end


def publish(url: str, kind: Kind) -> None:
    """Tell that the page is new or gone. It uses one of the day's 200, whatever comes of it.

    Refused: Google never takes this page from us. Unavailable: not done. Unknown: perhaps done.
    """
    answer = _ask("POST", "urlNotifications:publish", json={"url": url, "type": kind})
    if answer.status_code != requests.codes.ok:
        raise _ours(answer)
    http.body_of("google", answer)


def told_at(url: str, kind: Kind) -> datetime | None:
    """When Google was last told this of the page; None when it never was."""
    answer = _ask("GET", "urlNotifications/metadata", params={"url": url})
    if answer.status_code == requests.codes.not_found:
        return None
    if answer.status_code != requests.codes.ok:
        raise _ours(answer)
    at = (http.body_of("google", answer).get(_LATEST[kind]) or {}).get("notifyTime")
    return datetime.fromisoformat(at) if at else None


def _ask(method: str, path: str, **given: Any) -> requests.Response:
    url = f"{settings.GOOGLE_INDEXING_BASE}/v3/{path}"
    return http.ask("google", method, url, headers={"Authorization": f"Bearer {_token()}"}, **given)


def _ours(answer: requests.Response) -> StepFailure:  # noqa: PLR0911 - one line for each answer
    status = answer.status_code
    if status == 429:
        pause = retry_after(answer.headers) or _PAUSE
        return Unavailable("quota_exhausted", "Google takes no more just now", retry_after=pause, outage=False)
    if status == 401:
        return Misconfigured("google_credentials", "Google refuses our token: check GOOGLE_INDEXING_CREDENTIALS")
    if status == 403:
        detail = "The service account is no owner of the site: add it in Search Console"
        return Misconfigured("google_permission", detail)
    if status == 400:
        return Refused("page_refused", "Google refuses the page's address", title="Not indexed")
    if status == 409:
        return Unavailable("busy", "Google answered 409: another request is in progress")
    if status < 500:
        return Misconfigured("google_settings", f"Google answered {status}: check GOOGLE_INDEXING_BASE")
    return Unknown("server_error", f"Google answered {status}")


def _token() -> str:
    """An access token; with the sandbox, which asks for none, any text."""
    credentials = settings.GOOGLE_INDEXING_CREDENTIALS
    if not credentials:
        if settings.SANDBOX_URL:
            return "sandbox"
        raise ImproperlyConfigured(
            "INDEXING_ENABLED needs GOOGLE_INDEXING_CREDENTIALS: the JSON of a service account's key."
        )
    token, ends = _tokens.get(credentials, ("", 0.0))
    if time.time() < ends - _TOKEN_MARGIN:
        return token
    account = json.loads(credentials)
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": _assertion(account)}
    try:
        answer = http.ask("google", "POST", account["token_uri"], data=form)
    except Unknown as unknown:  # no page was told of anything yet
        raise Unavailable("google_credentials", "no answer from Google's token address") from unknown
    if answer.status_code != requests.codes.ok:
        raise Misconfigured("google_credentials", f"Google gave no token ({answer.status_code}): check the credentials")
    body = http.body_of("google", answer)
    _tokens[credentials] = (str(body["access_token"]), time.time() + float(body.get("expires_in", _TOKEN_LIFE)))
    return _tokens[credentials][0]


def _assertion(account: dict[str, str]) -> str:
    """A JWT that the service account's key has signed (RS256)."""
    now = int(time.time())
    header = {"alg": "RS256", "typ": "JWT", "kid": account.get("private_key_id", "")}
    claims = {
        "iss": account["client_email"],
        "scope": _SCOPE,
        "aud": account["token_uri"],
        "iat": now,
        "exp": now + _TOKEN_LIFE,
    }
    signed = ".".join(_segment(json.dumps(part).encode()) for part in (header, claims))
    key = cast("rsa.RSAPrivateKey", serialization.load_pem_private_key(account["private_key"].encode(), None))
    return f"{signed}.{_segment(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def _segment(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
