"""Features of Amazon's S3 that other servers lack: `POST /_sandbox/s3/lacks` names those to leave out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.provider import Answer, Call, Handler, Refused
from sandbox.providers.s3.xml import refused

if TYPE_CHECKING:
    from sandbox.world import World

CHECKSUM, META = "x-amz-checksum-", "x-amz-meta-"
# By name, how the server behaves instead.
FEATURES = {
    "conditions": "501 to If-None-Match on a put",
    "conditions_kept": "If-None-Match on a put is ignored",
    "checksums": "400 to checksums",
    "checksums_kept": "checksums are ignored and not kept",
    "metadata_case": "the names of metadata come back as X-Amz-Meta-Pipeline-Id",
    "metadata": "metadata is not kept",
    "missing_heads": "400 to a HEAD of what is not there",
    "lists": "501 to lists of version 2",
    "error_bodies": "errors without a body",
}
SCHEMA = "CREATE TABLE IF NOT EXISTS s3_lacks (feature TEXT PRIMARY KEY) WITHOUT ROWID;"
TABLES = ("s3_lacks",)


def of(world: World) -> set[str]:
    return {row["feature"] for row in world.store.all("SELECT feature FROM s3_lacks")}


def imperfect(handler: Handler) -> Handler:
    """The same operation of a server that lacks what is switched off."""

    def handle(world: World, call: Call) -> Answer:
        lacking = of(world)
        if not lacking:
            return handler(world, call)
        try:
            _refuse(lacking, call)
            answer = handler(world, _heard(lacking, call))
        except Refused as error:
            raise _in_words(lacking, call, error) from error
        return replace(answer, headers=_said(lacking, dict(answer.headers)))

    return handle


def _refuse(lacking: set[str], call: Call) -> None:
    is_put = call.operation.name == "objects.put"
    if is_put and "conditions" in lacking and "if-none-match" in call.headers:
        message = "A header you provided implies functionality that is not implemented."
        raise refused(501, "NotImplemented", message, Header="If-None-Match")
    if is_put and "checksums" in lacking and any(name.startswith(CHECKSUM) for name in call.headers):
        raise refused(400, "InvalidArgument", f"Unsupported header '{CHECKSUM}sha256' received for this API call.")
    if call.operation.name == "objects.list" and "lists" in lacking:
        raise refused(501, "NotImplemented", "ListObjectsV2 is not implemented.")


def _heard(lacking: set[str], call: Call) -> Call:
    """The request without the headers that the server does not know."""
    deaf: list[Callable[[str], bool]] = []
    deaf += [lambda name: name == "if-none-match"] if "conditions_kept" in lacking else []
    deaf += [lambda name: name.startswith(CHECKSUM)] if "checksums_kept" in lacking else []
    deaf += [lambda name: name.startswith(META)] if "metadata" in lacking else []
    heard = {name: value for name, value in call.headers.items() if not any(is_deaf(name) for is_deaf in deaf)}
    return replace(call, headers=heard)


def _said(lacking: set[str], headers: dict[str, str]) -> dict[str, str]:
    if {"checksums", "checksums_kept"} & lacking:
        headers = {name: value for name, value in headers.items() if not name.startswith(CHECKSUM)}
    if "metadata_case" in lacking:
        headers = {name.title() if name.startswith(META) else name: value for name, value in headers.items()}
    return headers


def _in_words(lacking: set[str], call: Call, error: Refused) -> Refused:
    answer = error.answer
    if answer.status == 404 and call.method == "HEAD" and "missing_heads" in lacking:
        answer = replace(answer, status=400)
    return Refused(replace(answer, body=b"") if "error_bodies" in lacking else answer)


async def _steer(request: Request) -> Response:
    """GET tells what is switched off; POST `{"features": [names]}` replaces it."""
    world: World = request.app.state.world
    if request.method == "POST":
        wanted = (await request.json()).get("features", [])
        if unknown := sorted(set(wanted) - set(FEATURES)):
            return JSONResponse({"error": f"no such feature: {unknown[0]}", "allowed": list(FEATURES)}, 400)
        world.store.execute("DELETE FROM s3_lacks")
        for feature in wanted:
            world.store.execute("INSERT OR IGNORE INTO s3_lacks (feature) VALUES (?)", (feature,))
    return JSONResponse({"features": sorted(of(world))})


CONTROL = [Route("/lacks", _steer, methods=["GET", "POST"])]
