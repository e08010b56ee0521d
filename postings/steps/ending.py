"""Taking a published posting off the board: withdrawn by staff, or at the end of its time.

Its effects are in this database, so each verb shares the transaction of its own record. Staging reserves the
posting for this pipeline: of a withdrawal and an expiry that race, one is refused before anything happened.
"""

from typing import ClassVar

from django.db.models import Q
from django.db.models.functions import Now

from pipeline.workflow import Refused, Run, Step
from postings.models import Posting, PostingState


class WithdrawStep(Step):
    """Reserve the published posting, UPDATE it to withdrawn, release it."""

    name = "posting"
    label = "Take the posting off the board"
    doing = "checking the posting"
    local = True
    ends_as: ClassVar[PostingState] = PostingState.WITHDRAWN

    def stage(self, run: Run) -> None:
        """Reserve it. Refused when it is not published, or when another pipeline is ending it."""
        is_free = Q(ended_by=None) | Q(ended_by=run.pipeline_id)
        published = Posting.objects.filter(is_free, pk=run.input["posting"], state=PostingState.PUBLISHED)
        if not published.update(ended_by=run.pipeline_id):
            raise Refused(
                "posting_not_published",
                "the posting is not published, or is being taken down already",
                title="Not published",
                message="This posting is not published any more: there is nothing to take down.",
            )

    def commit(self, run: Run) -> None:
        """Nobody sees it from here on; its page answers 410."""
        Posting.objects.filter(ended_by=run.pipeline_id, state=PostingState.PUBLISHED).update(
            state=self.ends_as, ended_at=Now()
        )

    def rollback(self, run: Run) -> None:
        """It stays published, free for another attempt."""
        Posting.objects.filter(ended_by=run.pipeline_id, state=PostingState.PUBLISHED).update(ended_by=None)


class ExpireStep(WithdrawStep):
    """The same at the end of the plan's duration."""

    ends_as = PostingState.EXPIRED
