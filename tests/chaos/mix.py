"""What customers ask for in a run: kinds of submissions with their share, body, and the end that they must have."""

import base64
import io
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from PIL import Image

COMMITTED, ROLLED_BACK = "committed", "rolled_back"
# Stands in every personal field; never in a message, in Redis or in a log.
CANARY: Final = "canary7f3e"
PHONE: Final = "+4915112345670"
DECLINING: Final = (
    "pm_card_chargeDeclined",
    "pm_card_visa_chargeDeclinedInsufficientFunds",
    "pm_card_visa_chargeDeclinedExpiredCard",
    "pm_card_chargeDeclinedIncorrectCvc",
    "pm_card_chargeDeclinedProcessingError",
)
ASKING: Final = "pm_card_authenticationRequired"
MOST: Final = 10**12  # more than any buyer has

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of submission. `ends` is empty where a race decides between both ends."""

    name: str
    share: float  # of all submissions
    path: str
    body: Callable[[random.Random, str, Mapping[str, Any]], Body]
    ends: str
    then: str = ""  # what the customer does afterwards: authenticate, fail, abandon, cancel


@dataclass(frozen=True, slots=True)
class Submission:
    """One customer's wish, complete before it is sent."""

    number: int
    kind: Kind
    key: str
    body: Body
    at: float  # seconds from the start
    after: float  # seconds until the customer does what `kind.then` says
    copies: int  # how often it is sent at once, with the same key
    again: bool  # whether it is sent once more at the end
    facts: Mapping[str, Any] = field(default_factory=dict)  # what the outside must show: logo, phone, items, price


def posting(card: str | tuple[str, ...], *, logo: bool = False) -> Callable[..., Body]:
    """A posting paid with this card, or with one of these."""

    def body(chance: random.Random, mark: str, world: Mapping[str, Any]) -> Body:
        made = {
            "title": f"Job {mark}",
            "company_name": "Harbour Works",
            "description": f"A job in a chaos run. {CANARY} is part of its text, which no log may show.",
            "employment_type": "FULL_TIME",
            "remote": True,
            "country": "DE",
            "apply_email": f"{CANARY}-{mark}@example.com",
            "contact_email": f"{CANARY}.{mark}@example.com",
            "plan": chance.choice(sorted(world["plans"])),
            "payment_method": card if isinstance(card, str) else chance.choice(card),
        }
        if chance.random() < 0.3:
            made["contact_phone"] = PHONE
        return made | ({"logo": _logo(chance)} if logo else {})

    return body


def _logo(chance: random.Random) -> str:
    picture = io.BytesIO()
    Image.new("RGB", (64, 64), (chance.randrange(256), chance.randrange(256), 90)).save(picture, "PNG")
    return base64.b64encode(picture.getvalue()).decode()


def registration(chance: random.Random, mark: str, world: Mapping[str, Any]) -> Body:
    """An institution of its own."""
    return {
        "name": f"School {mark}",
        "subdomain": f"school-{mark}",
        "director_email": f"{CANARY}.{mark}@example.com",
        # Letters that no address has: Django refuses a password that resembles it.
        "director_password": f"ÄÖÜ-{CANARY}-{chance.randrange(10**12):012}-" + "ÄÖÜß" * 8,
    }


def second_registration(chance: random.Random, mark: str, world: Mapping[str, Any]) -> Body:
    """With the address of a director whom Supabase knows already."""
    return registration(chance, mark, world) | {"director_email": world["known_email"]}


def order(chance: random.Random, mark: str, world: Mapping[str, Any]) -> Body:
    """A small order of one to three items."""
    items = [{"vendor": "Paper & Pens", "amount": chance.randint(1, 40)} for _ in range(chance.randint(1, 3))]
    return {"buyer": world["buyer"], "line_items": items}


def large_order(chance: random.Random, mark: str, world: Mapping[str, Any]) -> Body:
    """Its first item is affordable, its second is not."""
    items = [{"vendor": "Paper & Pens", "amount": 1}, {"vendor": "Desk Works", "amount": MOST}]
    return {"buyer": world["buyer"], "line_items": items}


POSTINGS, REGISTER, ORDERS = "/api/v1/postings/", "/api/v1/institutions/register/", "/api/v1/orders/"
KINDS: Final = (
    Kind("posting", 0.26, POSTINGS, posting("pm_card_visa"), COMMITTED),
    Kind("posting with a logo", 0.24, POSTINGS, posting("pm_card_mastercard", logo=True), COMMITTED),
    Kind("declined", 0.10, POSTINGS, posting(DECLINING, logo=True), ROLLED_BACK),
    Kind("3-D Secure passed", 0.05, POSTINGS, posting(ASKING, logo=True), COMMITTED, "authenticate"),
    Kind("3-D Secure failed", 0.03, POSTINGS, posting(ASKING), ROLLED_BACK, "fail"),
    Kind("3-D Secure abandoned", 0.03, POSTINGS, posting(ASKING, logo=True), ROLLED_BACK, "abandon"),
    Kind("cancelled", 0.06, POSTINGS, posting("pm_card_visa", logo=True), "", "cancel"),
    Kind("registration", 0.08, REGISTER, registration, COMMITTED),
    Kind("registration, address known", 0.02, REGISTER, second_registration, ROLLED_BACK),
    Kind("order", 0.09, ORDERS, order, COMMITTED),
    Kind("order beyond the funds", 0.04, ORDERS, large_order, ROLLED_BACK),
)
# For scenario A: nothing but postings, three out of five of them paid, as the peers' sagas.
PLAIN: Final = (
    Kind("posting", 0.3, POSTINGS, posting("pm_card_visa"), COMMITTED),
    Kind("posting with a logo", 0.3, POSTINGS, posting("pm_card_visa", logo=True), COMMITTED),
    Kind("declined", 0.4, POSTINGS, posting(DECLINING, logo=True), ROLLED_BACK),
)


def submissions(
    seed: int,
    count: int,
    every: float,
    world: Mapping[str, Any],
    kinds: tuple[Kind, ...] = KINDS,
    *,
    copies: bool = True,
) -> list[Submission]:
    """The run's submissions, the same for the same seed. `every`: seconds between two, on average."""
    chance = random.Random(f"{seed}:customers")
    at, made = 0.0, []
    for number in range(count):
        at += chance.uniform(0, 2 * every)
        kind = chance.choices(kinds, [each.share for each in kinds])[0]
        mark = f"{seed}-{number}"
        body = kind.body(chance, mark, world)
        many = chance.choices((1, 2, 4), (0.85, 0.1, 0.05))[0] if copies else 1
        after = chance.uniform(0, 1.5) if kind.then == "cancel" else chance.uniform(0.5, 4)
        again = copies and chance.random() < 0.1
        facts = _facts(body, world)
        made.append(Submission(number, kind, f"chaos-{mark}-{kind.name[:3]}", body, at, after, many, again, facts))
    return made


def _facts(body: Body, world: Mapping[str, Any]) -> dict[str, Any]:
    if "line_items" in body:
        return {"amounts": [item["amount"] for item in body["line_items"]]}
    if "plan" not in body:
        return {}
    return {
        "price": world["plans"][body["plan"]],
        "logo": "logo" in body,
        "phone": world["sms"] and "contact_phone" in body,
    }
