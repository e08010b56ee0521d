"""The whole business: what publishing a posting consists of, in which order, and how it ends.

Each step is staged in turn; when all are, the payment is captured (the pivot), then everything else is made
final, and last the customer is told. If anything is refused, each step is undone by a job of its own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.workflow import Planned, Step, Words, Workflow
from postings.steps.email import EmailStep
from postings.steps.ending import ExpireStep, WithdrawStep
from postings.steps.indexing import IndexingStep, UnindexStep
from postings.steps.logo import LogoStep
from postings.steps.logo_removal import LogoRemovalStep
from postings.steps.payment import PaymentStep
from postings.steps.posting import PostingStep
from postings.steps.refund import RefundStep
from postings.steps.sms import SmsStep
from postings.steps.withdrawn_email import WithdrawnEmailStep


class PublishPosting(Workflow):
    """A company buys a posting.

    step     stage                      commit            rollback
    logo     PUT the object             -                 delete it
    posting  INSERT it hidden           publish           delete it
    payment  hold on the card           capture (pivot)   cancel the intent
    email    render and check           send the receipt  tell "not published, not charged"
    sms      check                      send it           -            (SMS_ENABLED)
    indexing -                          URL_UPDATED       URL_DELETED, if it was told (INDEXING_ENABLED)

    A step that a setting switches on needs no new version: the steps of a pipeline are stored with it when it
    is made, so one from before the switch has no such job, and a worker that does not know a step leaves its
    job to one that does.
    """

    name, version = "publish_posting", 1
    steps = [LogoStep, PostingStep, PaymentStep, EmailStep, SmsStep, IndexingStep]
    words = Words(
        staging="We are preparing your posting",
        waiting="Please confirm your payment",
        committing="We are publishing your posting",
        committed="Your posting is published",
        rolled_back="Not published, and not charged",
        unharmed="Nothing was charged.",
        cancel="Cancel this posting",
    )

    @classmethod
    def result(cls, input: Mapping[str, Any], steps: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
        """The published posting: its id and its page."""
        posting = steps["posting"]
        return {"posting": {"id": posting["posting"], "url": posting["url"]}}


class WithdrawPosting(Workflow):
    """Staff take a posting down and give the money back (postings/endings.py starts it).

    step     stage                      commit             rollback
    posting  reserve it                 unpublish          release it
    refund   read that it was captured  refund (pivot)     -
    indexing -                          URL_DELETED        -
    logo     -                          delete the object  -
    email    render and check           tell "withdrawn"   -

    The refund is what cannot be undone and may still be refused: the pivot, first and alone. If Stripe refuses
    it, the posting stays on the board. Google is told only if it knows of the page; only what has
    a logo has one to delete.
    """

    name, version = "withdraw_posting", 1
    steps = [WithdrawStep, RefundStep, UnindexStep, LogoRemovalStep, WithdrawnEmailStep]
    words = Words(
        staging="The withdrawal is being prepared",
        committing="The posting is being withdrawn",
        committed="The posting is withdrawn, and its refund is on its way",
        rolling_back="The withdrawal is being undone",
        rolled_back="Not withdrawn: the posting stays on the board",
        unharmed="Nothing was refunded, and the posting stays on the board.",
        cancel="Cancel the withdrawal",
    )

    @classmethod
    def plan(cls, input: Mapping[str, Any]) -> Sequence[Planned]:
        """Without the steps that have nothing to take back."""
        return _planned(cls.steps, input)


class ExpirePosting(Workflow):
    """The plan's duration is over. The customer has had what was paid for: no refund, and no mail."""

    name, version = "expire_posting", 1
    steps = [ExpireStep, UnindexStep, LogoRemovalStep]
    words = Words(
        staging="The posting\u2019s time is over",
        committing="The posting is being taken down",
        committed="The posting has expired",
        rolled_back="Not taken down: the posting is as it was",
        unharmed="The posting is as it was.",
    )

    @classmethod
    def plan(cls, input: Mapping[str, Any]) -> Sequence[Planned]:
        """Likewise."""
        return _planned(cls.steps, input)


def _planned(steps: Sequence[type[Step]], input: Mapping[str, Any]) -> Sequence[Planned]:
    needed = {UnindexStep: bool(input["is_indexed"]), LogoRemovalStep: bool(input["logo_key"])}
    return [Planned(step) for step in steps if needed.get(step, True)]
