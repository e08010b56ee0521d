"""Lists, newest first, by pages: the next one begins after the id that `X-After-Cursor` names."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from sandbox.provider import Answer, Call, Handler, Json, compact
from sandbox.providers.modern_treasury.errors import invalid
from sandbox.providers.modern_treasury.objects import REFERENCE

if TYPE_CHECKING:
    import sqlite3

    from sandbox.world import World

PER_PAGE, LARGEST_PAGE = 25, 100
Shown = Callable[["sqlite3.Row"], Json]


def stored(row: sqlite3.Row) -> Json:
    body: Json = json.loads(row["body"])
    return body


def lister(kind: str, filters: Mapping[str, str], shown: Shown = stored) -> Handler:
    """A handler that lists one kind. `filters` maps a parameter to its SQL condition with one `?`."""

    def handle(world: World, call: Call) -> Answer:
        return page(world, call, "modern_treasury_objects", [("kind = ?", [kind])], filters, shown)

    return handle


def page(
    world: World,
    call: Call,
    table: str,
    always: Sequence[tuple[str, list[Any]]],
    filters: Mapping[str, str],
    shown: Shown = stored,
) -> Answer:
    """One page of `table` that fulfils `always` and what the query asks. Raises Refused for an unknown filter."""
    given: dict[str, list[str]] = {}
    for name, value in parse_qsl(call.query, keep_blank_values=True):
        given.setdefault(name, []).append(value)
    size = _size(given.pop("per_page", [str(PER_PAGE)])[-1])
    ascending = given.pop("order_by[created_at]", ["desc"])[-1] == "asc"
    cursor = given.pop("after_cursor", [None])[-1]
    conditions = [*always, *(_condition(name, values, filters) for name, values in given.items())]
    if cursor:
        beyond = ">" if ascending else "<"
        conditions.append((f"seq {beyond} (SELECT seq FROM {table} WHERE id = ?)", [cursor]))
    where = " AND ".join(sql for sql, _ in conditions)
    rows = world.store.all(
        f"SELECT * FROM {table} WHERE {where} ORDER BY seq {'ASC' if ascending else 'DESC'} LIMIT ?",
        (*(value for _, values in conditions for value in values), size + 1),
    )
    headers = {"content-type": "application/json", "x-per-page": str(size)}
    if len(rows) > size:
        headers["x-after-cursor"] = rows[size - 1]["id"]
    return Answer(200, compact([shown(row) for row in rows[:size]]).encode(), headers)


def _size(given: str) -> int:
    if not given.isdecimal() or not 1 <= int(given) <= LARGEST_PAGE:
        raise invalid(f"per_page must be a whole number from 1 to {LARGEST_PAGE}.", "per_page")
    return int(given)


def _condition(name: str, values: list[str], filters: Mapping[str, str]) -> tuple[str, list[Any]]:
    """A parameter repeated, with or without `[]`, asks for any of its values."""
    if name == f"metadata[{REFERENCE}]":
        return "reference = ?", values[-1:]
    if name.startswith("metadata[") and name.endswith("]") and '"' not in name:
        return "body ->> ? = ?", [f'$.metadata."{name[9:-1]}"', values[-1]]
    sql = filters.get(name.removesuffix("[]"))
    if sql is None:
        raise invalid(f"{name} is no filter of this list (as far as the sandbox knows it).", name)
    return f"({' OR '.join([sql] * len(values))})", list(values)
