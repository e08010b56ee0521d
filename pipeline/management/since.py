"""The option `--since` of manage.py's commands."""

from argparse import ArgumentParser, ArgumentTypeError
from datetime import UTC, datetime, timedelta
from typing import Final

from django.utils import timezone

_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}


def add_since(parser: ArgumentParser, what: str) -> None:
    """Let the command be given it, as a datetime or None; `what` is what it leaves."""
    parser.add_argument(
        "--since", type=_moment, help=f"only {what} made since: 2h, 7d, 30m, or a time (ISO 8601); default: all"
    )


def _moment(text: str) -> datetime:
    """`2h`, `7d`, `30m` ago, or an ISO time (UTC if it names no zone); ArgumentTypeError otherwise."""
    number, unit = text[:-1], text[-1:]
    if number.isdecimal() and unit in _UNITS:
        return timezone.now() - timedelta(**{_UNITS[unit]: int(number)})
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no time: give 2h, 7d, 30m or 2026-11-21T07:29:00Z") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
