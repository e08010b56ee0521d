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
from sandbox.providers.stripe.disputes import REASONS, close, dispute, warn
from sandbox.providers.stripe.payment_methods import card_of
from sandbox.providers.stripe.refunds import conclude

if TYPE_CHECKING:
    from sandbox.world import World

OUTCOMES = ("succeed", "fail")
DISPUTES_END = ("won", "lost", "warning_closed")
REFUNDS_END = ("succeeded", "failed")
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


def _charge(world: World, wanted: str) -> Json | None:
    """A captured charge, named by its own id or its intent's."""
    intent = objects.load(world, "payment_intent", wanted)
    charge = objects.load(world, "charge", wanted if intent is None else intent["latest_charge"])
    return charge if charge is not None and charge["captured"] else None


async def open_dispute(request: Request) -> Response:
    """Disputes a captured charge; `{"reason"?, "without_intent"?}`: some disputes name their charge alone."""
    world: World = request.app.state.world
    body = await _body(request)
    reason = body.get("reason", "fraudulent")
    if reason not in REASONS:
        return _refusal(400, "'reason' must be one of these", REASONS)
    charge = _charge(world, request.path_params["id"])
    if charge is None:
        return _refusal(404, "no such captured charge, or no captured charge of that payment intent")
    if charge["disputed"]:
        return _refusal(409, "it is disputed already")
    with world.store.transaction():
        return JSONResponse(
            dispute(world, Origin("stripe"), charge, reason, names_intent=not body.get("without_intent"))
        )


async def close_dispute(request: Request) -> Response:
    """`{"outcome": "won" | "lost" | "warning_closed"}`: the bank decides an open dispute."""
    world: World = request.app.state.world
    outcome = (await _body(request)).get("outcome")
    if outcome not in DISPUTES_END:
        return _refusal(400, "'outcome' must be one of these", DISPUTES_END)
    disputed = objects.load(world, "dispute", request.path_params["id"])
    if disputed is None or disputed["status"] in DISPUTES_END:
        return _refusal(404, "no such open dispute")
    with world.store.transaction():
        close(world, Origin("stripe"), disputed, outcome)
    return JSONResponse(disputed)


async def warn_of_fraud(request: Request) -> Response:
    """The bank sends an early fraud warning of a captured charge; `{"without_intent"?}`."""
    world: World = request.app.state.world
    charge = _charge(world, request.path_params["id"])
    if charge is None:
        return _refusal(404, "no such captured charge, or no captured charge of that payment intent")
    names_intent = not (await _body(request)).get("without_intent")
    with world.store.transaction():
        return JSONResponse(warn(world, Origin("stripe"), charge, names_intent=names_intent))


async def conclude_refund(request: Request) -> Response:
    """`{"status": "succeeded" | "failed"}`: what the bank says of a refund later, also of one that had succeeded."""
    world: World = request.app.state.world
    status = (await _body(request)).get("status")
    if status not in REFUNDS_END:
        return _refusal(400, "'status' must be one of these", REFUNDS_END)
    refund = objects.load(world, "refund", request.path_params["id"])
    if refund is None or refund["status"] in ("failed", status):
        return _refusal(409, "there is no such refund, or it has ended like this")
    with world.store.transaction():
        conclude(world, Origin("stripe"), refund, status)
    return JSONResponse(refund)


ROUTES = (
    Route("/payment_intents/{id}/authenticate", authentication_page, methods=["GET"]),
    Route("/payment_intents/{id}/authenticate", authenticate, methods=["POST"]),
    Route("/charges/{id}/dispute", open_dispute, methods=["POST"]),
    Route("/charges/{id}/early_fraud_warning", warn_of_fraud, methods=["POST"]),
    Route("/disputes/{id}/close", close_dispute, methods=["POST"]),
    Route("/refunds/{id}/conclude", conclude_refund, methods=["POST"]),
)
