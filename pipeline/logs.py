"""Log lines: one a line, redacted. Nothing personal and no credential leaves by a log."""

import re
from typing import Final

import structlog

_SECRETS: Final = re.compile(
    r"(sk_(?:test|live)_\w+|rk_(?:test|live)_\w+|whsec_\w+|SG\.[\w.\-]+|pi_\w+_secret_\w+|AKIA[A-Z0-9]{16}"
    r"|gAAAA[\w\-]{40,}=*"  # what Fernet has encrypted
    r"|(?i:\b(?:Bearer|Basic|Token)\s+[\w.~+/=\-]{8,})|(?i:\b(?:api[_-]?key|password|secret)=)[^\s&'\"]+"
    r"|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"  # of an address such as redis://user:password@host
    r"|[\w.+\-]+@[\w\-]+\.[\w.\-]+|\b\d(?:[ \-]?\d){12,18}\b)"
)
REDACTED: Final = "[redacted]"


def redact(text: str) -> str:
    """Replace credentials, addresses and card numbers."""
    return _SECRETS.sub(REDACTED, text)


def formatter() -> structlog.stdlib.ProcessorFormatter:
    """Structlog's key-value lines for everything that logs, redacted last, tracebacks included."""
    return structlog.stdlib.ProcessorFormatter(
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "logger", "event"]),
            lambda _logger, _name, line: redact(str(line)),
        ],
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
    )
