"""Search for PaymentIntents in Stripe's query language, as far as intents are looked for: no index lag is imitated."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import TYPE_CHECKING, Any

from sandbox.provider import Answer, Call
from sandbox.providers.stripe.errors import invalid, json_answer
from sandbox.providers.stripe.lists import expanded_all, limit_of
from sandbox.providers.stripe.objects import REFERENCE
from sandbox.providers.stripe.params import Params

if TYPE_CHECKING:
    from sandbox.world import World

CLAUSE = re.compile(
    r"""(?P<minus>-?)(?P<field>\w+)(?:\[(?P<kq>["'])(?P<key>[^"']+)(?P=kq)\])?\s*(?P<operator>:|>=|<=|>|<)\s*"""
    r"""(?:(?P<null>null)|(?P<number>\d+)|(?P<quote>["'])(?P<text>(?:\\.|(?!(?P=quote)).)*)(?P=quote))"""
)
JOINT = re.compile(r"\s+(AND|OR)\s+")
NUMBERS = frozenset({"amount", "created"})
TEXTS = frozenset({"currency", "customer", "status"})
Condition = tuple[str, tuple[Any, ...]]


def search(world: World, call: Call) -> Answer:
    """`query=metadata['pipeline_id']:'…' AND status:'succeeded'`; newest first; `page` goes on where one ended."""
    params = Params(call.query, ("expand", "limit", "page", "query"))
    params.require("query")
    clause, values = condition(params.text("query") or "")
    limit = limit_of(params)
    # The plus keeps SQLite from the index on kind: the one on reference serves, else the newest rows in turn.
    rows = world.store.all(
        f"SELECT seq, body FROM stripe_objects WHERE +kind = 'payment_intent' AND seq < ? AND ({clause}) "
        "ORDER BY seq DESC LIMIT ?",
        (_before(params), *values, limit + 1),
    )
    more = len(rows) > limit
    data = [json.loads(row["body"]) for row in rows[:limit]]
    return json_answer(
        200,
        {
            "object": "search_result",
            "data": expanded_all(world, data, params),
            "has_more": more,
            "next_page": _token(rows[limit - 1]["seq"]) if more else None,
            "url": "/v1/payment_intents/search",
        },
    )


def condition(query: str) -> Condition:
    """The query as SQL. Raises Stripe's refusal; AND and OR cannot be mixed, as at Stripe."""
    clauses: list[str] = []
    values: list[Any] = []
    joints: set[str] = set()
    at = 0
    while True:
        found = CLAUSE.match(query, at)
        if found is None:
            raise invalid(f"We were unable to parse your search query near: {query[at : at + 40]!r}", param="query")
        clause, value = _clause(found)
        clauses.append(f"NOT ({clause})" if found["minus"] else clause)
        values.extend(value)
        if not query[found.end() :].strip():
            break
        joint = JOINT.match(query, found.end())
        if joint is None:
            raise invalid("Clauses of a search query are joined by AND or OR", param="query")
        joints.add(joint[1])
        at = joint.end()
    if len(joints) > 1:
        raise invalid("A search query cannot mix AND and OR", param="query")
    return f" {joints.pop() if joints else 'AND'} ".join(clauses), tuple(values)


def _clause(found: re.Match[str]) -> Condition:
    field, key, operator = found["field"], found["key"], found["operator"]
    text = None if found["null"] else found["number"] or re.sub(r"\\(.)", r"\1", found["text"] or "")
    if field == "metadata" and key is not None and operator == ":":
        return _metadata(key, text)
    if key is None and field in NUMBERS and text is not None and text.isdecimal():
        return f"body ->> '$.{field}' {'=' if operator == ':' else operator} ?", (int(text),)
    if key is None and field in TEXTS and operator == ":":
        return f"body ->> '$.{field}' IS ?", (text,)
    supported = ", ".join(["metadata['key']", *sorted(NUMBERS | TEXTS)])
    message = f"Field `{field}` is an unsupported search field, or not with {operator}: use {supported}"
    raise invalid(message, param="query")


def _metadata(key: str, text: str | None) -> Condition:
    if key == REFERENCE and text is not None:
        return "reference = ?", (text,)
    if '"' in key:
        raise invalid("A metadata key cannot hold a quote here", param="query")
    return f"""body ->> '$.metadata."{key.replace("'", "''")}"' IS ?""", (text,)


def _token(seq: int) -> str:
    return base64.urlsafe_b64encode(str(seq).encode()).decode()


def _before(params: Params) -> int:
    token = params.text("page")
    if token is None:
        return 2**62
    try:
        return int(base64.urlsafe_b64decode(token))
    except (binascii.Error, ValueError) as error:
        raise invalid("Invalid page: take it from `next_page`", param="page") from error
