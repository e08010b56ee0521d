"""Stripe's form-encoded parameters: brackets into objects and lists, then checked one by one."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any
from urllib.parse import parse_qsl

from sandbox.provider import Json
from sandbox.providers.stripe.errors import invalid

BRACKETS = re.compile(r"\[([^\]]*)\]")
METADATA_KEYS, METADATA_KEY_LENGTH, METADATA_VALUE_LENGTH = 50, 40, 500


def decode(form: str) -> Json:
    """`a[b]=1&c[]=2&d[0]=3` to `{"a": {"b": "1"}, "c": ["2"], "d": ["3"]}`; every leaf is a string."""
    root: Json = {}
    for name, value in parse_qsl(form, keep_blank_values=True, max_num_fields=1000):
        head, *rest = [name.split("[", 1)[0], *BRACKETS.findall(name)]
        _plant(root, head, rest, value)
    return {name: _lists(value) for name, value in root.items()}


def _plant(node: Json, head: str, rest: list[str], value: str) -> None:
    for part in rest:
        inner = node.get(head)
        if not isinstance(inner, dict):
            inner = node[head] = {}
        node, head = inner, part or str(len(inner))
    node[head] = value


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {name: _lists(each) for name, each in value.items()}
    return list(inner.values()) if inner and all(name.isdecimal() for name in inner) else inner


class Params:
    """The parameters of one request. Each reader takes one by name and raises Stripe's own refusal."""

    def __init__(self, form: str, allowed: Collection[str]) -> None:
        try:
            self._values = decode(form)
        except ValueError as error:
            raise invalid("Invalid request body: it could not be parsed as form parameters") from error
        unknown = [name for name in self._values if name not in allowed]
        if unknown:
            names = ", ".join(unknown)
            plural = "s" if len(unknown) > 1 else ""
            raise invalid(f"Received unknown parameter{plural}: {names}", param=unknown[0], code="parameter_unknown")

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) not in (None, "")

    def require(self, name: str) -> None:
        if name not in self:
            raise invalid(f"Missing required param: {name}.", param=name, code="parameter_missing")

    def text(self, name: str, longest: int = 5000) -> str | None:
        value = self._values.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise invalid(f"Invalid string: {value}", param=name)
        if len(value) > longest:
            raise invalid(f"Invalid string: must be at most {longest} characters", param=name)
        return value

    def integer(self, name: str) -> int | None:
        value = self.text(name)
        if value is None:
            return None
        if not re.fullmatch(r"-?\d{1,15}", value):
            raise invalid(f"Invalid integer: {value}", param=name, code="parameter_invalid_integer")
        return int(value)

    def boolean(self, name: str) -> bool | None:
        value = self.text(name)
        if value not in (None, "true", "false"):
            raise invalid(f"Invalid boolean: {value}", param=name)
        return None if value is None else value == "true"

    def choice(self, name: str, choices: Collection[str]) -> str | None:
        value = self.text(name)
        if value is not None and value not in choices:
            options = list(choices)
            listed = ", ".join(options[:-1]) + f", or {options[-1]}" if len(options) > 1 else options[0]
            raise invalid(f"Invalid {name}: must be one of {listed}", param=name)
        return value

    def strings(self, name: str) -> list[str] | None:
        value = self._values.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise invalid("Invalid array", param=name)
        return value

    def mapping(self, name: str) -> Json | None:
        value = self._values.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, dict):
            raise invalid("Invalid object", param=name)
        return value

    def either_text_or_mapping(self, name: str) -> tuple[str | None, Json]:
        """A parameter that is given as `name=…` or as `name[part]=…`."""
        if isinstance(self._values.get(name), dict):
            return None, self.mapping(name) or {}
        return self.text(name), {}

    def metadata(self) -> dict[str, str]:
        """The request's metadata; a value of "" means that the key is to be removed."""
        given = self.mapping("metadata") or {}
        if len(given) > METADATA_KEYS:
            raise invalid(f"Metadata can have up to {METADATA_KEYS} keys", param="metadata")
        for key, value in given.items():
            if not isinstance(value, str):
                raise invalid(f"Invalid string: {value}", param=f"metadata[{key}]")
            if len(key) > METADATA_KEY_LENGTH:
                raise invalid(f"Metadata keys can be up to {METADATA_KEY_LENGTH} characters long", param="metadata")
            if len(value) > METADATA_VALUE_LENGTH:
                longest = f"Metadata values can have up to {METADATA_VALUE_LENGTH} characters"
                raise invalid(f"{longest}; you passed in {len(value)} characters", param=f"metadata[{key}]")
        return given

    def expand(self) -> list[str]:
        return self.strings("expand") or []
