"""Messages: sent, read, listed. A repeated create is another message: Twilio knows no idempotency key here."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from sandbox.clock import rfc3339
from sandbox.provider import Answer, Call, Json, Refused, compact
from sandbox.providers.twilio.errors import invalid, not_found

if TYPE_CHECKING:
    import sqlite3

    from sandbox.world import World

SCHEMA = """
CREATE TABLE IF NOT EXISTS twilio_messages (
    seq INTEGER PRIMARY KEY, sid TEXT NOT NULL UNIQUE, account TEXT NOT NULL, at REAL NOT NULL, sent_to TEXT NOT NULL,
    sent_from TEXT, service TEXT, body TEXT NOT NULL, reference TEXT);
CREATE INDEX IF NOT EXISTS twilio_messages_to ON twilio_messages (sent_to, seq);
"""
TABLES = ("twilio_messages",)
NUMBER = re.compile(r"\+[1-9]\d{6,14}")
SENDER = re.compile(r"\+[1-9]\d{6,14}|\d{3,8}|(?=.*[A-Za-z])[A-Za-z0-9 &+_-]{1,11}")  # number, short code, name
LONGEST_BODY = 1_600  # characters
MALFORMED = "+15005550001"
# Twilio's own magic numbers, by what they mean as recipient and as sender.
BAD_TO = {
    MALFORMED: (21211, "Invalid 'To' Phone Number: {}"),
    "+15005550002": (21612, "Message cannot be sent with the current combination of 'To' ({}) and 'From' parameters"),
    "+15005550003": (21408, "Permission to send an SMS has not been enabled for the region indicated by the 'To': {}"),
    "+15005550004": (21610, "Attempt to send to unsubscribed recipient: {}"),
    "+15005550009": (21614, "'To' number {} is not a valid mobile number"),
}
BAD_FROM = {
    MALFORMED: (21212, "Invalid 'From' Phone Number: {}"),
    "+15005550007": (21606, "The 'From' phone number {} is not a valid, SMS-capable inbound phone number"),
    "+15005550008": (21611, "This 'From' number {} has exceeded the maximum number of queued messages"),
}
UNKNOWN_HERE = ("ScheduleType", "SendAt", "MediaUrl", "ContentSid", "ContentVariables")
DELIVERED_AFTER = 1.0  # seconds from queued to delivered
LARGEST_PAGE, USUAL_PAGE = 1_000, 50
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
MARK = re.compile(r"\bref[ :=]+([\w-]{6,64})", re.IGNORECASE)


def create(world: World, call: Call) -> Answer:
    """201 with a message that is queued; 400 with Twilio's code for what it refuses."""
    form = dict(parse_qsl(call.body.decode("utf-8", "replace")))
    _check(form)
    row: Json = {
        "sid": f"SM{secrets.token_hex(16)}",
        "account": call.params["account"],
        "at": world.clock.now(),
        "sent_to": form["To"],
        "sent_from": form.get("From"),
        "service": form.get("MessagingServiceSid"),
        "body": form["Body"],
        "reference": reference_of(form),
    }
    world.store.execute(
        f"INSERT INTO twilio_messages ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values())
    )
    world.ledger.record(call.origin, "sms_sent", row["sid"], reference=row["reference"])
    return _json(shown(row, row["at"]), 201)


def _check(form: Mapping[str, str]) -> None:
    for name in UNKNOWN_HERE:
        if name in form:
            raise invalid(20001, f"{name} is not supported by the sandbox: send a plain message at once.")
    if not form.get("To"):
        raise invalid(21604, "A 'To' phone number is required.")
    if not form.get("From") and not form.get("MessagingServiceSid"):
        raise invalid(21603, "A 'From' phone number is required.")
    if not form.get("Body"):
        raise invalid(21602, "Message body is required.")
    if len(form["Body"]) > LONGEST_BODY:
        raise invalid(21617, f"The concatenated message body exceeds the {LONGEST_BODY} character limit")
    if form.get("From"):
        _check_number(form["From"], SENDER, BAD_FROM)
    _check_number(form["To"], NUMBER, BAD_TO)
    callback = form.get("StatusCallback")
    if callback is not None and not callback.startswith(("http://", "https://")):
        raise invalid(21609, f"The 'StatusCallback' URL {callback} is not a valid URL.")


def _check_number(number: str, form: re.Pattern[str], bad: Mapping[str, tuple[int, str]]) -> None:
    """Raises Refused for a magic number, or what has no number's form."""
    if number in bad or form.fullmatch(number) is None:
        code, message = bad.get(number, bad[MALFORMED])
        raise invalid(code, message.format(number))


def reference_of(form: Mapping[str, str]) -> str | None:
    """The `pipeline_id` in the StatusCallback's query, else a UUID in the body, else what follows `ref` there."""
    given = parse_qs(urlsplit(form.get("StatusCallback", "")).query).get("pipeline_id")
    if given:
        return given[-1]
    ids, marks = UUID.findall(form["Body"]), MARK.findall(form["Body"])
    if ids:
        return str(ids[-1]).lower()
    return str(marks[-1]) if marks else None


def retrieve(world: World, call: Call) -> Answer:
    account, sid = call.params["account"], call.params["sid"].removesuffix(".json")
    row = world.store.one("SELECT * FROM twilio_messages WHERE sid = ? AND account = ?", (sid, account))
    if row is None:
        raise Refused(not_found(call.path))
    return _json(shown(row, world.clock.now()))


def list_messages(world: World, call: Call) -> Answer:
    """Newest first, filtered by To, From and DateSent (a day, or with `<` and `>` a bound of days or moments)."""
    query = dict(parse_qsl(call.query))
    size = _whole(query, "PageSize", USUAL_PAGE)
    size = max(1, min(size, LARGEST_PAGE))
    conditions: list[tuple[str, Any]] = [("account = ?", call.params["account"]), *_filters(query)]
    if "PageToken" in query:
        conditions.append(("seq < ?", _whole(query, "PageToken", 0)))
    where = " AND ".join(sql for sql, _ in conditions)
    rows = world.store.all(
        f"SELECT * FROM twilio_messages WHERE {where} ORDER BY seq DESC LIMIT ?",
        (*(value for _, value in conditions), size + 1),
    )
    now = world.clock.now()
    page = _whole(query, "Page", 0)
    after = _address(call, query, Page=page + 1, PageToken=rows[size - 1]["seq"]) if len(rows) > size else None
    first = {name: value for name, value in query.items() if name != "PageToken"}
    return _json(
        {
            "messages": [shown(row, now) for row in rows[:size]],
            "page": page,
            "page_size": size,
            "start": page * size,
            "end": page * size + len(rows[:size]) - 1,
            "uri": _address(call, query),
            "first_page_uri": _address(call, first, Page=0),
            "next_page_uri": after,
            "previous_page_uri": None,
        }
    )


def _filters(query: Mapping[str, str]) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, column in (("To", "sent_to"), ("From", "sent_from")):
        if query.get(name):
            found.append((f"{column} = ?", query[name]))
    day = timedelta(days=1).total_seconds()
    if query.get("DateSent"):
        start = _moment(query["DateSent"])
        found += [("at >= ?", start), ("at < ?", start + day)]
    if query.get("DateSent>"):
        found.append(("at >= ?", _moment(query["DateSent>"])))
    if query.get("DateSent<"):
        end = query["DateSent<"]
        found.append(("at < ?", _moment(end) + (day if len(end) == len("2026-11-21") else 0)))
    return found


def _moment(given: str) -> float:
    try:
        moment = datetime.fromisoformat(given)
    except ValueError as error:
        raise invalid(20001, f"'{given}' is no date (YYYY-MM-DD) or time (ISO 8601).") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _whole(query: Mapping[str, str], name: str, default: int) -> int:
    given = query.get(name, str(default))
    if not given.isdecimal() or len(given) > 12:
        raise invalid(20001, f"{name} must be a whole number.")
    return int(given)


def _address(call: Call, query: Mapping[str, str], **more: int) -> str:
    asked = urlencode({**query, **more})
    return f"{call.path}?{asked}" if asked else call.path


def shown(row: sqlite3.Row | Json, now: float) -> Json:
    """A message as the API shows it: queued at first, delivered a second later."""
    is_delivered = now - row["at"] >= DELIVERED_AFTER
    sent_at = row["at"] + DELIVERED_AFTER
    uri = f"/2010-04-01/Accounts/{row['account']}/Messages/{row['sid']}"
    waiting = "accepted" if row["service"] else "queued"
    return {
        "sid": row["sid"],
        "account_sid": row["account"],
        "messaging_service_sid": row["service"],
        "to": row["sent_to"],
        "from": row["sent_from"],
        "body": row["body"],
        "status": "delivered" if is_delivered else waiting,
        "direction": "outbound-api",
        "num_segments": str(segments(row["body"])),
        "num_media": "0",
        "price": None,
        "price_unit": "USD",
        "error_code": None,
        "error_message": None,
        "api_version": "2010-04-01",
        "date_created": _date(row["at"]),
        "date_updated": _date(sent_at if is_delivered else row["at"]),
        "date_sent": _date(sent_at) if is_delivered else None,
        "uri": f"{uri}.json",
        "subresource_uris": {"media": f"{uri}/Media.json"},
    }


def segments(body: str) -> int:
    """How many SMS carry the text: 160 characters or 153 in each of several; beyond ASCII 70 or 67."""
    whole, part = (160, 153) if body.isascii() else (70, 67)
    return 1 if len(body) <= whole else -(-len(body) // part)


def _date(moment: float) -> str:
    return format_datetime(datetime.fromtimestamp(int(moment), UTC))


def _json(body: Json, status: int = 200) -> Answer:
    return Answer(status, compact(body).encode(), {"content-type": "application/json"})


def sent(world: World) -> list[Json]:
    """Every message as the sandbox's state shows it, oldest first."""
    rows = world.store.all("SELECT * FROM twilio_messages ORDER BY seq")
    return [
        {
            "sid": row["sid"],
            "at": rfc3339(row["at"]),
            "to": row["sent_to"],
            "from": row["sent_from"] or row["service"],
            "body": row["body"],
            "reference": row["reference"],
        }
        for row in rows
    ]
