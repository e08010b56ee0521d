"""Finding card numbers in what people type, so that none is ever stored.

ISO/IEC 7812: 13 to 19 digits, the last by Luhn's formula, the first ones an issuer's. They may stand in groups,
parted by anything but letters. The work is linear: at most seven sums for each digit.
"""

import html
import re
import unicodedata
from collections.abc import Iterator
from itertools import accumulate
from typing import Final
from urllib.parse import unquote

_SHORTEST, _LONGEST = 13, 19
_LONGEST_PHONE: Final = 15  # E.164; one in international form begins with a plus
# Of the payment networks in use: without them one in ten long numbers (ids in URLs, dates) would be refused.
_ISSUER: Final = re.compile(r"3(?:0|[4-9])|4|5[0-8]|6|2(?:20[0-5]|2[2-9]|[3-6]|7[01]|720)|8[12]|9792")
_RUN: Final = re.compile(r"\d+(?:[^\dx]{1,8}\d+)*", re.ASCII)
_BLANKS: Final = re.compile(r"\s{2,}")  # as many as there are, they part no more than one does
_PARTS: Final = re.compile(r"\d+|[^\dx]+", re.ASCII)
# Between groups of any sizes only what people write within a number; other marks part prices, times and lists.
_COMMON: Final = re.compile(r"[ .\-\u2010-\u2014_/]{1,3}")
_SHAPES: Final = {(4, 6, 5), (4, 6, 4)}
_WHOLE_GROUP: Final = 4  # digits; equal groups as long as a card's may be parted by different marks
# UUIDs and digests: one in a thousand has a number in it that could be a card's. They are known by their letters.
_RANDOM: Final = re.compile(
    r"(?<![^\W_])(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{24,})(?![^\W_])", re.IGNORECASE
)
_FEWEST_LETTERS: Final = 3
# Letters by Unicode that show nothing: fillers, as invisible as the characters of categories Cf, Mn and Me.
_FILLERS: Final = frozenset(map(ord, "\u115f\u1160\u3164\uffa0"))


class _Plain(dict[int, str]):
    """For str.translate: digits of any script are ASCII's, letters an x, blanks a space, invisible characters none."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        number = unicodedata.numeric(character, -1)
        if number in range(10):
            return str(int(number))
        category = unicodedata.category(character)
        if category in ("Cf", "Mn", "Me") or code in _FILLERS:
            return ""
        if category[0] in "LN":
            return "x"
        return " " if category[0] == "Z" or character.isspace() else character


_PLAIN: Final = _Plain()


def has_card_number(value: str | float) -> bool:
    """Whether a text or a number looks like a card number, or holds one. The caller bounds its length."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**_LONGEST:
        return False
    written = str(value)
    shown = html.unescape(unquote(written))  # as a page or a browser shows it
    return _is_in(written) or (shown != written and _is_in(shown))


def _is_in(text: str) -> bool:
    plain = _BLANKS.sub(" ", _RANDOM.sub(_without_random, text).translate(_PLAIN))
    return any(
        _has_card(_PARTS.findall(run[0]), is_phone=plain[max(run.start() - 1, 0) : run.start()] == "+")
        for run in _RUN.finditer(plain)
    )


def _without_random(found: re.Match[str]) -> str:
    letters = sum(character.isalpha() for character in found[0])
    return "x" if letters >= _FEWEST_LETTERS else found[0]


def _has_card(parts: list[str], *, is_phone: bool) -> bool:
    """`parts`: groups of digits, and what parts them, in turn."""
    groups, marks = parts[::2], parts[1::2]
    digits = "".join(groups)
    if len(digits) < _SHORTEST:
        return False
    luhn = _Luhn(digits)
    return any(
        luhn.is_valid(start, end)
        for start, end in _candidates(groups, marks)
        if not (is_phone and start == 0 and end <= _LONGEST_PHONE)
    )


def _candidates(groups: list[str], marks: list[str]) -> Iterator[tuple[int, int]]:
    """Where neighbouring groups have a card number's length and shape together: (start, end) among the digits."""
    sizes = [len(group) for group in groups]
    ends = list(accumulate(sizes))
    ending_at = {end: position for position, end in enumerate(ends)}
    alike = _Reach(groups, marks)
    for first, size in enumerate(sizes):
        start = ends[first] - size
        for length in range(_SHORTEST, _LONGEST + 1):
            last = ending_at.get(start + length)
            if last is not None and alike.is_one_number(first, last, sizes):
                yield start, start + length


class _Reach:
    """For each group how far the following ones are like it, counted once from the end."""

    def __init__(self, groups: list[str], marks: list[str]) -> None:
        count = len(groups)
        self._common, self._same_mark, self._same_size = ([count - 1] * count for _ in range(3))
        for position in range(count - 2, -1, -1):
            after = position + 1
            is_last = after == count - 1
            self._common[position] = self._common[after] if _COMMON.fullmatch(marks[position]) else position
            same_mark = is_last or _are_alike(marks[position], marks[after])
            self._same_mark[position] = self._same_mark[after] if same_mark else after
            same_size = len(groups[position]) == len(groups[after])
            self._same_size[position] = self._same_size[after] if same_size else position

    def is_one_number(self, first: int, last: int, sizes: list[int]) -> bool:
        """Whether these groups are parted as the groups of one number are."""
        if first == last or self._common[first] >= last:
            return True
        if tuple(sizes[first : last + 1][:4]) in _SHAPES:
            return True
        are_equal = self._same_size[first] >= last - 1 and sizes[last] <= sizes[first]
        return are_equal and (sizes[first] >= _WHOLE_GROUP or self._same_mark[first] >= last)


def _are_alike(one: str, other: str) -> bool:
    """Blanks of any number and kind are: a line may break within a number."""
    return one == other or not (one.strip() or other.strip())


class _Luhn:
    """Luhn's sums of every part of a number, by two running sums: each digit doubled, or each other."""

    def __init__(self, digits: str) -> None:
        self._digits = digits
        self._sums = [
            list(
                accumulate((_counted(digit, (position + odd) % 2) for position, digit in enumerate(digits)), initial=0)
            )
            for odd in (0, 1)
        ]

    def is_valid(self, start: int, end: int) -> bool:
        """Whether these digits begin as an issuer's and end with the right check digit."""
        sums = self._sums[(end - 1) % 2]
        if (sums[end] - sums[start]) % 10 or not _ISSUER.match(self._digits, start):
            return False
        return len(set(self._digits[start:end])) > 1


def _counted(digit: str, is_doubled: int) -> int:
    """What a digit adds to Luhn's sum."""
    number = int(digit)
    return 2 * number - 9 * (number > 4) if is_doubled else number
