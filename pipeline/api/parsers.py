"""Reading a body: strict JSON, and multipart; both within the limit of the whole body."""

import json
from collections.abc import Mapping
from typing import IO, Any, Final

from django.conf import settings
from django.http import HttpRequest, QueryDict
from django.http.multipartparser import MultiPartParser as DjangoMultiPartParser
from django.http.multipartparser import MultiPartParserError
from rest_framework.exceptions import ParseError
from rest_framework.parsers import DataAndFiles, JSONParser, MultiPartParser
from rest_framework.request import Request

from pipeline.api.problems import too_large

DEEPEST: Final = 16  # levels of lists and objects: far more than any field has
# Commas and opening brackets, those within texts too. Each value costs many times its bytes when it is parsed:
# without a bound 4 MiB of `[],` take a second and 200 MiB.
MOST_VALUES: Final = 50_000
# Characters of one number. Python reads and writes whole numbers in quadratic time, up to 4,300 digits of them.
LONGEST_NUMBER: Final = 100


class StrictJSONParser(JSONParser):
    """One JSON object in UTF-8. What programs read differently (NaN, a name twice) is refused."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The object; ParseError for anything else."""
        raw = stream.read(settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
        if len(raw) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            raise too_large(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        if sum(raw.count(mark) for mark in (b",", b"[", b"{")) > MOST_VALUES:
            raise ParseError(f"The body has more than {MOST_VALUES} values.")
        try:
            value = json.loads(
                raw.decode("utf-8-sig"),
                parse_constant=_refuse_constant,
                parse_int=_whole,
                parse_float=_fraction,
                object_pairs_hook=_unique,
            )
        except UnicodeDecodeError as error:
            raise ParseError("The body is not UTF-8.") from error
        except RecursionError as error:
            raise ParseError("The body is nested too deeply.") from error
        except json.JSONDecodeError as error:
            raise ParseError(f"The body is not JSON: line {error.lineno}, column {error.colno}.") from error
        except _Unreadable as error:
            raise ParseError(str(error)) from error
        if not isinstance(value, dict):
            raise ParseError("The body is not a JSON object.")
        if _is_deeper(value, DEEPEST):
            raise ParseError("The body is nested too deeply.")
        return value


class StrictMultiPartParser(MultiPartParser):
    """A form with files, none of which is lost."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> "DataAndFiles[Any, Any]":
        """Fields and files; ParseError for a body that is no form."""
        request = (parser_context or {})["request"]
        meta = request.META | {"CONTENT_TYPE": media_type}
        body: Any = stream
        try:
            data, files = _Parts(meta, body, request.upload_handlers, settings.DEFAULT_CHARSET).parse()
        except MultiPartParserError as error:
            raise ParseError("The multipart body is damaged or cut off.") from error
        return DataAndFiles(data, files)


def read_strictly(request: HttpRequest) -> None:
    """Have Django read this request's form as the parser above does, when something asks for `request.POST`."""

    def parse_file_upload(meta: Mapping[str, Any], stream: Any) -> tuple[Any, Any]:
        return _Parts(meta, stream, request.upload_handlers, request.encoding).parse()

    request.parse_file_upload = parse_file_upload  # type: ignore[method-assign, assignment] # for this request alone


class _Parts(DjangoMultiPartParser):
    """Keeps a file whose name is none (`.`, `/`), which Django drops without a word."""

    def sanitize_file_name(self, file_name: str) -> str:
        """A name for every file."""
        return super().sanitize_file_name(file_name) or "unnamed"


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


def _whole(digits: str) -> int:
    return int(_checked(digits))


def _fraction(digits: str) -> float:
    return float(_checked(digits))


def _checked(digits: str) -> str:
    if len(digits) > LONGEST_NUMBER:
        raise _Unreadable("A number in the body is too long.")
    return digits
