"""Every function of every provider module that asks its provider: it ends in time, and says that it does not know.

A new module, or a new function of one, is named here until it stands in one of the two tables.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.apps import apps

from examples.ledger_orders.providers import modern_treasury
from examples.registrations.providers import supabase
from pipeline.providers import budget
from pipeline.run import Call
from pipeline.workflow import StepFailure, Unavailable, Unknown
from postings.providers import (
    google_indexing,
    http,
    mail,
    recaptcha,
    sandbox,
    storage,
    storage_check,
    stripe,
    stripe_money,
    twilio,
)
from tests.providers import peers
from tests.providers.peers import peer

CALL = timedelta(seconds=1)
NEVER = 30  # seconds after which a call that has not ended never will: no peer ends by itself
ENTRIES = {"ledger_entries": []}
CALLED = Call(key="k", params={}, generation=1, first_sent_at=datetime.now(UTC), is_new=True)
MAIL = {"personalizations": [], "subject": "s"}

# Functions that ask a provider, with arguments that make them ask.
ASKING: dict[Callable[..., Any], tuple[Any, ...]] = {
    stripe.create: (CALLED,),
    stripe.confirm: ("pi_1", CALLED),
    stripe.capture: ("pi_1", CALLED),
    stripe.cancel: ("pi_1", CALLED),
    stripe.retrieve: ("pi_1",),
    stripe.refund: (CALLED,),
    stripe.find: ("reference", datetime.now(UTC)),
    stripe.intents: (),
    stripe.refunds: (),
    stripe.is_reachable: (),
    stripe_money.whose: ("ch_1", "pi_1"),
    stripe_money.events: (["charge.refunded"], datetime.now(UTC)),
    mail.send: (MAIL,),
    mail.is_reachable: (),
    storage.put_new: ("logos/1.png", b"x"),
    storage.owner_of: ("logos/1.png",),
    storage.objects: (),
    storage.described: ("logos/1.png",),
    storage.read: ("logos/1.png",),
    storage.delete: ("logos/1.png",),
    storage.is_reachable: (),
    storage_check.lacks: (),
    http.ask: ("vendor", "GET", "http://{host}/"),
    google_indexing.publish: ("https://jobs.example.com/1", "URL_UPDATED"),
    google_indexing.told_at: ("https://jobs.example.com/1", "URL_UPDATED"),
    recaptcha.verify: ("token",),
    twilio.send: ({"To": "+1"},),
    twilio.was_sent: ("+1", "mark"),
    sandbox.authenticate: ("pi_1", "succeed"),
    sandbox.ledger: (),
    sandbox.state: (),
    supabase.owner_of: ("00000000-0000-0000-0000-000000000001",),
    supabase.users: (),
    supabase.user: ("00000000-0000-0000-0000-000000000001",),
    supabase.delete: ("00000000-0000-0000-0000-000000000001",),
    supabase.create: (),
    supabase.admit: ("00000000-0000-0000-0000-000000000001",),
    modern_treasury.create: (replace(CALLED, params=ENTRIES),),
    modern_treasury.update: ("lt_1", CALLED),
    modern_treasury.retrieve: ("lt_1",),
    modern_treasury.find: ("external",),
    modern_treasury.transactions: (),
    modern_treasury.marked: ("lt_1",),
    modern_treasury.available: (["account"],),
    modern_treasury.account: ("external",),
    modern_treasury.deposit: ("external",),
}
MORE: dict[Callable[..., Any], dict[str, Any]] = {
    storage.put_new: {"content_type": "image/png", "reference": "r", "digest": "d"},
    supabase.create: {"id": "i", "email": "a@example.com", "reference": "r", "password": "p"},
    supabase.admit: {"reference": "r"},
    modern_treasury.account: {"name": "n", "normal_balance": "credit", "currency": "EUR"},
    modern_treasury.deposit: {"into": "a", "out_of": "b", "amount": 1},
}
# Functions that need the head alone: with the head they have an answer, even if the body never ends.
HEADS = (storage.owner_of, storage.described, storage.is_reachable)
# What computes and asks nobody.
LOCAL = {
    "postings.providers.stripe.declined",
    "postings.providers.storage.has_credentials",
    "postings.providers.storage.way_of_puts",
    "postings.providers.mail.message",
    "postings.providers.twilio.message",
    "postings.providers.http.body_of",
    "postings.providers.sandbox.digest_of",
    "postings.providers.sendgrid_webhooks.verified_events",
    "postings.providers.stripe_webhooks.verified_event",
    "postings.providers.twilio_webhooks.is_signed",
    "postings.providers.twilio_webhooks.verified_form",
}


def provider_modules() -> Iterator[Any]:
    """Every module of every application's `providers`."""
    for app in apps.get_app_configs():
        if not app.name.startswith(("postings", "examples.")):
            continue
        package = importlib.import_module(f"{app.name}.providers")
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            yield importlib.import_module(found.name)


def functions(module: Any) -> set[str]:
    return {
        f"{module.__name__}.{name}"
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
    }


def test_every_function_of_a_provider_module_is_tried_or_asks_nobody():
    found = set().union(*(functions(module) for module in provider_modules()))
    tried = {f"{function.__module__}.{function.__name__}" for function in ASKING}
    assert found == tried | LOCAL, "a new function? Add it to ASKING with arguments, or to LOCAL if it asks nobody"
    assert not tried & LOCAL


@pytest.fixture
def pointed(settings) -> Callable[[str], None]:
    """Points every provider module at an address."""
    clients = (stripe._client, storage._client, supabase._client, modern_treasury._client)

    def point(host: str) -> None:
        url = f"http://{host}"
        settings.PIPELINE = settings.PIPELINE | {"CALL_TIME": CALL}
        settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE = "sk_test_x", url
        settings.SENDGRID_API_KEY, settings.SENDGRID_HOST = "SG.x", url
        settings.S3_ENDPOINT_URL, settings.S3_BUCKET = url, "postings"
        settings.S3_ACCESS_KEY_ID = settings.S3_SECRET_ACCESS_KEY = "x"
        settings.SUPABASE_URL, settings.SUPABASE_KEY = url, "x"
        settings.MODERN_TREASURY_BASE_URL = url
        settings.MODERN_TREASURY_API_KEY = settings.MODERN_TREASURY_ORGANIZATION_ID = "x"
        settings.SANDBOX_URL = settings.GOOGLE_INDEXING_BASE = settings.RECAPTCHA_BASE = url
        settings.RECAPTCHA_SECRET = settings.RECAPTCHA_SITE_KEY = "x"
        settings.TWILIO_API_BASE, settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN = url, "AC", "x"
        settings.TWILIO_FROM = "+15005550006"
        for client in clients:
            client.cache_clear()
            client()

    yield point
    for client in clients:
        client.cache_clear()


def outcome(function: Callable[..., Any], host: str) -> Any:
    """What it returns or raises; of a generator, what its items are."""
    arguments = [each.format(host=host) if isinstance(each, str) else each for each in ASKING[function]]
    try:
        found = function(*arguments, **MORE.get(function, {}))
        return list(found) if inspect.isgenerator(found) else found
    except Exception as error:  # noqa: BLE001 - it is what is looked at
        return error


def outcomes(host: str) -> dict[str, Any]:
    """Of all of them, side by side. Fails when one does not end."""
    with ThreadPoolExecutor(len(ASKING)) as pool:
        futures = {function: pool.submit(outcome, function, host) for function in ASKING}
        return {f"{each.__module__}.{each.__name__}": future.result(NEVER) for each, future in futures.items()}


def is_an_outage(name: str, found: Any) -> bool:
    """Unavailable or unknown, and counted for the provider's circuit; False of a question whether it is there."""
    if name in {f"{each.__module__}.{each.__name__}" for each in HEADS} and not isinstance(found, Exception):
        return True
    return found is False or (isinstance(found, Unavailable | Unknown) and found.outage)


BEHAVIOURS = (
    peers.says_nothing,
    peers.drips_its_status_line,
    peers.drips_its_body,
    peers.drips_an_error,
    peers.announces_a_terabyte,
)


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda behaviour: behaviour.__name__)
def test_a_peer_without_an_answer_is_an_outage_of_its_provider(pointed, behaviour, monkeypatch):
    monkeypatch.setattr(sandbox, "_READING", CALL)
    monkeypatch.setattr(sandbox, "_LARGEST", budget.LARGEST)
    with peer(behaviour) as running:
        pointed(running.host)
        wrong = {name: found for name, found in outcomes(running.host).items() if not is_an_outage(name, found)}
    assert wrong == {}


def test_redirects_are_answers_like_any_other_and_followed_by_nobody(pointed):
    with peer(peers.redirects_to_itself) as running:
        pointed(running.host)
        found = outcomes(running.host)
        assert running.connections <= len(ASKING)
    odd = {name: each for name, each in found.items() if isinstance(each, Exception)}
    assert {name: each for name, each in odd.items() if not isinstance(each, StepFailure)} == {}


def test_a_worker_of_32_threads_is_not_held(pointed):
    """64 jobs of a provider that drips, and one of another behind them."""
    with peer(peers.drips_its_body) as dripping, ThreadPoolExecutor(32) as worker:
        pointed(dripping.host)
        held = [worker.submit(outcome, stripe.retrieve, dripping.host) for _ in range(64)]
        assert worker.submit(lambda: "done").result(NEVER) == "done"
        assert [future for future in held if not isinstance(future.result(NEVER), Unknown)] == []
