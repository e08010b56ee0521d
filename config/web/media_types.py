"""Bodies are UTF-8 and plain: other charsets, compressed bodies and malformed multipart are refused unparsed.

Django decodes by whichever of Python's codecs a Content-Type names, some of which fail on everything or are slow.
"""

import re
from collections.abc import Callable
from typing import Final

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from config.web import limits
from pipeline.api.problems import Problem, too_large

_WORD: Final = r"[!#$%&'+.^_`|~0-9A-Za-z\-]+"  # RFC 9110's without `*`, which marks RFC 2231's charsets
_VALUE: Final = rf'(?:{_WORD}|"[^"\\\x00-\x1f\x7f-\xff]*")'
_MEDIA_TYPE: Final = re.compile(rf"({_WORD}/{_WORD})((?:[ \t]*;[ \t]*{_WORD}={_VALUE})*)[ \t]*;?[ \t]*")
_PARAMETER: Final = re.compile(rf"({_WORD})=({_VALUE})")
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")  # RFC 2046
_UTF8: Final = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
_AS_IT_IS: Final = frozenset({"7bit", "8bit", "binary"})
_EXTENDED: Final = re.compile(r"\*[0-9]*\*?[ \t]*=[ \t]*(?!(?i:utf-8)'[^']{0,20}')")  # RFC 2231, but in UTF-8
_WITHOUT_BODY: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class PlainUtf8:
    """Middleware that comes before all others that read a body."""

    async_capable = sync_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Under ASGI what `get_response` returns is awaited by the caller."""
        problem = refusal(request)
        if problem is None:
            return self._get_response(request)
        return _later(problem) if iscoroutinefunction(self) else problem.response()  # type: ignore[return-value]


async def _later(problem: Problem) -> HttpResponseBase:
    return problem.response()


def refusal(request: HttpRequest) -> Problem | None:
    """The answer to a request whose body is not plain UTF-8; otherwise None, and the request is read as UTF-8."""
    request.encoding = "utf-8"  # it was what the Content-Type says
    is_empty = request.META.get("CONTENT_LENGTH") in {None, "", "0"}
    if is_empty and request.method in _WITHOUT_BODY:
        return None
    media_type = request.META.get("CONTENT_TYPE", "")
    problem = refusal_of_headers(media_type, request.headers.get("Content-Encoding", ""))
    if problem is None and media_type.lower().startswith("multipart/"):
        return _flaw(request, (_parameters(media_type) or {}).get("boundary", ""))
    return problem


def refusal_of_headers(media_type: str, coding: str) -> Problem | None:
    """The answer to a body by its Content-Type and Content-Encoding; either may be empty."""
    if coding.strip().lower() not in {"", "identity"}:
        return _compressed()
    if media_type and _parameters(media_type) is None:
        return _unsupported("The Content-Type is malformed: name the media type, and UTF-8 as its only charset.")
    return None


def _parameters(media_type: str) -> dict[str, str] | None:
    """A media type's parameters; None for one that is malformed, names one twice, or a charset but UTF-8."""
    written = _MEDIA_TYPE.fullmatch(media_type.strip())
    if written is None:
        return None
    pairs = [(name.lower(), value.strip('"')) for name, value in _PARAMETER.findall(written[2])]
    found = dict(pairs)
    if len(found) != len(pairs) or found.get("charset", "utf-8").strip().lower() not in _UTF8:
        return None
    return found


def _flaw(request: HttpRequest, boundary: str) -> Problem | None:
    """The refusal of a multipart body, or None. Its parts are found as Django finds them: separators anywhere."""
    if not _BOUNDARY.fullmatch(boundary):
        return _unreadable("The boundary of the multipart body is missing or malformed.")
    if int(request.META.get("CONTENT_LENGTH") or 0) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        return too_large(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
    body, separator = request.body, b"--" + boundary.encode()
    begin = 0
    for _ in range(limits.MAX_PARTS + 2):  # what stands before the first and after the last counts as parts
        end = body.find(separator, begin)
        problem = _flaw_of_part(body[begin : min(end if end >= 0 else len(body), begin + limits.MAX_PART_HEAD)])
        if problem is not None or end < 0:
            return problem
        begin = end + len(separator)
    return _unreadable(f"A multipart body may have {limits.MAX_PARTS} parts.")


def _flaw_of_part(beginning: bytes) -> Problem | None:
    """Of one part, by as much of it as its headers may take."""
    head, end, _ = beginning.partition(b"\r\n\r\n")
    if not end:
        if len(beginning) < limits.MAX_PART_HEAD:
            return None  # no headers: Django skips it
        return _unreadable(f"The headers of a part may have {limits.MAX_PART_HEAD} bytes.")
    try:
        lines = head.decode().split("\r\n")
    except UnicodeDecodeError:
        return _unsupported("The headers of a part are not UTF-8.")
    problems = (_flaw_of_header(*line.split(":", 1)) for line in lines if ":" in line)
    return next((problem for problem in problems if problem is not None), None)


def _flaw_of_header(name: str, value: str) -> Problem | None:
    name, value = name.strip().lower(), value.strip()
    if name == "content-transfer-encoding" and value.lower() not in _AS_IT_IS:
        return _unreadable("Send the parts of a multipart body as they are, without Content-Transfer-Encoding.")
    is_nested = name == "content-type" and value.lower().startswith("multipart/")
    if is_nested or _EXTENDED.search(value) or (name == "content-type" and _parameters(value) is None):
        return _unsupported("The headers of a part are malformed, or name another charset than UTF-8.")
    return None


def _unsupported(detail: str) -> Problem:
    return Problem(415, "unsupported_media_type", "Media type not supported", detail)


def _compressed() -> Problem:
    """RFC 9110, 15.5.16: Accept-Encoding tells what would be taken."""
    detail = "Send the body as it is, without Content-Encoding."
    headers = {"Accept-Encoding": "identity"}
    return Problem(415, "unsupported_content_encoding", "Content coding not supported", detail, headers=headers)


def _unreadable(detail: str) -> Problem:
    return Problem(400, "unparseable", "The body cannot be read", detail)
