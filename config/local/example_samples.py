"""The example workflows' submissions for `--all`: each commits once and rolls back once."""

import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests

from config.local.samples import Result, Sample, answer, follow
from config.local.terminal import coloured

REGISTER = "/api/v1/institutions/register/"
ORDERS = "/api/v1/orders/"
# One address for both registrations of a run: the second one finds it taken.
DIRECTOR = f"director-{secrets.token_hex(4)}@example.com"

Body = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ExampleSample(Sample):
    """A submission to `path`; `body` makes it, asking `web` first where it depends on what is there."""

    path: str
    body: Callable[[requests.Session, str], Body]


def run_example(web: str, sample: ExampleSample, say: Callable[[str], None]) -> Result:
    """Submit it, show its events as they come, and return how it ended."""
    with requests.Session() as session:
        say(coloured(sample.title, "bold"))
        body = sample.body(session, web)
        headers = {"Idempotency-Key": f"demo-{uuid.uuid4()}"}
        accepted = answer(session.post(f"{web}{sample.path}", json=body, headers=headers, timeout=10), 202)
        return Result(sample, follow(session, accepted, say))


def _registration(_session: requests.Session, _web: str) -> Body:
    return {
        "name": "Greenfield School",
        "subdomain": f"greenfield-{secrets.token_hex(4)}",
        "director_email": DIRECTOR,
        "director_password": secrets.token_urlsafe(16),
    }


def _small_order(session: requests.Session, web: str) -> Body:
    buyer = _buyer(session, web)
    items = [{"vendor": "Paper & Pens", "amount": 1250}, {"vendor": "Desk Works", "amount": 4900}]
    return {"buyer": buyer["id"], "line_items": items}


def _too_large_order(session: requests.Session, web: str) -> Body:
    """The first item leaves too little for the second."""
    buyer = _buyer(session, web)
    balance = buyer["available_balance"]
    items = [{"vendor": "Paper & Pens", "amount": 1}, {"vendor": "Desk Works", "amount": balance}]
    return {"buyer": buyer["id"], "line_items": items}


def _buyer(session: requests.Session, web: str) -> dict[str, Any]:
    """The richest one: runs before this one have spent some of it."""
    buyers = answer(session.get(f"{web}/api/v1/buyers/", timeout=10), 200)["results"]
    found: dict[str, Any] = max(buyers, key=lambda buyer: buyer["available_balance"])
    return found


EXAMPLES = (
    ExampleSample(
        title="An institution registers",
        path=REGISTER,
        body=_registration,
        ends="committed",
    ),
    ExampleSample(
        title="Another one, with the same director's address",
        path=REGISTER,
        body=_registration,
        ends="rolled_back",
    ),
    ExampleSample(
        title="An order of two line items",
        path=ORDERS,
        body=_small_order,
        ends="committed",
    ),
    ExampleSample(
        title="An order that the buyer's balance does not cover",
        path=ORDERS,
        body=_too_large_order,
        ends="rolled_back",
    ),
)
