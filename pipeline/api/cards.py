"""Finding card numbers in what people type, so that none is ever stored.

ISO/IEC 7812: 13 to 19 digits, the last by Luhn's formula, the first ones an issuer's. They may be written with
blanks, dots or dashes between groups.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

_SHORTEST, _LONGEST = 13, 19
_LONGEST_PHONE: Final = 15  # E.164; one in international form begins with a plus
_RUN: Final = re.compile(r"\d+(?:[ \t\u00a0\u2007\u2009\u202f.\-\u2010-\u2014_/]{1,3}\d+)*")
# Of the payment networks in use: without them one in ten long numbers (ids in URLs, dates) would be refused.
_ISSUER: Final = re.compile(r"3(?:0|[4-9])|4|5[0-8]|6|2(?:20[0-5]|2[2-9]|[3-6]|7[01]|720)|8[12]|9792")
_DEEPEST: Final = 20


def has_card_number(value: Any, depth: int = 0) -> bool:
    """Whether a text, a number, or anything within a list or an object, looks like a card number."""
    if isinstance(value, bool) or value is None or depth > _DEEPEST:
        return False
    if isinstance(value, str | int | float):
        return any(_is_card(digits) for digits in _candidates(str(value)))
    if isinstance(value, dict):
        return any(has_card_number(part, depth + 1) for pair in value.items() for part in pair)
    if isinstance(value, list | tuple):
        return any(has_card_number(part, depth + 1) for part in value)
    return False


def _candidates(text: str) -> Iterator[str]:
    """Every sequence of neighbouring groups of digits that has a card number's length."""
    for run in _RUN.finditer(text):
        is_phone = text[: run.start()].endswith("+")
        groups = re.findall(r"\d+", run[0])
        for first in range(len(groups)):
            digits = ""
            for group in groups[first:]:
                digits += group
                if len(digits) > _LONGEST:
                    break
                if len(digits) >= _SHORTEST and not (is_phone and first == 0 and len(digits) <= _LONGEST_PHONE):
                    yield digits


def _is_card(digits: str) -> bool:
    numbers = [int(digit) for digit in digits]  # any script's digits
    plain = "".join(map(str, numbers))
    if not _ISSUER.match(plain) or len(set(plain)) == 1:
        return False
    doubled = (sum(divmod(2 * number, 10)) for number in numbers[-2::-2])
    return (sum(numbers[-1::-2]) + sum(doubled)) % 10 == 0
