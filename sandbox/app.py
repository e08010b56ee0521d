"""The ASGI application: each provider under its prefix, the sandbox's own controls under `/_sandbox`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from sandbox import control, webhooks
from sandbox.exchange import Exchange
from sandbox.world import World

TICK = 1.0  # seconds between two looks at what has expired


class Sandbox:
    """Sends a request to the provider whose prefix it bears, everything else to the controls."""

    def __init__(self, world: World) -> None:
        self._exchanges: dict[str, ASGIApp] = {name: Exchange(world, each) for name, each in world.providers.items()}
        prefixes = [*(f"/{name}" for name in world.providers), "/_sandbox"]

        async def not_found(_: Request, __: Exception) -> Response:
            return control.refusal("no such route in the sandbox", prefixes, status=404)

        self._controls = Starlette(
            routes=control.routes(world),
            lifespan=_background(world),
            exception_handlers={404: not_found, **control.EXPLAINED},
        )
        self._controls.state.world = world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            prefix = scope["path"].split("/", 2)[1]
            if prefix in self._exchanges:
                await self._exchanges[prefix](scope, receive, send)
                return
        await self._controls(scope, receive, send)


def _background(world: World) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    """Delivers webhooks and lets time pass for as long as the application runs."""

    @asynccontextmanager
    async def running(_: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(webhooks.deliver(world, each)) for each in world.providers.values()]
        tasks.append(asyncio.create_task(_let_time_pass(world)))
        yield
        for task in tasks:
            task.cancel()

    return running


async def _let_time_pass(world: World) -> None:
    while True:
        world.tick()
        await asyncio.sleep(TICK)
