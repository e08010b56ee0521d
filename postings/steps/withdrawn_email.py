"""Telling the customer that the posting was withdrawn and the payment refunded."""

from pipeline.states import Verb
from pipeline.workflow import Run
from postings.steps.email import EmailStep


class WithdrawnEmailStep(EmailStep):
    """As the receipt is sent; a withdrawal that comes to nothing is told to nobody but its operator."""

    label = "Tell the customer"
    undo_pending = False
    offline = (Verb.STAGE, Verb.ROLLBACK)
    ends_with = "withdrawn"

    def rollback(self, run: Run) -> None:
        """Nothing was said yet."""
