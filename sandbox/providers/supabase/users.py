"""The users of GoTrue's administrator: create, get, list, update, delete."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from sandbox.clock import rfc3339
from sandbox.provider import Answer, Call, Json, compact
from sandbox.providers.supabase import attributes
from sandbox.providers.supabase.errors import invalid, not_found, refused

if TYPE_CHECKING:
    from sandbox.world import World

SCHEMA = """
CREATE TABLE IF NOT EXISTS supabase_users (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, email TEXT UNIQUE, reference TEXT, deleted_at TEXT,
    body TEXT NOT NULL);
"""
TABLES = ("supabase_users",)
REFERENCE = "pipeline_id"  # the app metadata that becomes the ledger's `reference`
EMAIL_EXISTS = "A user with this email address has already been registered"
PER_PAGE = 50


def create(world: World, call: Call) -> Answer:
    """200 with the user; 422 for a known address; 500 for a known id, as the database's own refusal comes through."""
    given = attributes.read(call)
    if not given.get("email"):
        raise invalid(call, "Cannot create a user without either an email or phone")
    if world.store.one("SELECT 1 FROM supabase_users WHERE email = ?", (given["email"],)):
        raise refused(call, 422, "email_exists", EMAIL_EXISTS)
    user_id = attributes.chosen_id(call, given)
    now = world.clock.now()
    user = _new(call, given, user_id, now)
    if world.store.one("SELECT 1 FROM supabase_users WHERE id = ?", (user_id,)):
        raise refused(call, 500, "unexpected_failure", "Database error creating new user")
    reference = user["app_metadata"].get(REFERENCE)
    world.store.execute(
        "INSERT INTO supabase_users (id, email, reference, body) VALUES (?, ?, ?, ?)",
        (user_id, given["email"], _text(reference), compact(user)),
    )
    world.ledger.record(call.origin, "user_created", user_id, reference=_text(reference))
    return _answer(user)


def _new(call: Call, given: Json, user_id: str, now: float) -> Json:
    moment = rfc3339(now)
    user: Json = {
        "id": user_id,
        "aud": given.get("aud") or "authenticated",
        "role": given.get("role") or "authenticated",
        "email": given["email"],
        "phone": given.get("phone", ""),
        "app_metadata": {"provider": "email", "providers": ["email"]},
        "user_metadata": {},
        "identities": [_identity(user_id, given["email"], moment)],
        "created_at": moment,
        "updated_at": moment,
        "is_anonymous": False,
    }
    _apply(call, user, given, now)
    return user


def _identity(user_id: str, email: str, moment: str) -> Json:
    return {
        "identity_id": str(uuid.uuid4()),
        "id": user_id,
        "user_id": user_id,
        "identity_data": {"email": email, "email_verified": False, "phone_verified": False, "sub": user_id},
        "provider": "email",
        "last_sign_in_at": moment,
        "created_at": moment,
        "updated_at": moment,
        "email": email,
    }


def _apply(call: Call, user: Json, given: Json, now: float) -> None:
    """What create and update have in common; the password itself is kept nowhere."""
    if given.get("ban_duration"):
        user.pop("banned_until", None)
        until = attributes.banned_until(call, given["ban_duration"], now)
        if until is not None:
            user["banned_until"] = until
    if given.get("email_confirm") and "email_confirmed_at" not in user:
        user["email_confirmed_at"] = user["confirmed_at"] = rfc3339(now)
    for name in ("app_metadata", "user_metadata"):
        user[name] = attributes.merged(user[name], given.get(name, {}))


def retrieve(world: World, call: Call) -> Answer:
    return _answer(_load(world, call))


def update(world: World, call: Call) -> Answer:
    user = _load(world, call)
    given = attributes.read(call)
    now = world.clock.now()
    if len(given.get("password", "x" * attributes.SHORTEST_PASSWORD)) < attributes.SHORTEST_PASSWORD:
        message = f"Password should be at least {attributes.SHORTEST_PASSWORD} characters."
        answer = refused(call, 422, "weak_password", message).answer
        weak = {**json.loads(answer.body), "weak_password": {"reasons": ["length"]}}
        return Answer(422, compact(weak).encode(), answer.headers)
    _apply(call, user, given, now)
    if given.get("role"):
        user["role"] = given["role"]
    if given.get("email") and given["email"] != user["email"]:
        if world.store.one("SELECT 1 FROM supabase_users WHERE email = ?", (given["email"],)):
            raise refused(call, 422, "email_exists", EMAIL_EXISTS)
        user["email"] = given["email"]
    user["updated_at"] = rfc3339(now)
    _save(world, user)
    return _answer(user)


def delete(world: World, call: Call) -> Answer:
    """200 with `{}`; a soft deletion keeps the row without its address, and may be repeated."""
    user = _load(world, call)
    soft = attributes.body(call).get("should_soft_delete") is True
    if soft and "deleted_at" in user:
        return _answer({})
    reference = user["app_metadata"].get(REFERENCE)
    if soft:
        user["deleted_at"] = user["updated_at"] = rfc3339(world.clock.now())
        user["email"] = hashlib.sha256(user["email"].encode()).hexdigest()
        user |= {"user_metadata": {}, "app_metadata": {}, "identities": []}
        _save(world, user)
    else:
        world.store.execute("DELETE FROM supabase_users WHERE id = ?", (user["id"],))
    world.ledger.record(call.origin, "user_deleted", user["id"], reference=_text(reference))
    return _answer({})


def list_users(world: World, call: Call) -> Answer:
    """Newest first, by pages; `filter` is looked for in the addresses."""
    query = {name: values[-1] for name, values in parse_qs(call.query).items()}
    page, size = _count(call, query, "page", 1), _count(call, query, "per_page", PER_PAGE)
    pattern = f"%{query.get('filter', '')}%"
    total = world.store.one("SELECT count(*) AS number FROM supabase_users WHERE email LIKE ?", (pattern,))
    rows = world.store.all(
        "SELECT body FROM supabase_users WHERE email LIKE ? ORDER BY seq DESC LIMIT ? OFFSET ?",
        (pattern, size, (page - 1) * size),
    )
    answer = _answer({"users": [json.loads(row["body"]) for row in rows], "aud": "authenticated"})
    count = "0" if total is None else str(total["number"])
    return Answer(200, answer.body, {**answer.headers, "x-total-count": count})


def _count(call: Call, query: dict[str, str], name: str, default: int) -> int:
    given = query.get(name, str(default))
    if not given.isdecimal() or not 1 <= int(given) < 2**31:
        raise invalid(call, f'Bad Pagination Parameters: "{given}"')
    return int(given)


def _load(world: World, call: Call) -> Json:
    """The user of the path. Raises Refused with 404, also for what is no UUID."""
    try:
        user_id = str(uuid.UUID(call.params["id"]))
    except ValueError as error:
        raise invalid(call, "user_id must be an UUID", status=404) from error
    row = world.store.one("SELECT body FROM supabase_users WHERE id = ?", (user_id,))
    if row is None:
        raise not_found(call)
    user: Json = json.loads(row["body"])
    return user


def _save(world: World, user: Json) -> None:
    world.store.execute(
        "UPDATE supabase_users SET email = ?, reference = ?, deleted_at = ?, body = ? WHERE id = ?",
        (
            user["email"],
            _text(user["app_metadata"].get(REFERENCE)),
            user.get("deleted_at"),
            compact(user),
            user["id"],
        ),
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _answer(body: Json) -> Answer:
    return Answer(200, compact(body).encode(), {"content-type": "application/json"})


def existing(world: World) -> list[Json]:
    """Every user as the sandbox's state shows it, oldest first; those softly deleted are gone."""
    rows = world.store.all("SELECT body, reference FROM supabase_users WHERE deleted_at IS NULL ORDER BY seq")
    return [_shown(json.loads(row["body"]), row["reference"]) for row in rows]


def _shown(user: Json, reference: str | None) -> Json:
    names = ("id", "email", "app_metadata", "user_metadata", "created_at")
    optional = ("email_confirmed_at", "banned_until")
    return {name: user[name] for name in names} | {name: user.get(name) for name in optional} | {"reference": reference}
