"""`expand[]`: ids in an answer replaced by the objects that they name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sandbox.provider import Answer, Json
from sandbox.providers.stripe import objects
from sandbox.providers.stripe.errors import invalid, json_answer

if TYPE_CHECKING:
    from sandbox.world import World

# By kind of object: the members that hold an id, and the kind of what it names.
EXPANDABLE = {
    "payment_intent": {"latest_charge": "charge", "payment_method": "payment_method"},
    "charge": {"payment_intent": "payment_intent", "payment_method": "payment_method"},
    "refund": {"charge": "charge", "payment_intent": "payment_intent"},
}
DEEPEST = 4


def expanded(world: World, resource: Json, paths: Sequence[str]) -> Json:
    """A copy of `resource` with every path (`latest_charge`, `payment_intent.latest_charge`) expanded."""
    result = dict(resource)
    for path in paths:
        if path.count(".") >= DEEPEST:
            raise invalid(f"You cannot expand more than {DEEPEST} levels of a property ({path})", param="expand")
        name, _, rest = path.partition(".")
        kind = EXPANDABLE.get(resource["object"], {}).get(name)
        if kind is None:
            raise invalid(f"This property cannot be expanded ({name}).", param="expand")
        inner = result[name] if isinstance(result[name], dict) else objects.load(world, kind, result[name])
        if inner is not None:
            result[name] = expanded(world, inner, [rest]) if rest else inner
    return result


def answer(world: World, resource: Json, expand: Sequence[str]) -> Answer:
    """200 with the resource, expanded as asked."""
    return json_answer(200, expanded(world, resource, expand) if expand else resource)
