"""What the runner says: plain lines, colours only on a terminal."""

import os
import sys
from typing import Final, TextIO

COLOURS: Final = {"green": "32", "red": "31", "yellow": "33", "dim": "2", "bold": "1"}


def say(line: str = "") -> None:
    """One line on standard output, at once."""
    _write(sys.stdout, line)


def complain(line: str) -> None:
    """One line on standard error, at once."""
    _write(sys.stderr, line)


def _write(stream: TextIO, line: str) -> None:
    try:
        stream.write(line + "\n")
        stream.flush()
    except BrokenPipeError:  # whoever read this has gone; what runs goes on, and is stopped as ever
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def coloured(text: str, colour: str) -> str:
    """The text in a colour, or as it is where no colours are wanted (no terminal, NO_COLOR)."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m"
