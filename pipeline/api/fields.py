"""Serializer fields that refuse what would do harm later: control characters, broken text, other types."""

import re
import unicodedata
from typing import Any, Final

from django.core.exceptions import ValidationError as DjangoValidationError
from django.core.validators import URLValidator
from rest_framework import serializers

from pipeline.addresses import LONGEST, BadAddress, normalised
from pipeline.api.cards import has_card_number

LONGEST_TEXT: Final = 40_000  # characters that are composed: a field has half as many, and each may be sent in two
LONGEST_VALUE: Final = 500  # of a field that names no length of its own
# Unicode's controls (Cc), and what is decoded with loss: surrogates (Cs), the replacement character.
_CONTROLS: Final = r"\x00-\x1f\x7f-\x9f"
NOT_IN_LINE: Final = re.compile(rf"[{_CONTROLS}\u2028\u2029]")  # separators of lines and paragraphs too
NOT_IN_TEXT: Final = re.compile(rf"(?![\n\r\t])[{_CONTROLS}]")
LOST: Final = re.compile("[\ud800-\udfff\ufffd]")
_MANY_MARKS: Final = "m" * 31
_TRUE: Final = frozenset({"true", "on", "1", "yes"})
_FALSE: Final = frozenset({"false", "off", "0", "no", ""})


def is_line(text: str) -> bool:
    """Whether the text has no control character and no line break of any kind."""
    return NOT_IN_LINE.search(text) is None


def is_sound(text: str) -> bool:
    """Whether the text was decoded without loss: no lone surrogate, no replacement character."""
    return LOST.search(text) is None


def normal(text: str) -> str:
    """The text as it is compared and stored: composed characters (NFC), newlines as line ends.

    Composing sorts the marks behind each letter, in quadratic time: a text with more of them than any script has (30:
    UAX #15, "Stream-Safe Text Format"), or longer than any field, stays as it is.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.isascii() or len(text) > LONGEST_TEXT or _MANY_MARKS in _marks(text):
        return text
    return unicodedata.normalize("NFC", text)


def _marks(text: str) -> str:
    return "".join("m" if unicodedata.combining(character) else " " for character in text)


class NoCard(serializers.Field[Any, Any, Any, Any]):
    """A field that refuses a value that looks like a card number, before any other check.

    Text is composed first. A value longer than the field may be is not looked at: its length is refused.
    """

    default_error_messages = {
        "card_number": "This looks like a card number. Never send one here: it belongs in the payment provider's form."
    }

    def run_validation(self, data: Any = serializers.empty) -> Any:
        """Errors never repeat the value."""
        if isinstance(data, str):
            data = normal(data)
        if self._may_be_taken(data) and has_card_number(data):
            self.fail("card_number")
        return super().run_validation(data)

    def _may_be_taken(self, data: Any) -> bool:
        if isinstance(data, str):
            return len(data) <= (getattr(self, "max_length", None) or LONGEST_VALUE)
        return isinstance(data, int | float) and not isinstance(data, bool)


class Choice(NoCard, serializers.ChoiceField):
    """One of a few words. The error names them, never the value that was sent."""

    def __init__(self, choices: Any, **kwargs: Any) -> None:
        super().__init__(choices, **kwargs)
        self.error_messages["invalid_choice"] = f"Send one of {', '.join(map(str, self.choices))}."


class _SoundLine(serializers.CharField):
    default_error_messages = {
        "invalid": "Send text.",
        "control_characters": "Control characters and line breaks are not allowed here.",
        "invalid_encoding": "This is not well-formed UTF-8 text.",
    }

    def run_validation(self, data: Any = serializers.empty) -> Any:
        """Before trimming: a line break at the end is one too."""
        if isinstance(data, str):
            self.check_characters(data)
        return super().run_validation(data)

    def to_internal_value(self, data: Any) -> str:
        """Text only: a number is a mistake."""
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)

    def check_characters(self, text: str) -> None:
        """ValidationError for what may not be in it."""
        if not is_sound(text):
            self.fail("invalid_encoding")
        if not is_line(text):
            self.fail("control_characters")


class Line(NoCard, _SoundLine):
    """One line of text, trimmed and composed (NFC)."""


class Text(Line):
    """Several lines: tabs and line ends are the only control characters. Line ends become newlines."""

    default_error_messages = {"control_characters": "No control characters but tabs and line ends are allowed here."}

    def check_characters(self, text: str) -> None:
        """As a line, but for tabs and line ends."""
        if not is_sound(text):
            self.fail("invalid_encoding")
        if NOT_IN_TEXT.search(text):
            self.fail("control_characters")


class Address(Line):
    """An absolute URL of one of `schemes`, without credentials."""

    default_error_messages = {
        "invalid_url": "Send a complete address such as https://www.example.com/.",
        "not_https": "The address must begin with https://.",
    }

    def __init__(self, *, schemes: tuple[str, ...] = ("https",), **kwargs: Any) -> None:
        super().__init__(max_length=500, **kwargs)
        self._schemes = schemes

    def to_internal_value(self, data: Any) -> str:
        """The address as it was sent."""
        url = super().to_internal_value(data)
        if self._schemes == ("https",) and url.lower().startswith("http:"):
            self.fail("not_https")
        try:
            URLValidator(schemes=self._schemes)(url)
        except DjangoValidationError:
            self.fail("invalid_url")
        if "@" in url.split("/")[2]:
            self.fail("invalid_url")
        return url


class Email(Line, serializers.EmailField):
    """An email address that mail services take (pipeline/addresses.py)."""

    default_error_messages = {"invalid_email": "Send an email address such as jobs@example.com. {why}"}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": LONGEST} | kwargs)

    def to_internal_value(self, data: Any) -> str:
        """The address as people write it, its domain in lower case."""
        text = super().to_internal_value(data)
        if len(text) > (self.max_length or LONGEST):
            return text  # refused for that, by the validators
        try:
            return normalised(text)
        except BadAddress as bad:
            raise serializers.ValidationError(
                self.error_messages["invalid_email"].format(why=bad), code="invalid"
            ) from bad


class Flag(NoCard, serializers.BooleanField):
    """True or false, as JSON has it or as forms write it."""

    default_error_messages = {"invalid": "Send true or false."}

    def to_internal_value(self, data: Any) -> bool:
        """The value; ValidationError for anything else."""
        value = as_flag(data)
        if value is None:
            self.fail("invalid")
        return value


class Whole(NoCard, serializers.IntegerField):
    """A whole number, as JSON has it or in decimal digits."""

    default_error_messages = {"invalid": "Send a whole number."}

    def to_internal_value(self, data: Any) -> int:
        """The number; ValidationError for anything else, 1.0 included."""
        value = as_whole(data)
        if value is None:
            self.fail("invalid")
        return value


def as_flag(value: Any) -> bool | None:
    """The truth value meant, or None."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    word = value.strip().lower() if isinstance(value, str) else None
    if word in _TRUE:
        return True
    return False if word in _FALSE else None


def as_whole(value: Any) -> int | None:
    """The number meant, or None. No more digits than any amount has: a longer text is no amount."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    text = value.strip() if isinstance(value, str) else ""
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text)
    return sign * int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 30 else None
