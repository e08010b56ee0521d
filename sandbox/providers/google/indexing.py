"""The Indexing API: telling that a page is new or gone, 200 times a day, and what was told last."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

from sandbox.clock import rfc3339
from sandbox.provider import Answer, Call, Json, Refused, compact
from sandbox.providers.google.errors import error_answer, invalid

if TYPE_CHECKING:
    from sandbox.world import World

SCHEMA = """
CREATE TABLE IF NOT EXISTS google_notifications (
    seq INTEGER PRIMARY KEY, at REAL NOT NULL, url TEXT NOT NULL, type TEXT NOT NULL, reference TEXT);
CREATE INDEX IF NOT EXISTS google_notifications_at ON google_notifications (at);
CREATE INDEX IF NOT EXISTS google_notifications_url ON google_notifications (url, type, seq);
CREATE TABLE IF NOT EXISTS google_granted (per_day INTEGER NOT NULL);
"""
TABLES = ("google_notifications", "google_granted")
PUBLISH_PER_DAY = 200  # a project's default; of updates and deletions together
EFFECTS = {"URL_UPDATED": "url_updated", "URL_DELETED": "url_deleted"}
LATEST = {"URL_UPDATED": "latestUpdate", "URL_DELETED": "latestRemove"}
UNOWNED = "unowned.example"  # a host that nobody has verified, with all below it
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
PACIFIC = ZoneInfo("America/Los_Angeles")


def publish(world: World, call: Call) -> Answer:
    """200 with the page's metadata; 400, 403 or 429 leave everything as it was."""
    url, kind = _read(call)
    if (urlsplit(url).hostname or "").endswith(UNOWNED):
        message = "Permission denied. Failed to verify the URL ownership."
        raise Refused(error_answer(403, "PERMISSION_DENIED", message))
    if used_today(world) >= per_day(world):
        raise Refused(_exhausted(per_day(world)))
    reference = reference_of(url)
    world.store.execute(
        "INSERT INTO google_notifications (at, url, type, reference) VALUES (?, ?, ?, ?)",
        (world.clock.now(), url, kind, reference),
    )
    world.ledger.record(call.origin, EFFECTS[kind], url, reference=reference)
    return _json({"urlNotificationMetadata": _metadata(world, url)})


def _read(call: Call) -> tuple[str, str]:
    try:
        given = json.loads(call.body or b"{}")
    except ValueError as error:
        raise invalid("Invalid JSON payload received.") from error
    if not isinstance(given, dict):
        raise invalid("Invalid JSON payload received. An object is needed.")
    if unknown := sorted(set(given) - {"url", "type", "notifyTime"}):
        raise invalid(f'Invalid JSON payload received. Unknown name "{unknown[0]}": Cannot find field.')
    url, kind = given.get("url"), given.get("type")
    if not url:
        raise invalid("Missing attribute. 'url' attribute is required.")
    if not is_url(url):
        raise invalid("Invalid attribute. 'url' is not in standard URL format.")
    if kind not in EFFECTS:
        raise invalid(f"Invalid value at 'type': it must be one of {', '.join(EFFECTS)}.")
    return str(url), str(kind)


def is_url(url: object) -> bool:
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        return False
    try:
        return bool(urlsplit(url).hostname)
    except ValueError:
        return False


def _exhausted(quota: int) -> Answer:
    limit = "Publish requests per day"
    message = (
        f"Quota exceeded for quota metric 'Publish requests' and limit '{limit}' of service 'indexing.googleapis.com' "
        "for consumer 'project_number:1'."
    )
    reason = {"reason": "RATE_LIMIT_EXCEEDED", "domain": "googleapis.com"}
    metadata = {"quota_limit": "PublishRequestsPerDayPerProject", "quota_limit_value": str(quota)}
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", **reason, "metadata": metadata}]
    return error_answer(429, "RESOURCE_EXHAUSTED", message, details)


def retrieve(world: World, call: Call) -> Answer:
    """200 with what was told last of a page; 404 when nothing ever was."""
    url = parse_qs(call.query).get("url", [""])[-1]
    if not is_url(url):
        raise invalid("Invalid attribute. 'url' is not in standard URL format.")
    metadata = _metadata(world, url)
    if len(metadata) == 1:
        raise Refused(error_answer(404, "NOT_FOUND", "Requested entity was not found."))
    return _json(metadata)


def _metadata(world: World, url: str) -> Json:
    metadata: Json = {"url": url}
    for kind, name in LATEST.items():
        row = world.store.one(
            "SELECT at FROM google_notifications WHERE url = ? AND type = ? ORDER BY seq DESC LIMIT 1", (url, kind)
        )
        if row is not None:
            metadata[name] = {"url": url, "type": kind, "notifyTime": rfc3339(row["at"])}
    return metadata


def reference_of(url: str) -> str | None:
    """The query parameter `pipeline_id`, else a UUID in the address: Google itself takes no reference."""
    given = parse_qs(urlsplit(url).query).get("pipeline_id")
    if given:
        return given[-1]
    found = UUID.findall(url)
    return str(found[-1]).lower() if found else None


def midnight(moment: float) -> datetime:
    """When the Pacific day of `moment` began."""
    return datetime.fromtimestamp(moment, PACIFIC).replace(hour=0, minute=0, second=0, microsecond=0)


def used_today(world: World) -> int:
    since = midnight(world.clock.now()).timestamp()
    row = world.store.one("SELECT count(*) AS number FROM google_notifications WHERE at >= ?", (since,))
    return 0 if row is None else int(row["number"])


def per_day(world: World) -> int:
    """The quota of this project: the default, or what Google granted last."""
    row = world.store.one("SELECT per_day FROM google_granted ORDER BY rowid DESC LIMIT 1")
    return PUBLISH_PER_DAY if row is None else int(row["per_day"])


def grant(world: World, quota: int) -> None:
    """Google grants another quota."""
    world.store.execute("INSERT INTO google_granted (per_day) VALUES (?)", (quota,))


def quota(world: World) -> Json:
    """How much of the day's quota is used, and when the next day begins."""
    tomorrow = midnight(world.clock.now()) + timedelta(days=1)  # by the wall clock, also when a day has 23 hours
    return {"limit": per_day(world), "used": used_today(world), "resets_at": rfc3339(tomorrow.timestamp())}


def told(world: World) -> list[Json]:
    """Every page that Google was told of, as the sandbox's state shows it."""
    rows = world.store.all("SELECT url, min(seq) AS first, reference FROM google_notifications GROUP BY url ORDER BY 2")
    return [{"reference": row["reference"], **_metadata(world, row["url"])} for row in rows]


def _json(body: Json) -> Answer:
    return Answer(200, compact(body).encode(), {"content-type": "application/json; charset=UTF-8"})
