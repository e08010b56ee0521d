"""reCAPTCHA's siteverify, v2 and v3: a token lives for two minutes and is verified once.

A token is one that `/_sandbox/google/recaptcha/tokens` has made, or a magic one: a verdict, perhaps `.action`, perhaps
`-anything` so that there are many of it.
"""

from __future__ import annotations

import json
import re
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from sandbox.clock import rfc3339
from sandbox.provider import Answer, Call, Json, compact

if TYPE_CHECKING:
    import sqlite3

    from sandbox.world import World

SCHEMA = """
CREATE TABLE IF NOT EXISTS google_tokens (
    token TEXT PRIMARY KEY, verdict TEXT NOT NULL, issued_at REAL NOT NULL, verified_at REAL) WITHOUT ROWID;
"""
TABLES = ("google_tokens",)
LIFE = 120.0  # seconds
# Google's own secret for automated tests: every token passes, any number of times.
TEST_SECRET = "6LeIxAcTAAAAAGG-vFI1TnRWxMZNFuojJ4WifJWe"  # noqa: S105  # nosec B105 # published by Google
DEFAULT_ACTION, OTHER_ACTION = "submit", "another_action"
MAGIC: dict[str, Json] = {
    "v2-pass": {},
    "v3-pass": {"score": 0.9, "action": DEFAULT_ACTION},
    "v3-low-score": {"score": 0.1, "action": DEFAULT_ACTION},
    "v3-wrong-action": {"score": 0.9, "action": OTHER_ACTION},
    "expired": {},
}
MAGIC_TOKEN = re.compile(rf"({'|'.join(MAGIC)})(?:\.([A-Za-z0-9_/]+))?(?:-[A-Za-z0-9_.-]*)?")


def siteverify(world: World, call: Call) -> Answer:
    """200 whatever the verdict, as Google answers."""
    form = dict(parse_qsl(call.body.decode("utf-8", "replace")))
    secret, token = form.get("secret", ""), form.get("response", "")
    errors = [f"missing-input-{name}" for name, given in (("secret", secret), ("response", token)) if not given]
    if secret.startswith("invalid"):
        errors.append("invalid-input-secret")
    if errors:
        return _failure(*errors)
    now = world.clock.now()
    if secret == TEST_SECRET:
        return _success(now, {"hostname": "testkey.google.com"})
    row = _known(world, token) or _first_use(world, token, now)
    if row is None:
        return _failure("invalid-input-response")
    if row["verified_at"] is not None or now - row["issued_at"] > LIFE:
        return _failure("timeout-or-duplicate")
    world.store.execute("UPDATE google_tokens SET verified_at = ? WHERE token = ?", (now, token))
    return _success(row["issued_at"], json.loads(row["verdict"]))


def _known(world: World, token: str) -> sqlite3.Row | None:
    return world.store.one("SELECT * FROM google_tokens WHERE token = ?", (token,))


def _first_use(world: World, token: str, now: float) -> sqlite3.Row | None:
    """A magic token counts as made just now, `expired` as made too long ago; None for any other text."""
    match = MAGIC_TOKEN.fullmatch(token)
    if match is None:
        return None
    verdict = dict(MAGIC[match[1]])
    if match[2] and verdict.get("action") == DEFAULT_ACTION:
        verdict["action"] = match[2]
    _keep(world, token, verdict, now - 2 * LIFE if match[1] == "expired" else now)
    return _known(world, token)


def issue(world: World, verdict: Json) -> str:
    """A token made now, by the sandbox's clock, that will be verified as `verdict` says."""
    token = f"issued-{secrets.token_urlsafe(24)}"
    _keep(world, token, verdict, world.clock.now())
    return token


def _keep(world: World, token: str, verdict: Json, issued_at: float) -> None:
    kept = {**verdict, "hostname": verdict.get("hostname", "localhost")}
    world.store.execute(
        "INSERT INTO google_tokens (token, verdict, issued_at) VALUES (?, ?, ?)", (token, compact(kept), issued_at)
    )


def _success(issued_at: float, verdict: Json) -> Answer:
    moment = datetime.fromtimestamp(issued_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return _json({"success": True, "challenge_ts": moment, **verdict})


def _failure(*errors: str) -> Answer:
    return _json({"success": False, "error-codes": list(errors)})


def _json(body: Json) -> Answer:
    return Answer(200, json.dumps(body).encode(), {"content-type": "application/json; charset=utf-8"})


def tokens(world: World) -> list[Json]:
    """Every token that was made or seen, as the sandbox's state shows it."""
    rows = world.store.all("SELECT * FROM google_tokens ORDER BY issued_at, token")
    return [
        {
            "token": row["token"],
            "issued": rfc3339(row["issued_at"]),
            "verified": None if row["verified_at"] is None else rfc3339(row["verified_at"]),
        }
        for row in rows
    ]
