"""Log lines: one a line, short, and redacted. Nothing personal and no credential leaves by a log."""

import re
from collections.abc import Iterator
from typing import Any, Final

import structlog

# The time of each is linear in the text, whatever a client makes us log: a repetition either begins at few places
# (behind a literal, or where no character before belongs to it) or is bounded. In this order: what the first leaves
# is no address for the second.
_SECRETS: Final = (
    re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"),  # of an address such as redis://user:password@host
    re.compile(r"(?<![\w.+\-])[\w.+\-]+@[\w\-]+\.[\w.\-]+"),
    re.compile(
        r"(?:sk|rk)_(?:test|live)_\w+|whsec_\w+|SG\.[\w.\-]+|pi_[^\W_]+_secret_\w+|AKIA[A-Z0-9]{16}"
        r"|gAAAA[\w\-]{40,}=*"  # what Fernet has encrypted
        r"|(?i:\b(?:Bearer|Basic|Token)\s+[\w.~+/=\-]{8,}|(?:api[_-]?key|password|secret)=[^\s&'\"]+)"
        r"|\b\d(?:[ \-]?\d){12,18}\b"
    ),
)
REDACTED: Final = "[redacted]"
CUT: Final = " … cut"
LONGEST: Final = 4096  # characters that are shown of a line; a traceback's lines are counted one by one
MOST_LINES: Final = 200  # of one value, half of them its first
_MARGIN: Final = 1024  # looked at beyond what is shown, so that what is cut in two is recognised: the longest address


def redact(text: str) -> str:
    """Replace credentials, addresses and card numbers."""
    for secrets in _SECRETS:
        text = secrets.sub(REDACTED, text)
    return text


def shorten(text: str) -> str:
    """As much of it as a log shows, redacted: of each line its beginning, of many lines the first and the last."""
    return "\n".join(map(_shorten_line, _lines(text)))


def formatter() -> structlog.stdlib.ProcessorFormatter:
    """Structlog's key-value lines for everything that logs, shortened and redacted last, tracebacks included."""
    return structlog.stdlib.ProcessorFormatter(
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _shorten_values,
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "logger", "event"]),
            lambda _logger, _name, line: redact(str(line)),  # once more: what stood in two values stands together
        ],
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
    )


def _shorten_values(_logger: Any, _name: str, event: Any) -> Any:
    return {
        key: value if value is None or isinstance(value, bool | int | float) else shorten(str(value))
        for key, value in event.items()
    }


def _lines(text: str) -> Iterator[str]:
    """At most MOST_LINES, and of a huge text only what its two ends hold; a line cut by that is left out."""
    end = MOST_LINES * LONGEST
    is_huge = len(text) > 2 * end
    first = (text[:end] if is_huge else text).split("\n", MOST_LINES)
    if not is_huge and len(first) <= MOST_LINES:
        yield from first
        return
    yield from first[: MOST_LINES // 2]
    yield CUT
    yield from text[-end:].rsplit("\n", MOST_LINES // 2)[1:]


def _shorten_line(line: str) -> str:
    """Its first LONGEST characters; a secret that begins in them is left out whole."""
    if len(line) <= LONGEST:
        return redact(line)
    seen = line[: LONGEST + _MARGIN]
    found = (match.span() for secrets in _SECRETS for match in secrets.finditer(seen))
    cut_in_two = [begin for begin, end in found if begin < LONGEST < end]
    if cut_in_two:
        return redact(seen[: min(cut_in_two)]) + REDACTED + CUT
    return redact(seen[:LONGEST]) + CUT
