"""Supabase Auth (GoTrue), as far as its administrator's users go. Nobody signs in here: passwords are not kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sandbox.provider import Answer, Call, Json, Operation, Provider, credentials
from sandbox.providers.supabase import users
from sandbox.providers.supabase.errors import VERSION_HEADER, error_answer, refused, words

if TYPE_CHECKING:
    from sandbox.world import World

NAME = "supabase"
USERS = "/auth/v1/admin/users"
OPERATIONS = (
    Operation("users.create", "POST", USERS, users.create),
    Operation("users.list", "GET", USERS, users.list_users),
    Operation("users.retrieve", "GET", f"{USERS}/{{id}}", users.retrieve),
    Operation("users.update", "PUT", f"{USERS}/{{id}}", users.update),
    Operation("users.delete", "DELETE", f"{USERS}/{{id}}", users.delete),
)


def authorise(_: World, call: Call) -> None:
    """A service role's key as bearer token; any will do, except `anon`, which stands for one without the right."""
    scheme, token = credentials(call)
    if scheme != "bearer" or not token.strip():
        raise refused(call, 401, "no_authorization", "This endpoint requires a valid Bearer token")
    if token.strip() == "anon":
        raise refused(call, 403, "not_admin", "User not allowed")


def unknown_route(_: str, path: str) -> Answer:
    return error_answer(None, 404, "not_found", f"No such route (as far as the sandbox knows Supabase): {path}")


def request_headers(call: Call) -> Mapping[str, str]:
    """The API version is echoed: the SDK reads an error's `code` only then."""
    version = call.headers.get(VERSION_HEADER)
    return {} if version is None else {VERSION_HEADER: version}


def state(world: World) -> Json:
    """`users`, oldest first."""
    return {"users": users.existing(world)}


PROVIDER = Provider(
    name=NAME,
    operations=OPERATIONS,
    schema=users.SCHEMA,
    tables=users.TABLES,
    authorise=authorise,
    unknown_route=unknown_route,
    words=words,
    state=state,
    request_headers=request_headers,
)
