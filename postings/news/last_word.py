"""The event that counts among all events of a step's mails or SMS: pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_ARRIVED: Final = "delivered"
_LOST: Final = frozenset({"bounce", "bounce (blocked)", "dropped", "undelivered", "failed"})
FINAL: Final = _LOST | {_ARRIVED, "spamreport"}


@dataclass(frozen=True, slots=True)
class Word:
    """One event of one sending: `at` is by the provider's clock, since events come in any order."""

    kind: str
    sending: str
    at: int
    reason: str


def last_word(words: Iterable[Word]) -> Word | None:
    """The event that counts; None when none is final.

    One sending that arrived is enough. Of one sending the newest event counts: a server may take a mail and return it.
    """
    newest: dict[str, Word] = {}
    for word in words:
        if word.kind in _LOST or word.kind == _ARRIVED:
            newest[word.sending] = max(newest.get(word.sending, word), word, key=_order)
    return max(newest.values(), key=lambda word: (word.kind == _ARRIVED, word.at), default=None)


def complaint(words: Iterable[Word]) -> Word | None:
    """The reader's newest complaint, which no arrival settles."""
    return max((word for word in words if word.kind == "spamreport"), key=_order, default=None)


def _order(word: Word) -> tuple[int, bool]:
    return word.at, word.kind in _LOST
