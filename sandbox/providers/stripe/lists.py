"""Stripe's lists: newest first, by cursor, filtered by time and a few members."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sandbox.provider import Answer, Call, Json
from sandbox.providers.stripe.errors import invalid, json_answer, missing
from sandbox.providers.stripe.expansion import expanded
from sandbox.providers.stripe.params import Params

if TYPE_CHECKING:
    from sandbox.world import World

CURSOR = ("created", "ending_before", "expand", "limit", "starting_after")
COMPARISONS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
Conditions = list[tuple[str, tuple[Any, ...]]]


def lister(kind: str, url: str, members: tuple[str, ...] = ()) -> Callable[[World, Call], Answer]:
    """The handler that lists objects of `kind`, filtered by equality of `members`."""

    def listed(world: World, call: Call) -> Answer:
        params = Params(call.query, (*CURSOR, *members))
        where: Conditions = [("kind = ?", (kind,))]
        where += [(f"body ->> '$.{name}' = ?", (value,)) for name in members if (value := params.text(name))]
        return page(world, params, "stripe_objects", where, url)

    return listed


def events(world: World, call: Call) -> Answer:
    """Events by `type` (with `*` at the end as a wildcard) or `types`."""
    params = Params(call.query, (*CURSOR, "type", "types", "delivery_success"))
    where: Conditions = []
    if wanted := params.text("type"):
        where.append(("type GLOB ?", (wanted,)))
    if types := params.strings("types"):
        where.append((f"type IN ({', '.join('?' * len(types))})", tuple(types)))
    return page(world, params, "stripe_events", where, "/v1/events")


def page(world: World, params: Params, table: str, where: Conditions, url: str) -> Answer:
    """One page of `table`. Raises Stripe's refusal of a bad limit, filter or cursor."""
    limit = limit_of(params)
    backwards = "ending_before" in params
    where = [*where, *_created(params)]
    for name, comparison in (("starting_after", "<"), ("ending_before", ">")):
        if (cursor := params.text(name)) is not None:
            where.append((f"seq {comparison} ?", (_seq(world, table, cursor, name),)))
    clauses = " AND ".join(clause for clause, _ in where) or "1"
    values = tuple(value for _, each in where for value in each)
    order = "ASC" if backwards else "DESC"
    rows = world.store.all(
        f"SELECT body FROM {table} WHERE {clauses} ORDER BY seq {order} LIMIT ?", (*values, limit + 1)
    )
    data = [json.loads(row["body"]) for row in rows[:limit]]
    if backwards:
        data.reverse()
    return json_answer(
        200,
        {
            "object": "list",
            "data": expanded_all(world, data, params),
            "has_more": len(rows) > limit,
            "url": url,
        },
    )


def limit_of(params: Params) -> int:
    limit = params.integer("limit")
    if limit is not None and not 1 <= limit <= 100:
        raise invalid("Invalid limit: must be from 1 to 100", param="limit", code="parameter_invalid_integer")
    return limit or 10


def expanded_all(world: World, data: list[Json], params: Params) -> list[Json]:
    """Each object expanded by the paths that begin with `data.`, without it."""
    paths = [path.removeprefix("data.") for path in params.expand()]
    return [expanded(world, each, paths) for each in data] if paths else data


def _created(params: Params) -> Conditions:
    exact, ranges = params.either_text_or_mapping("created")
    found: Conditions = [] if exact is None else [("created = ?", (_moment(exact),))]
    for name, value in ranges.items():
        if name not in COMPARISONS:
            raise invalid(f"Received unknown parameter: created[{name}]", param=f"created[{name}]")
        found.append((f"created {COMPARISONS[name]} ?", (_moment(value),)))
    return found


def _moment(value: Any) -> int:
    if not isinstance(value, str) or not value.isdecimal():
        raise invalid(f"Invalid timestamp: {value}: must be an integer Unix timestamp", param="created")
    return int(value)


def _seq(world: World, table: str, cursor: str, name: str) -> int:
    row = world.store.one(f"SELECT seq FROM {table} WHERE id = ?", (cursor,))
    if row is None:
        raise missing("object", cursor, param=name, status=400)
    return int(row["seq"])
