"""Log lines: one a line, redacted. Nothing personal and no credential leaves by a log."""

import logging
import re
from typing import Final

import structlog

_SECRETS: Final = re.compile(
    r"(sk_(?:test|live)_\w+|rk_(?:test|live)_\w+|whsec_\w+|SG\.[\w.\-]+|Bearer\s+\S+|pi_\w+_secret_\w+"
    r"|[\w.+\-]+@[\w\-]+\.[\w.\-]+|\b(?:\d[ \-]?){13,19}\b)"
)
REDACTED: Final = "[redacted]"


def redact(text: str) -> str:
    """Replace credentials, addresses and card numbers."""
    return _SECRETS.sub(REDACTED, text)


class Redact(logging.Filter):
    """A filter for handlers: it changes the line and lets it pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact the message with its arguments in place, and the exception's text."""
        record.msg, record.args = redact(record.getMessage()), None
        if record.exc_info and not record.exc_text:
            record.exc_text = redact(logging.Formatter().formatException(record.exc_info))
        return True


def formatter() -> logging.Formatter:
    """structlog's key-value lines for everything that logs."""
    return structlog.stdlib.ProcessorFormatter(
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "logger", "event"]),
        ],
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        keep_exc_info=False,
    )
