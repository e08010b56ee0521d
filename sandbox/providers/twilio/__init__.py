"""Twilio's Messages, with its own magic numbers for what goes wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sandbox.provider import Answer, Call, Json, Operation, Provider, Refused, basic
from sandbox.providers.twilio import messages
from sandbox.providers.twilio.errors import error_answer, not_found, words

if TYPE_CHECKING:
    from sandbox.world import World

NAME = "twilio"
MESSAGES = "/2010-04-01/Accounts/{account}/Messages"
OPERATIONS = (
    Operation("messages.create", "POST", f"{MESSAGES}.json", messages.create),
    Operation("messages.list", "GET", f"{MESSAGES}.json", messages.list_messages),
    Operation("messages.retrieve", "GET", f"{MESSAGES}/{{sid}}", messages.retrieve),
)


def authorise(_: World, call: Call) -> None:
    """Basic authentication by the account's own SID (or an API key's, `SK…`) and any token."""
    user, token = basic(call)
    is_ours = user.startswith("SK") or (user.startswith("AC") and user == call.params["account"])
    if not token or not is_ours:
        raise Refused(error_answer(401, 20003, "Authenticate"))


def unknown_route(_: str, path: str) -> Answer:
    return not_found(path)


def request_headers(call: Call) -> Mapping[str, str]:
    return {"twilio-request-id": call.request_id.replace("req_", "RQ")}


def state(world: World) -> Json:
    """`messages`, oldest first."""
    return {"messages": messages.sent(world)}


PROVIDER = Provider(
    name=NAME,
    operations=OPERATIONS,
    schema=messages.SCHEMA,
    tables=messages.TABLES,
    authorise=authorise,
    unknown_route=unknown_route,
    words=words,
    state=state,
    request_headers=request_headers,
)
