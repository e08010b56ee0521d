"""What a workflow says to the customer who follows its pipelines. Engine, pages and API read it here."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A headline for each state of a pipeline, and what a customer reads beside it. Plain text."""

    staging: str = "We are preparing this"
    waiting: str = "Please confirm"
    committing: str = "We are completing this"
    committed: str = "Completed"
    rolling_back: str = "We are undoing everything"
    rolled_back: str = "Not completed: nothing is left of it"
    unharmed: str = "Nothing was changed."  # ends what is said of a pipeline that turned back
    cancel: str = "Cancel"  # the button

    def headline(self, state: str) -> str:
        """Of a pipeline in that state."""
        return str(getattr(self, state))
