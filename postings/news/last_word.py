"""Of all that was told of a step's mails or SMS, the last word: pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_ARRIVED: Final = "delivered"
_LOST: Final = frozenset({"bounce", "bounce (blocked)", "dropped", "undelivered", "failed"})
FINAL: Final = _LOST | {_ARRIVED, "spamreport"}


@dataclass(frozen=True, slots=True)
class Word:
    """What was told of one sending: `at` by the provider's clock, since events come in any order."""

    kind: str
    sending: str
    at: int
    reason: str


def last_word(words: Iterable[Word]) -> Word | None:
    """The word that counts; None when nothing final was told.

    One sending that arrived is enough. Of one sending the newest word counts: a server may take a mail and return it.
    """
    newest: dict[str, Word] = {}
    for word in words:
        if word.kind in _LOST or word.kind == _ARRIVED:
            newest[word.sending] = max(newest.get(word.sending, word), word, key=_order)
    return max(newest.values(), key=lambda word: (word.kind == _ARRIVED, word.at), default=None)


def complaint(words: Iterable[Word]) -> Word | None:
    """The newest complaint of its reader, which no arrival settles."""
    return max((word for word in words if word.kind == "spamreport"), key=_order, default=None)


def _order(word: Word) -> tuple[int, bool]:
    return word.at, word.kind in _LOST
