"""Modern Treasury's ledger, by its official SDK. Its errors become ours here and only here.

Facts: https://docs.moderntreasury.com/platform/reference/ledger-transaction-object, /idempotent-requests. The SDK
is imported on first use: it takes a second, and most processes never need it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from pipeline.once import Once
from pipeline.providers import budget
from pipeline.retry import retry_after
from pipeline.workflow import Call, Misconfigured, Refused, StepFailure, Unavailable, Unknown

if TYPE_CHECKING:
    from modern_treasury import APIError, ModernTreasury

T = TypeVar("T")

PAGE: Final = 100  # accounts that one request names


@dataclass(frozen=True, slots=True)
class Transaction:
    """What we need of a ledger transaction: `status` is pending, posted or archived."""

    id: str
    status: str


@dataclass(frozen=True, slots=True)
class Marked:
    """One transaction of ours in the inventory: `reference` is the mark, `amount` in the currency's minor unit."""

    id: str
    status: str
    reference: str
    external_id: str
    amount: int
    created_at: datetime


class Unprocessable(StepFailure):
    """422: the balance lock, an external id in use, or a status that is final. Read and compare."""

    kind = "unknown"


def create(call: Call) -> Transaction:
    """Create it, or get what the same call has made before. Raises Unprocessable."""
    params: Any = call.params
    return _transaction(_send(lambda client: client.ledger_transactions.create(**params, idempotency_key=call.key)))


def update(transaction: str, call: Call) -> Transaction:
    """Change its status. Raises Unprocessable when it is final."""
    params: Any = call.params
    return _transaction(_send(lambda client: client.ledger_transactions.update(transaction, **params)))


def retrieve(transaction: str) -> Transaction:
    """Read it."""
    return _transaction(_send(lambda client: client.ledger_transactions.retrieve(transaction)))


def find(external_id: str) -> Transaction | None:
    """The pending or posted one of that external id: there is one at most. Archived ones have given it back."""
    found = _send(lambda client: list(client.ledger_transactions.list(external_id=external_id)))
    live = (_transaction(each) for each in found)
    return next((each for each in live if each.status != "archived"), None)


def transactions(since: datetime | None = None) -> Iterator[Marked]:
    """The inventory: every transaction with a mark of ours that was made since, archived ones too, newest first."""
    newest: Any = {"created_at": "desc"}
    listed = _send(lambda client: client.ledger_transactions.list(order_by=newest, per_page=PAGE))
    for page in _pages(listed):
        for each in page:
            if since is not None and each.created_at < since:
                return
            if (each.metadata or {}).get("pipeline_id"):
                yield _marked(each)


def marked(transaction: str) -> Marked:
    """One of them by its id."""
    return _marked(_send(lambda client: client.ledger_transactions.retrieve(transaction)))


def available(accounts: Sequence[str]) -> dict[str, int]:
    """Account id to its available balance, in the currency's minor unit; without the accounts it does not know."""
    balances: dict[str, int] = {}
    for first in range(0, len(accounts), PAGE):
        names = list(accounts[first : first + PAGE])
        balances |= _send(lambda client, names=names: _balances(client, names))  # type: ignore[misc] # bound now
    return balances


def account(external_id: str, *, name: str, normal_balance: str, currency: str) -> str:
    """The id of the account of that external id in our ledger, which are made if there are none."""
    for found in _send(lambda client: client.ledger_accounts.list(external_id=external_id)).items:
        return found.id
    ledger, balance = _ledger(), cast("Any", normal_balance)
    made = _send(
        lambda client: client.ledger_accounts.create(
            name=name, normal_balance=balance, currency=currency, external_id=external_id, ledger_id=ledger
        )
    )
    return made.id


def deposit(external_id: str, *, into: str, out_of: str, amount: int) -> None:
    """Post a transaction of that external id, once: for a buyer who has paid in."""
    if find(external_id) is not None:
        return
    entries: Any = [
        {"amount": amount, "direction": "credit", "ledger_account_id": into},
        {"amount": amount, "direction": "debit", "ledger_account_id": out_of},
    ]
    _send(
        lambda client: client.ledger_transactions.create(
            status="posted", external_id=external_id, ledger_entries=entries
        )
    )


@Once
def _client() -> "ModernTreasury":
    """One a process, made on first use: never before a worker forks."""
    from modern_treasury import ModernTreasury

    from pipeline.providers.over_httpx import client

    if not settings.MODERN_TREASURY_API_KEY or not settings.MODERN_TREASURY_ORGANIZATION_ID:
        raise ImproperlyConfigured(
            "MODERN_TREASURY_API_KEY and MODERN_TREASURY_ORGANIZATION_ID are not set: take them from its dashboard."
        )
    return ModernTreasury(
        api_key=settings.MODERN_TREASURY_API_KEY,
        organization_id=settings.MODERN_TREASURY_ORGANIZATION_ID,
        base_url=settings.MODERN_TREASURY_BASE_URL or None,
        max_retries=0,
        http_client=client(),
    )


def _send(request: Callable[["ModernTreasury"], T]) -> T:
    from modern_treasury import APIError

    client = _client()
    try:
        with budget.within():
            return request(client)
    except APIError as error:
        raise _ours(error) from error


def _ours(error: "APIError") -> StepFailure:
    """Refused, unavailable or unknown."""
    from modern_treasury import APIConnectionError, APIStatusError

    if isinstance(error, APIConnectionError):
        return _not_connected(error)
    if not isinstance(error, APIStatusError):
        return Unknown("no_answer", "the ledger's answer cannot be read")
    if error.status_code == 429:
        pause = retry_after(error.response.headers)
        return Unavailable("rate_limited", "the ledger asks for fewer requests", retry_after=pause)
    return _answered(error.status_code, _code(error.body))


def _answered(status: int, code: str) -> StepFailure:
    match status:
        case 422:
            return Unprocessable("unprocessable", code, outage=False)
        case 401 | 403:
            return Misconfigured("ledger_credentials", "the ledger refuses our key: check MODERN_TREASURY_API_KEY")
        case 400 | 404:
            return Refused("ledger_refused", f"the ledger refuses the request: {code}")
    return Unknown("server_error", f"the ledger answered {status}")


def _not_connected(error: BaseException) -> StepFailure:
    """Only a connection that was never made is known to have done nothing."""
    import httpx

    if isinstance(error.__cause__, httpx.ConnectError | httpx.ConnectTimeout):
        return Unavailable("ledger_unreachable", "no connection to the ledger")
    return Unknown("no_answer", "the connection to the ledger broke")


def _code(body: object) -> str:
    """The error's code and parameter, never its text: {"errors": {"code", "message", "parameter"}}."""
    errors = body.get("errors") if isinstance(body, Mapping) else None
    if not isinstance(errors, Mapping):
        return "no code"
    return " ".join(str(errors[name])[:60] for name in ("code", "parameter") if errors.get(name)) or "no code"


def _pages(page: Any) -> Iterator[list[Any]]:
    """A list's pages, each asked for when it is needed."""
    while True:
        yield page.items
        if not page.has_next_page():
            return
        page = _send(lambda _client, page=page: page.get_next_page())  # type: ignore[misc] # bound now


def _marked(found: Any) -> Marked:
    amount = sum(entry.amount for entry in found.ledger_entries if entry.direction == "debit")
    mark = (found.metadata or {}).get("pipeline_id", "")
    return Marked(found.id, found.status, mark, found.external_id or "", amount, found.created_at)


def _transaction(made: Any) -> Transaction:
    if not getattr(made, "id", "") or not getattr(made, "status", ""):
        raise Unknown("no_answer", "the ledger's answer is no transaction")
    return Transaction(made.id, made.status)


def _balances(client: "ModernTreasury", accounts: list[str]) -> dict[str, int]:
    found = client.ledger_accounts.list(id=accounts, per_page=PAGE)
    return {each.id: each.balances.available_balance.amount for each in found}


def _ledger() -> str:
    """The id of our ledger, which is made if there is none."""
    name = settings.MODERN_TREASURY_LEDGER
    for page in _pages(_send(lambda client: client.ledgers.list())):
        for found in page:
            if found.name == name:
                return str(found.id)
    return _send(lambda client: client.ledgers.create(name=name)).id
