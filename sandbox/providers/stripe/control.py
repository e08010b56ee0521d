"""What a customer or a cardholder does at Stripe, done for them under `/_sandbox/stripe`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from sandbox.provider import Json, Origin
from sandbox.providers.stripe import objects
from sandbox.providers.stripe.charging import fail_authentication, settle
from sandbox.providers.stripe.disputes import REASONS, dispute
from sandbox.providers.stripe.payment_methods import card_of

if TYPE_CHECKING:
    from sandbox.world import World

OUTCOMES = ("succeed", "fail")
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Authenticate</title>
<h1>Your bank asks: is it you who pays {amount} {currency}?</h1>
<form method="post"><button name="outcome" value="succeed">Yes, it is me</button>
<button name="outcome" value="fail">No</button></form></html>"""


def _refusal(status: int, message: str, allowed: tuple[str, ...] = ()) -> Response:
    return JSONResponse({"error": message, "allowed": list(allowed)}, status_code=status)


async def _body(request: Request) -> Json:
    """JSON or a form; anything else is an empty object."""
    raw = await request.body()
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return dict(parse_qsl(raw.decode("utf-8", "replace")))
    try:
        decoded: Any = json.loads(raw)
    except ValueError:
        return {}
    return decoded if isinstance(decoded, dict) else {}


async def authentication_page(request: Request) -> Response:
    """The page that a `redirect_to_url` leads to, for people."""
    intent = objects.load(request.app.state.world, "payment_intent", request.path_params["id"])
    if intent is None or intent["status"] != "requires_action":
        return _refusal(404, "no such payment intent that waits for its customer")
    return HTMLResponse(PAGE.format(amount=intent["amount"] / 100, currency=intent["currency"].upper()))


async def authenticate(request: Request) -> Response:
    """`{"outcome": "succeed" | "fail"}`: the customer passes 3-D Secure or does not; the webhook follows."""
    world: World = request.app.state.world
    outcome = (await _body(request)).get("outcome")
    if outcome not in OUTCOMES:
        return _refusal(400, "'outcome' must be one of these", OUTCOMES)
    intent = objects.load(world, "payment_intent", request.path_params["id"])
    if intent is None:
        return _refusal(404, f"no such payment intent: {request.path_params['id']!r}")
    if intent["status"] != "requires_action":
        return _refusal(409, f"the payment intent waits for no customer: its status is {intent['status']}")
    return_url = (intent["next_action"].get("redirect_to_url") or {}).get("return_url")
    with world.store.transaction():
        _conclude(world, intent, succeeds=outcome == "succeed")
    if return_url is not None and "text/html" in request.headers.get("accept", ""):
        return RedirectResponse(return_url, status_code=303)
    return JSONResponse(intent)


def _conclude(world: World, intent: Json, *, succeeds: bool) -> None:
    origin = Origin("stripe")
    method = objects.load(world, "payment_method", intent["payment_method"]) or {}
    if succeeds:
        settle(world, origin, intent, method, card_of(world, method["id"]).decline)
    else:
        fail_authentication(world, origin, intent, method)


async def open_dispute(request: Request) -> Response:
    """Disputes a captured charge, named by its own id or its intent's; `{"reason"?}`."""
    world: World = request.app.state.world
    reason = (await _body(request)).get("reason", "fraudulent")
    if reason not in REASONS:
        return _refusal(400, "'reason' must be one of these", REASONS)
    wanted = request.path_params["id"]
    intent = objects.load(world, "payment_intent", wanted)
    charge = objects.load(world, "charge", wanted if intent is None else intent["latest_charge"])
    if charge is None:
        return _refusal(404, f"no such charge, or no charge of that payment intent: {wanted!r}")
    if not charge["captured"] or charge["disputed"]:
        return _refusal(409, "only a captured charge that is not disputed yet can be disputed")
    with world.store.transaction():
        return JSONResponse(dispute(world, Origin("stripe"), charge, reason))


ROUTES = (
    Route("/payment_intents/{id}/authenticate", authentication_page, methods=["GET"]),
    Route("/payment_intents/{id}/authenticate", authenticate, methods=["POST"]),
    Route("/charges/{id}/dispute", open_dispute, methods=["POST"]),
)
