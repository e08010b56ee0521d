"""Reading a webhook's headers and JSON, which strangers may have written, into texts that the database can store.

A request that does not fit raises Forged, which the view answers with 400. Signed does not mean well-formed: every
member of a body is read through `text_at`, `number_at` or `part_at`, which never raise.
"""

import json
import re
import uuid
from collections.abc import Mapping
from typing import Any, Final, NoReturn

_LONGEST_HEADER: Final = 4096  # characters; a signature has some hundred
_LARGEST: Final = 2**53  # of a number that is read: what every JSON library can carry
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")  # PostgreSQL stores neither NUL nor half a character
_DIGITS: Final = re.compile("[0-9]{1,16}")
_REPLACEMENT: Final = "\ufffd"


class Forged(Exception):
    """The request is not the provider's, or too old, or of a form that the provider never sends."""


def header(value: str) -> str:
    """The header's value; Forged when it cannot be one of a provider's: signatures are short and ASCII."""
    if len(value) > _LONGEST_HEADER or not value.isascii():
        raise Forged("The signature's header is not readable.")
    return value


def json_of(body: bytes) -> Any:
    """The JSON in a body; Forged for anything else, however it is broken."""
    try:
        return json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise Forged("The body is not JSON.") from error


def storable(text: str, limit: int = 255) -> str:
    """The text as PostgreSQL can store it, cut to the limit."""
    return _UNSTORABLE.sub(_REPLACEMENT, text[:limit])


def text_at(value: object, *path: str, limit: int = 255) -> str:
    """The text at this place, storable; empty when there is none, or something else."""
    found = _at(value, path)
    return storable(found, limit) if isinstance(found, str) else ""


def number_at(value: object, *path: str) -> int:
    """The whole number at this place, from 0, also as `170.0` or `"170"`; 0 when there is none, or something else."""
    found = _at(value, path)
    if isinstance(found, str) and _DIGITS.fullmatch(found):
        found = int(found)
    is_number = isinstance(found, int | float) and not isinstance(found, bool)
    return int(found) if is_number and 0 <= found <= _LARGEST else 0


def part_at(value: object, *path: str) -> Mapping[str, Any]:
    """The object at this place; an empty one when there is none, or something else."""
    found = _at(value, path)
    return found if isinstance(found, dict) else {}


def is_set(value: object, *path: str) -> bool:
    """Whether `true` stands at this place."""
    return _at(value, path) is True


def as_uuid(text: object) -> uuid.UUID | None:
    """The id that a text spells; None for anything else."""
    try:
        return uuid.UUID(text) if isinstance(text, str) and len(text) <= 45 else None
    except ValueError:
        return None


def _at(value: object, path: tuple[str, ...]) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)
