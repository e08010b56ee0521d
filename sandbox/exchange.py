"""One request to a provider, from its route to its answer or to the fault that befalls it."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from sandbox import idempotency
from sandbox.faults import Verdict
from sandbox.provider import Answer, Call, Operation, Origin, Provider, Refused, new_id
from sandbox.wire import Wire
from sandbox.world import World

log = logging.getLogger("sandbox")
READS = frozenset({"GET", "HEAD"})
# Answered before the provider looks at the request.
REFUSALS = frozenset(
    {"rate_limit", "lock_timeout", "conflict", "unauthorised", "bad_request", "not_activated", "other_mode"}
)
Routes = dict[str, list[tuple[re.Pattern[str], Operation]]]


class Exchange:
    """The ASGI application of one provider, mounted under its prefix."""

    def __init__(self, world: World, provider: Provider) -> None:
        self._world = world
        self._provider = provider
        self._routes: Routes = {}
        for operation in provider.operations:
            self._routes.setdefault(operation.method, []).append((operation.pattern(), operation))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wire = Wire(scope, receive, send)
        body = await wire.body()
        path: str = scope["path"][len(self._provider.name) + 1 :] or "/"
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        query: str = scope["query_string"].decode("latin-1")
        found = self._find(scope["method"], path, query, headers)
        if found is None:
            await wire.answer(self._provider.unknown_route(scope["method"], path))
            return
        operation, params = found
        origin = Origin(self._provider.name, request_id=new_id("req_"))
        call = Call(operation, scope["method"], path, params, query, headers, body, origin)
        origin.idempotency_key = idempotency.key_of(self._provider.idempotency, call)
        try:
            await self._converse(call, wire)
        except asyncio.CancelledError:  # the server stops while a fault keeps this client waiting
            wire.reset()
            await asyncio.sleep(0)

    def _find(
        self, method: str, path: str, query: str, headers: Mapping[str, str]
    ) -> tuple[Operation, dict[str, str]] | None:
        names: set[str] | None = None
        for pattern, operation in self._routes.get(method, ()):
            match = pattern.match(path)
            if match is None or (operation.header is not None and operation.header not in headers):
                continue
            if operation.queries:
                names = names if names is not None else {name for name, _ in parse_qsl(query, keep_blank_values=True)}
                if not names.issuperset(operation.queries):
                    continue
            return operation, match.groupdict()
        return None

    async def _converse(self, call: Call, wire: Wire) -> None:
        """Answers the call, unless its verdict says otherwise. Waiting holds up no other request."""
        verdict = self._world.faults.for_call(call)
        call.origin.client_saw_answer = not verdict.hides_answer
        match verdict.kind:
            case "down" | "drop_before":
                await wire.cut()
            case "timeout_before":
                await wire.gone(verdict.seconds)
                await wire.cut()
            case "late":
                await self._perform_late(call, wire, verdict)
            case _:
                await self._answer(call, wire, verdict)

    async def _perform_late(self, call: Call, wire: Wire, verdict: Verdict) -> None:
        """The request was stuck on its way: the client gives up first, then it arrives."""
        generation = self._world.generation
        if not await wire.gone():
            await wire.cut()
        await asyncio.sleep(verdict.seconds)
        if generation == self._world.generation:
            self._perform(call, verdict)

    async def _answer(self, call: Call, wire: Wire, verdict: Verdict) -> None:
        answer = self._perform(call, verdict)
        if verdict.latency and await self._wait_in_flight(call, wire, verdict.latency):
            return
        match verdict.kind:
            case "drop_after":
                await wire.cut()
            case "timeout_after":
                await wire.gone(verdict.seconds)
                await wire.cut()
            case "truncate":
                await wire.truncate(answer)
            case "drip" | "drip_head":
                await self._drip(call, wire, answer, verdict)
            case "endless":
                await wire.go_on(answer)
            case _:
                await wire.answer(answer)

    async def _drip(self, call: Call, wire: Wire, answer: Answer, verdict: Verdict) -> None:
        generation = self._world.generation
        is_whole = await wire.drip(answer, verdict.seconds, head_too=verdict.kind == "drip_head")
        if not is_whole and generation == self._world.generation:
            self._world.ledger.mark_unseen(call.origin)

    async def _wait_in_flight(self, call: Call, wire: Wire, seconds: float) -> bool:
        """A slow answer: its effect is there, its key is in use until the wait is over. Says whether nobody waited."""
        key = idempotency.slot(self._provider.idempotency, call)
        generation = self._world.generation
        owner = key if key not in self._world.in_flight else None
        if owner is not None:
            self._world.in_flight.add(owner)
        ends_at = asyncio.get_running_loop().time() + seconds
        try:
            gone = await wire.gone(seconds)
            if gone:
                # After a reset these sequence numbers belong to other entries.
                if generation == self._world.generation:
                    self._world.ledger.mark_unseen(call.origin)
                await asyncio.sleep(ends_at - asyncio.get_running_loop().time())
            return gone
        finally:
            if owner is not None and generation == self._world.generation:
                self._world.in_flight.discard(owner)

    def _perform(self, call: Call, verdict: Verdict) -> Answer:
        """Lets the request have its effect, in one transaction; its answer is kept under its key in the same one."""
        try:
            if call.method in READS:
                answer = self._handle(call, verdict)
            else:
                with self._world.store.transaction():
                    answer = self._handle(call, verdict)
        except Exception:
            log.exception("the stand-in itself failed on %s %s", call.method, call.path)
            answer = self._provider.words("error_before", 0)
        return Answer(answer.status, answer.body, {**answer.headers, **self._provider.request_headers(call)})

    def _handle(self, call: Call, verdict: Verdict) -> Answer:
        if verdict.kind in REFUSALS:
            return self._provider.words(verdict.kind, verdict.seconds)
        try:
            self._provider.authorise(self._world, call)
        except Refused as refused:
            return refused.answer
        rules, slot = self._provider.idempotency, idempotency.slot(self._provider.idempotency, call)
        if rules is None or slot is None:
            return self._have_effect(call, verdict)
        remembered = idempotency.recall(self._world, rules, call, slot)
        if remembered is not None:
            return self._provider.words("error_after", 0) if verdict.kind == "error_after" else remembered
        answer = self._have_effect(call, verdict)
        if answer.storable:
            idempotency.keep(self._world, rules, call, slot, answer)
        return answer

    def _have_effect(self, call: Call, verdict: Verdict) -> Answer:
        if verdict.kind == "error_before":
            return self._provider.words("error_before", verdict.seconds)
        try:
            answer = call.operation.handler(self._world, call)
        except Refused as refused:
            answer = refused.answer
        return self._provider.words("error_after", verdict.seconds) if verdict.kind == "error_after" else answer
