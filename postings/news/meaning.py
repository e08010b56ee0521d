"""The meaning of each provider's news by the state of its pipeline: one table, and nothing else.

docs/operations.md shows the table; a test compares the two. Money news of no known pipeline is a finding, for a person.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from pipeline.states import PipelineState
from pipeline.webhooks import is_set, text_at


class Act(StrEnum):
    """The action that a piece of news causes."""

    NOTHING = "-"
    HINT = "hint"  # the pipeline's jobs look again
    MARK = "mark"  # a person is told
    SETTLE = "settle"  # marks of its kind are taken away


class Phase(StrEnum):
    """Where the pipeline stands. `nobodys`: no pipeline is known, and a mark becomes a finding."""

    OPEN = "open"
    COMMITTING = "committing"
    COMMITTED = "committed"
    ROLLING_BACK = "rolling back"
    ROLLED_BACK = "rolled back"
    NOBODYS = "nobody's"


PHASES: Final[Mapping[str, Phase]] = {
    PipelineState.STAGING: Phase.OPEN,
    PipelineState.WAITING: Phase.OPEN,
    PipelineState.COMMITTING: Phase.COMMITTING,
    PipelineState.COMMITTED: Phase.COMMITTED,
    PipelineState.ROLLING_BACK: Phase.ROLLING_BACK,
    PipelineState.ROLLED_BACK: Phase.ROLLED_BACK,
}


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of news. `acts` in the order of Phase; `code` is the mark's; `means` and `cure` are for the operator."""

    kind: str
    acts: tuple[Act, ...]
    code: str = ""
    means: str = ""
    cure: str = ""

    def act(self, phase: Phase) -> Act:
        """The action in that phase."""
        return self.acts[list(Phase).index(phase)]


_N, _H, _M, _S = Act.NOTHING, Act.HINT, Act.MARK, Act.SETTLE
_QUIET: Final = (_H, _H, _N, _H, _N, _N)
_ALWAYS: Final = (_M, _M, _M, _M, _M, _M)

OTHER: Final = Row("any other", _QUIET, means="the pipeline's jobs ask Stripe; after the end it changes nothing")

# Of a pipeline that takes money: a purchase, or any other with a payment. OPEN, COMMITTING, COMMITTED,
# ROLLING_BACK, ROLLED_BACK, NOBODYS.
PAYMENTS: Final = (
    Row(
        "charge.refunded",
        (_H, _M, _M, _H, _N, _M),
        "refunded_at_stripe",
        "the customer has money back, and the posting is up; a withdrawal of ours is not marked",
        "withdraw the posting, or leave it",
    ),
    Row("charge.refunded (hold released)", _QUIET, means="a hold ended; no money had moved"),
    Row(
        "refund (failed)",
        (_H, _M, _M, _M, _M, _M),
        "refund_failed",
        "a refund did not reach the customer, who may have been told otherwise: the money is with you",
        "pay it back another way, and write to the customer",
    ),
    Row("refund (pending)", _QUIET, means="on its way; `refund (failed)` tells if it does not arrive"),
    Row("refund (succeeded)", _QUIET, means="`charge.refunded` tells of it"),
    Row("charge.dispute.created", _ALWAYS, "disputed", "the bank takes the money back", "answer it at Stripe in time"),
    Row(
        "charge.dispute.funds_withdrawn",
        _ALWAYS,
        "disputed",
        "the same news as `charge.dispute.created`, should that be lost",
        "answer it at Stripe in time",
    ),
    Row("charge.dispute.updated", _QUIET, means="evidence was added"),
    Row(
        "charge.dispute.closed (lost)",
        _ALWAYS,
        "dispute_lost",
        "the customer has the money back for good",
        "withdraw the posting, or leave it; never refund as well",
    ),
    Row(
        "charge.dispute.closed", _QUIET, means="won, or only an enquiry: the money stays, the first mark is a person's"
    ),
    Row("charge.dispute.funds_reinstated", _QUIET, means="the money of a dispute that was won is back"),
    Row(
        "radar.early_fraud_warning.created",
        (_M, _M, _M, _N, _N, _M),
        "early_fraud_warning",
        "the bank believes that the card was stolen; a dispute follows in most cases",
        "withdraw the posting, which refunds it, before the dispute costs a fee",
    ),
    Row("radar.early_fraud_warning.updated", _QUIET, means="the warning was dealt with"),
    Row(
        "review.opened",
        (_M, _M, _M, _N, _N, _N),
        "review_opened",
        "Radar asks a person to look at the payment",
        "approve it at Stripe, or withdraw the posting",
    ),
    Row("review.closed", _QUIET, means="approved; or refunded, of which `charge.refunded` tells"),
    Row(
        "payment_intent.succeeded",
        (_H, _H, _N, _H, _M, _N),
        "captured_after_rollback",
        "money was taken, and the customer was told that nothing was; one that the rollback has refunded is not marked",
        "refund it at Stripe",
    ),
    Row(
        "charge.captured",
        (_H, _H, _N, _H, _M, _N),
        "captured_after_rollback",
        "the same news as `payment_intent.succeeded`; also from the dashboard",
        "refund it at Stripe",
    ),
    Row("payment_intent.amount_capturable_updated", _QUIET, means="a late hold is cancelled by `reconcile`"),
    Row("payment_intent.canceled", _QUIET, means="no money is held any more"),
    Row("charge.expired", _QUIET, means="no money is held any more"),
    OTHER,
)

# Of a pipeline that gives money back, where it differs: only its own refund names it.
REFUNDS: Final = (
    Row(
        "refund (failed)",
        (_H, _M, _M, _H, _N, _M),
        "refund_failed",
        "the customer was told that the money is refunded, and it is not",
        "pay it back another way, and write to the customer",
    ),
)

# Of a mail or an SMS, by its own step: OPEN stands for "not sent yet", the other phases for "done", whatever the
# pipeline's state. `settling` gives each step's newest word; NOBODYS: not ours.
_TELLS: Final = (_H, _M, _M, _M, _M, _N)
_ARRIVES: Final = (_H, _S, _S, _S, _S, _N)
MESSAGES: Final = (
    Row("delivered", _ARRIVES, means="it has arrived: what was said of its step before is settled"),
    Row(
        "bounce",
        _TELLS,
        "mail_bounced",
        "the address takes no mail: the customer was not told",
        "find another address, and forward the mail",
    ),
    Row(
        "bounce (blocked)",
        _TELLS,
        "mail_blocked",
        "the customer's server refused this mail, not the address",
        "see the reason; send it by hand",
    ),
    Row(
        "dropped",
        _TELLS,
        "mail_dropped",
        "SendGrid did not send it: the address bounced or complained before",
        "take the address off SendGrid's suppressions, or find another one",
    ),
    Row(
        "spamreport",
        _TELLS,
        "mail_reported_as_spam",
        "it arrived; SendGrid drops all later mails to this address",
        "take the address off SendGrid's suppressions if the customer agrees",
    ),
    Row("undelivered", _TELLS, "sms_undelivered", "the phone did not take the SMS", "nothing, if the mail arrived"),
    Row(
        "failed",
        _TELLS,
        "sms_undelivered",
        "Twilio did not send the SMS",
        "see its error; nothing, if the mail arrived",
    ),
    Row("any other", _QUIET, means="the step looks whether its mail was accepted"),
)

MESSAGE_CODES: Final = frozenset(row.code for row in MESSAGES if row.code)
_PAYMENTS: Final = {row.kind: row for row in PAYMENTS}
_REFUNDS: Final = _PAYMENTS | {row.kind: row for row in REFUNDS}
_MESSAGES: Final = {row.kind: row for row in MESSAGES}
_FAILED: Final = ("failed", "canceled")
# Stripe tells of one refund by several types of event.
_OF_REFUNDS: Final = frozenset({"refund.created", "refund.updated", "refund.failed", "charge.refund.updated"})


def money(kind: str, *, gives_back: bool) -> Row:
    """The row of a kind as `kind_of` gives it; `gives_back`: the pipeline is a refund and not a payment."""
    return (_REFUNDS if gives_back else _PAYMENTS).get(kind, OTHER)


def message(kind: str) -> Row:
    """The row of a mail's or an SMS's kind."""
    return _MESSAGES.get(kind, _MESSAGES["any other"])


def kind_of(event: str, about: Mapping[str, Any]) -> str:
    """The table's name for a Stripe event of type `event` about this object; pure."""
    status = text_at(about, "status")
    if event in _OF_REFUNDS:
        return _refund_kind("failed" if event == "refund.failed" else status)
    if event == "charge.refunded" and about.get("captured") is False:
        return "charge.refunded (hold released)"
    if event == "charge.succeeded" and is_set(about, "captured"):
        return "charge.captured"
    if event == "charge.dispute.closed" and status == "lost":
        return "charge.dispute.closed (lost)"
    return event


def _refund_kind(status: str) -> str:
    if status in _FAILED:
        return "refund (failed)"
    return "refund (succeeded)" if status == "succeeded" else "refund (pending)"


def mail_kind(event: Mapping[str, Any]) -> str:
    """The table's name for a SendGrid event."""
    kind = text_at(event, "event")
    return "bounce (blocked)" if kind == "bounce" and text_at(event, "type") == "blocked" else kind
