"""The sandbox's own routes under `/_sandbox`: what it knows, and how a check or a person steers it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route

from sandbox.clock import rfc3339
from sandbox.faults import BadFault
from sandbox.ledger import rendered
from sandbox.webhooks import BadTarget
from sandbox.world import World

UNITS = {"advance": 1, "seconds": 1, "minutes": 60, "hours": 3_600, "days": 86_400}


class BadRequest(ValueError):
    """A control request that cannot be understood."""


def refusal(message: str, allowed: Iterable[str] = (), status: int = 400) -> JSONResponse:
    """The one shape of the controls' errors: `{"error", "allowed"}`."""
    return JSONResponse({"error": message, "allowed": list(allowed)}, status_code=status)


async def json_body(request: Request) -> Any:
    """The request's JSON; an empty body is an empty object. Raises BadRequest."""
    body = await request.body()
    try:
        return json.loads(body) if body.strip() else {}
    except ValueError as error:
        raise BadRequest("the body must be JSON") from error


class Controls:
    """The endpoints, over one world."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def health(self, _: Request) -> Response:
        return JSONResponse({"status": "ready", "providers": list(self._world.providers)})

    async def keys(self, _: Request) -> Response:
        keys = self._world.keys
        return JSONResponse(
            {"stripe_webhook_secret": keys.stripe_webhook_secret, "sendgrid_public_key": keys.sendgrid_public_key}
        )

    async def ledger(self, request: Request) -> Response:
        provider = request.query_params.get("provider") or None
        if provider is not None and provider not in self._world.providers:
            return refusal(f"'provider' {provider!r} is none that the sandbox stands in for", self._world.providers)
        since = request.query_params.get("since") or "0"
        if not since.isdecimal():
            return refusal("'since' must be the 'seq' after which entries are wanted, a whole number from 0")
        pieces = rendered(self._world.ledger.pages(provider, int(since)))

        async def in_turns() -> AsyncIterator[bytes]:
            for piece in pieces:
                yield piece
                await asyncio.sleep(0)

        return StreamingResponse(in_turns(), media_type="application/json")

    async def state(self, _: Request) -> Response:
        return JSONResponse(self._world.state())

    async def reset(self, _: Request) -> Response:
        self._world.reset()
        return JSONResponse({"reset": True})

    async def faults(self, request: Request) -> Response:
        """GET lists, POST adds, DELETE clears."""
        faults = self._world.faults
        if request.method == "DELETE":
            return JSONResponse({"cleared": faults.clear()})
        if request.method == "POST":
            added = faults.add(await json_body(request))
            return JSONResponse(next(each for each in faults.listed() if each["id"] == added.id))
        return JSONResponse({"faults": faults.listed()})

    async def clock(self, request: Request) -> Response:
        """GET tells the time; POST moves it on, by `advance` seconds (or minutes, hours, days) or to `now`."""
        clock = self._world.clock
        if request.method == "POST":
            self._world.advance(seconds_to_advance(await json_body(request), clock.now()))
        return JSONResponse({"now": rfc3339(clock.now()), "offset": clock.offset})

    async def webhooks(self, request: Request) -> Response:
        """GET shows the targets; POST sets those it names, null meaning none."""
        outbox = self._world.outbox
        senders = [name for name, each in self._world.providers.items() if each.webhooks is not None]
        if request.method == "POST":
            targets = await json_body(request)
            if not isinstance(targets, dict) or not set(targets) <= set(senders):
                return refusal("give a URL or null for each provider whose webhooks you want", senders)
            for name, url in targets.items():
                outbox.set_target(name, url)
        return JSONResponse({name: outbox.target(name) for name in senders})


def seconds_to_advance(body: Any, now: float) -> float:
    """How far the clock is to move on. Raises BadRequest; the clock never goes back."""
    if not isinstance(body, dict) or len(body) != 1 or not set(body) <= {*UNITS, "now"}:
        raise BadRequest(f"give exactly one of {', '.join([*UNITS, 'now'])}")
    ((name, value),) = body.items()
    if name == "now" and isinstance(value, str):
        try:
            value = datetime.fromisoformat(value).timestamp()
        except ValueError as error:
            raise BadRequest("'now' must be an RFC 3339 time or seconds since the epoch") from error
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRequest(f"{name!r} must be a number")
    seconds = value - now if name == "now" else value * UNITS[name]
    if not 0 <= seconds <= 100 * 365 * 86_400:
        raise BadRequest("the clock moves forward only, by a hundred years at most")
    return float(seconds)


async def explain(_: Request, error: Exception) -> Response:
    return refusal(str(error), error.allowed if isinstance(error, BadFault) else ())


# The errors by which a control request is refused, and how they are answered.
EXPLAINED = dict.fromkeys((BadFault, BadRequest, BadTarget), explain)


def routes(world: World) -> list[BaseRoute]:
    """The routes of the controls, each provider's own ones below its name."""
    controls = Controls(world)
    own: list[BaseRoute] = [
        Route("/health", controls.health),
        Route("/keys", controls.keys),
        Route("/ledger", controls.ledger),
        Route("/state", controls.state),
        Route("/reset", controls.reset, methods=["POST"]),
        Route("/faults", controls.faults, methods=["GET", "POST", "DELETE"]),
        Route("/clock", controls.clock, methods=["GET", "POST"]),
        Route("/webhooks", controls.webhooks, methods=["GET", "POST"]),
    ]
    own += [Mount(f"/{name}", routes=list(each.control)) for name, each in world.providers.items() if each.control]
    return [Mount("/_sandbox", routes=own)]
