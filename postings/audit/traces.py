"""What the world outside knows of one pipeline, by our mark, and of all of them."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

Money = tuple[int, str]  # in the currency's minor unit; the currency in lower case


@dataclass(slots=True)
class Traces:
    """What one pipeline has left outside. Intents and refunds by their ids, objects by their keys."""

    authorised: list[str] = field(default_factory=list)  # the intent, each time that money was held
    captured: list[tuple[str, Money]] = field(default_factory=list)  # the intent, what was taken
    charged: dict[str, str] = field(default_factory=dict)  # by intent, as the card's holder reads it, where it is known
    refunds: list[tuple[str, str, Money]] = field(default_factory=list)  # that this pipeline made: id, intent, what
    holds: list[str] = field(default_factory=list)  # intents that hold money now
    open_intents: list[str] = field(default_factory=list)  # and those that do not, and are not cancelled
    objects: dict[str, str] = field(default_factory=dict)  # with the SHA-256 of the bytes; empty if not known
    told: Counter[str] = field(default_factory=Counter)  # mails by category, and `sms`

    def things(self) -> Iterator[str]:
        """Everything that a pipeline must answer for, for people."""
        if self.authorised:
            yield f"money held {len(self.authorised)} times"
        yield from (f"{intent} captured" for intent, _ in self.captured)
        yield from (f"{intent} holding money" for intent in self.holds)
        yield from (f"{intent} open" for intent in self.open_intents)
        yield from (f"{refund} refunded" for refund, _, _ in self.refunds)
        yield from (f"object {key}" for key in self.objects)
        yield from (f"{count} {kind} sent" for kind, count in self.told.items())

    def everything(self) -> tuple[str, ...]:
        """The intents and objects behind all this. None where somebody was told: there is no finding of a mail."""
        if self.told:
            return ()
        intents = [*self.authorised, *(intent for intent, _ in self.captured), *self.holds, *self.open_intents]
        return tuple(dict.fromkeys([*intents, *(intent for _, intent, _ in self.refunds), *self.objects]))


@dataclass(slots=True)
class Outside:
    """The traces of all pipelines by their mark. `knows_what_was_told`: mails can be counted."""

    knows_what_was_told: bool
    of: defaultdict[str, Traces] = field(default_factory=lambda: defaultdict(Traces))
    refunded: Counter[str] = field(default_factory=Counter)  # by intent, whoever refunded it
    net: Counter[str] | None = None  # captured less refunded, marked or not, by currency; None when not known
