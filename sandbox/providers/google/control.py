"""What a browser does at Google, done for it under `/_sandbox/google`; and the day's quota."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.provider import Json
from sandbox.providers.google import indexing, recaptcha

if TYPE_CHECKING:
    from sandbox.world import World

FIELDS = ("score", "action", "hostname")


def verdict(given: Any) -> Json | None:
    """The verdict that a token is to have; None when it makes no sense."""
    if not isinstance(given, dict) or not set(given) <= set(FIELDS):
        return None
    score = given.get("score", 0)
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        return None
    if not all(isinstance(given.get(name, ""), str) for name in ("action", "hostname")):
        return None
    if "action" in given and "score" not in given:
        return None
    return {"action": recaptcha.DEFAULT_ACTION, **given} if "score" in given else dict(given)


async def tokens(request: Request) -> Response:
    """A customer passes the challenge: `{}` for v2, with a `score` (and `action`) for v3; answers `{"token"}`."""
    world: World = request.app.state.world
    raw = await request.body()
    try:
        wanted = verdict(json.loads(raw or b"{}"))
    except ValueError:
        wanted = None
    if wanted is None:
        message = "give nothing for v2, or a 'score' from 0 to 1 and perhaps an 'action' for v3; perhaps a 'hostname'"
        return JSONResponse({"error": message, "allowed": list(FIELDS)}, status_code=400)
    return JSONResponse({"token": recaptcha.issue(world, wanted)})


async def quota(request: Request) -> Response:
    """GET tells the day's quota; POST `{"limit": N}` is Google granting another one."""
    world: World = request.app.state.world
    if request.method == "POST":
        try:
            given = json.loads(await request.body() or b"{}")
        except ValueError:
            given = None
        limit = given.get("limit") if isinstance(given, dict) else None
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            return JSONResponse({"error": "'limit' must be a whole number from 1", "allowed": ["limit"]}, 400)
        indexing.grant(world, limit)
    return JSONResponse(indexing.quota(world))


ROUTES = (
    Route("/recaptcha/tokens", tokens, methods=["POST"]),
    Route("/quota", quota, methods=["GET", "POST"]),
)
