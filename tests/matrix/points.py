"""The places at which the matrix strikes: every effect, the eight points of its job, and the kinds of trouble."""

from dataclasses import dataclass
from enum import StrEnum

from pipeline.states import Verb


class Point(StrEnum):
    """Where a worker is in a job."""

    DUE = "due"  # p1: it has the message and has claimed nothing
    CLAIMED = "claimed"  # p2: the claim is committed, the effect not begun
    STORED = "stored"  # the provider call is stored, nothing is sent
    REQUEST_LOST = "request_lost"  # p3: the request is sent, its effect does not come about
    ANSWER_LOST = "answer_lost"  # p4: the effect is there, the answer is not
    EFFECT = "effect"  # p5: the answer is here, nothing is recorded
    ACK_LOST = "ack_lost"  # p6: the record is committed, the database's answer is lost
    RECORDED = "recorded"  # p7: recorded, what it opened is not published
    PUBLISHED = "published"  # p8: published, its own message not acknowledged


class Kind(StrEnum):
    """What happens there."""

    CRASH = "crash"  # kill -9: the worker's lock is free, its message gone (or back, if not acknowledged)
    EXCEPTION = "exception"  # what breaks raises, and the worker lives
    DUPLICATE = "duplicate"  # another worker is given the same message right then, and whatever else waits
    ZOMBIE = "zombie"  # the worker stops until its lease is over and others did its work; then it goes on


class Scenario(StrEnum):
    """A pipeline that comes to the effect."""

    SOLD = "sold"  # a good card: committed
    DECLINED = "declined"  # the card is refused: rolled back
    TURNED_BACK = "turned_back"  # an operator turns it back once the card's money is held: rolled back
    CONFIRMED = "confirmed"  # the customer is waited for, and confirms: committed
    WITHDRAWN = "withdrawn"  # a published posting is taken down and refunded: committed


@dataclass(frozen=True, slots=True)
class Effect:
    """One effect: the job that has it, and its request to a provider (empty: it has none)."""

    name: str
    scenario: Scenario
    step: str
    verb: Verb
    request: str = ""
    is_local: bool = False  # in this database, in the transaction of its record

    @property
    def points(self) -> list[Point]:
        """The eight of every effect, and a ninth where a provider call is stored first."""
        is_stored = self.request not in ("", "delete")
        return [point for point in Point if point != Point.STORED or is_stored]


def troubles(*kinds: Kind) -> list["Trouble"]:
    """Everything that can happen at every point of every effect."""
    every = (Trouble(effect, point, kind) for effect in EFFECTS for point in effect.points for kind in kinds)
    return [trouble for trouble in every if trouble.is_possible]


@dataclass(frozen=True, slots=True)
class Trouble:
    """One kind of trouble at one point of one effect."""

    effect: Effect
    point: Point
    kind: Kind

    def __str__(self) -> str:
        return f"{self.kind} at {self.effect.name}, {self.point}"

    @property
    def place(self) -> str:
        """As the engine's crash points name it."""
        if self.point == Point.STORED:
            return f"{self.effect.step}.{self.effect.verb}.{self.effect.request}_stored"
        return f"{self.effect.step}.{self.effect.verb}.{self.point}"

    @property
    def may_double_the_mail(self) -> bool:
        """A mail's provider can neither be asked nor made to forget: what it has and we do not know comes again."""
        unknown = {Point.ANSWER_LOST, Point.EFFECT}
        if self.kind == Kind.ZOMBIE:
            unknown |= {Point.STORED, Point.REQUEST_LOST}  # stopped between its last check and the sending
        return self.effect.request == "send" and self.point in unknown

    @property
    def is_possible(self) -> bool:
        """Nobody can overtake a worker whose open transaction holds the posting's row: he would wait for it."""
        held = {Point.ANSWER_LOST, Point.EFFECT}
        return not (self.effect.is_local and self.kind == Kind.ZOMBIE and self.point in held)


EFFECTS = (
    Effect("logo put", Scenario.SOLD, "logo", Verb.STAGE, "put"),
    Effect("posting insert", Scenario.SOLD, "posting", Verb.STAGE, is_local=True),
    Effect("payment create", Scenario.SOLD, "payment", Verb.STAGE, "create"),
    Effect("payment authorise", Scenario.SOLD, "payment", Verb.STAGE, "confirm"),
    Effect("email check", Scenario.SOLD, "email", Verb.STAGE),
    Effect("capture", Scenario.SOLD, "payment", Verb.COMMIT, "capture"),
    Effect("publish", Scenario.SOLD, "posting", Verb.COMMIT, is_local=True),
    Effect("receipt", Scenario.SOLD, "email", Verb.COMMIT, "send"),
    Effect("void", Scenario.TURNED_BACK, "payment", Verb.ROLLBACK, "cancel"),
    Effect("delete object", Scenario.TURNED_BACK, "logo", Verb.ROLLBACK, "delete"),
    Effect("delete posting", Scenario.TURNED_BACK, "posting", Verb.ROLLBACK, is_local=True),
    Effect("tell", Scenario.TURNED_BACK, "email", Verb.ROLLBACK, "send"),
    Effect("decline", Scenario.DECLINED, "payment", Verb.STAGE, "confirm"),
    Effect("ask the customer", Scenario.CONFIRMED, "payment", Verb.STAGE, "confirm"),
    Effect("reserve", Scenario.WITHDRAWN, "posting", Verb.STAGE, is_local=True),
    Effect("refund", Scenario.WITHDRAWN, "refund", Verb.COMMIT, "refund"),
    Effect("take down", Scenario.WITHDRAWN, "posting", Verb.COMMIT, is_local=True),
    Effect("tell of the refund", Scenario.WITHDRAWN, "email", Verb.COMMIT, "send"),
)
