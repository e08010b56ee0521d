"""Supabase Auth (GoTrue's admin API), by its official SDK. Its errors become ours here and only here.

Facts: https://supabase.com/docs/reference/python/admin-api, https://github.com/supabase/auth. The SDK is imported on
first use. Nothing of its errors' texts is passed on: they may repeat what was sent.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import TYPE_CHECKING, Any, Final, TypeVar

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from pipeline.addresses import as_sent
from pipeline.once import Once
from pipeline.providers import budget
from pipeline.workflow import Misconfigured, Refused, StepFailure, Unavailable, Unknown

if TYPE_CHECKING:
    from supabase_auth import SyncGoTrueClient
    from supabase_auth.errors import AuthError

T = TypeVar("T")

_PASSWORD: Final = ("director_password", "The login's provider refuses this password as too weak: choose another one.")
_EMAIL: Final = ("director_email", "The login's provider does not take this email address: use another one.")
# GoTrue's codes: whose fault they are, in the customer's words.
_WRONG_FIELDS: Final = {"weak_password": _PASSWORD, "email_address_invalid": _EMAIL, "validation_failed": _EMAIL}
_OUR_SETTINGS: Final = frozenset({"email_provider_disabled", "provider_disabled", "signup_disabled"})
FOR_EVER: Final = "876000h"  # a hundred years: GoTrue's bans end


_PAGE: Final = 100  # users of one page of the list


@dataclass(frozen=True, slots=True)
class User:
    """One user of ours: `reference` is the mark, `is_admitted` whether the ban was lifted."""

    id: str
    reference: str
    is_admitted: bool
    created_at: datetime


class EmailExists(StepFailure):
    """A user of this address exists: read our id to see whose it is."""

    kind = "unknown"


class _Missing(Refused):
    """No user of this id."""


def create(*, id: str, email: str, reference: str, password: str) -> None:
    """Create the user banned. Raises EmailExists; Unknown when the id exists (GoTrue answers 500 for that)."""
    attributes: Any = {
        "id": id,
        "email": as_sent(email),
        "password": password,
        "email_confirm": False,
        "ban_duration": FOR_EVER,
        "app_metadata": {"pipeline_id": reference, "registration": "pending"},
    }
    try:
        _send(lambda client: client.admin.create_user(attributes))
    except _Missing:
        raise Misconfigured("supabase_url", "nothing creates users at this address: check SUPABASE_URL") from None


def owner_of(user: str) -> str | None:
    """The mark on the user; None when there is no such user."""
    try:
        found = _send(lambda client: client.admin.get_user_by_id(user))
    except _Missing:
        return None
    return str(found.user.app_metadata.get("pipeline_id", ""))


def users(since: datetime | None = None) -> Iterator[User]:
    """The inventory: every user with a mark of ours who was made since, newest first."""
    for number in count(1):
        page = _send(lambda client, number=number: client.admin.list_users(page=number, per_page=_PAGE))  # type: ignore[misc] # bound now
        for each in page:
            if since is not None and each.created_at < since:
                return
            if each.app_metadata.get("pipeline_id"):
                yield _user(each)
        if len(page) < _PAGE:
            return


def user(id: str) -> User | None:
    """One of them by its id; None when there is no such user."""
    try:
        return _user(_send(lambda client: client.admin.get_user_by_id(id)).user)
    except _Missing:
        return None


def admit(user: str, *, reference: str) -> None:
    """Lift the ban and confirm the address. Refused when there is no such user."""
    attributes: Any = {
        "email_confirm": True,
        "ban_duration": "none",
        "app_metadata": {"pipeline_id": reference, "registration": "complete"},
    }
    _send(lambda client: client.admin.update_user_by_id(user, attributes))


def delete(user: str) -> None:
    """Delete the user; deleting nobody is fine."""
    with suppress(_Missing):
        _send(lambda client: client.admin.delete_user(user))


def _user(found: Any) -> User:
    mark, registration = (str(found.app_metadata.get(name, "")) for name in ("pipeline_id", "registration"))
    return User(found.id, mark, registration == "complete", found.created_at)


@Once
def _client() -> "SyncGoTrueClient":
    """One a process, made on first use: never before a worker forks."""
    from supabase_auth import SyncGoTrueClient

    from pipeline.providers.over_httpx import client

    if not settings.SUPABASE_URL or not settings.SUPABASE_KEY:
        raise ImproperlyConfigured("SUPABASE_URL and SUPABASE_KEY (the service role's) are not set: see its dashboard.")
    return SyncGoTrueClient(
        url=f"{settings.SUPABASE_URL}/auth/v1",
        headers={"Authorization": f"Bearer {settings.SUPABASE_KEY}", "apikey": settings.SUPABASE_KEY},
        auto_refresh_token=False,
        persist_session=False,
        http_client=client(),
    )


def _send(request: Callable[["SyncGoTrueClient"], T]) -> T:
    from supabase_auth.errors import AuthError

    client = _client()
    try:
        with budget.within():
            return request(client)
    except AuthError as error:
        failure = _ours(error)
    except ValueError:  # an answer that is no user: pydantic's error repeats it
        failure = Unknown("no_answer", "Supabase's answer cannot be read")
    raise failure  # not `from` its error, whose text may repeat an address


def _ours(error: "AuthError") -> StepFailure:
    """Refused, unavailable or unknown: its code tells, or its status, or that there is none."""
    status, code = int(getattr(error, "status", 0) or 0), str(error.code or "")
    if code == "email_exists":
        return EmailExists(code, "a user of this address exists", outage=False)
    if code in _WRONG_FIELDS:
        field, message = _WRONG_FIELDS[code]
        detail = f"Supabase refuses the field: {code}"
        return Refused(f"{field}_refused", detail, title="Registration refused", message=message, field=field)
    if code in _OUR_SETTINGS:
        return Misconfigured("supabase_settings", f"Supabase answered {code}: allow sign-ups by email in its dashboard")
    return _answered(status, code) if status else _not_answered(error)


def _answered(status: int, code: str) -> StepFailure:
    match status:
        case 404:
            return _Missing("user_not_found", "Supabase has no user of this id")
        case 401 | 403:
            return Misconfigured("supabase_credentials", "Supabase refuses our key: check SUPABASE_KEY")
        case 429:
            return Unavailable("rate_limited", "Supabase asks for fewer requests")
        case 400 | 422:
            return Refused("user_refused", f"Supabase answered {status} {code}".strip(), title="Registration refused")
    return Unknown("server_error", f"Supabase answered {status}")


def _not_answered(error: BaseException) -> StepFailure:
    """Only a connection that was never made is known to have done nothing."""
    import httpx

    if isinstance(error.__cause__, httpx.ConnectError | httpx.ConnectTimeout):
        return Unavailable("supabase_unreachable", "no connection to Supabase")
    return Unknown("no_answer", "the connection to Supabase broke")
