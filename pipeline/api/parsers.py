"""Reading a body: strict JSON, and multipart; both within the limit of the whole body."""

import json
from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from django.http import QueryDict
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser
from rest_framework.request import Request

from pipeline.api.problems import too_large

DEEPEST = 16  # levels of lists and objects: far more than any field has


class StrictJSONParser(JSONParser):
    """One JSON object in UTF-8. What programs read differently (NaN, a name twice) is refused."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The object; ParseError for anything else."""
        raw = stream.read(settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
        if len(raw) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            raise too_large(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        try:
            value = json.loads(raw.decode(), parse_constant=_refuse_constant, object_pairs_hook=_unique)
        except UnicodeDecodeError as error:
            raise ParseError("The body is not UTF-8.") from error
        except RecursionError as error:
            raise ParseError("The body is nested too deeply.") from error
        except json.JSONDecodeError as error:
            raise ParseError(f"The body is not JSON: line {error.lineno}, column {error.colno}.") from error
        except ValueError as error:
            raise ParseError(_reason(error)) from error
        if not isinstance(value, dict):
            raise ParseError("The body is not a JSON object.")
        if _is_deeper(value, DEEPEST):
            raise ParseError("The body is nested too deeply.")
        return value


def check_length(request: Request) -> None:
    """Refuse a body by its Content-Length before reading it: Problem 413."""
    try:
        length = int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        length = 0
    if length > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        raise too_large(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)


def fields_of(data: Any) -> dict[str, Any]:
    """The submitted fields by name: files as they are, a multipart field that came twice as a list."""
    if isinstance(data, QueryDict):
        return {name: values[0] if len(values) == 1 else values for name, values in data.lists()}
    return dict(data)


class _Unreadable(ValueError):
    """Its text is for the client."""


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether there are more levels; without recursion, whose limit it guards."""
    level = [value]
    for _ in range(levels + 1):
        inner: list[Any] = []
        for part in level:
            if isinstance(part, dict):
                inner.extend(part.values())
            elif isinstance(part, list):
                inner.extend(part)
        if not inner:
            return False
        level = inner
    return True


def _refuse_constant(name: str) -> None:
    raise _Unreadable(f"{name} is no JSON value.")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Unreadable("A name stands twice in one object.")
    return found


def _reason(error: ValueError) -> str:
    return str(error) if isinstance(error, _Unreadable) else "A number in the body is too long."
