"""A job's hold on its pipeline: the guarded writes of a running verb, and the check before each effect."""

import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pipeline import crashpoints, transitions
from pipeline.conf import conf
from pipeline.errors import LostOwnership, PipelineError
from pipeline.models import Attachment
from pipeline.ownership import owner
from pipeline.plan import Job, PipelineView
from pipeline.secrets import decrypt
from pipeline.transitions import Begun


class Hold:
    """Implements run.Ledger. `asked_at` is this process's monotonic clock from before the claim was sent, so
    that a process that was stopped for a while knows it, whatever the wall clock says.
    """

    def __init__(self, job: Job, begun: Begun, view: PipelineView, asked_at: float) -> None:
        self._job = job
        self._begun = begun
        self._view = view
        self._asked_at = asked_at

    def now(self) -> datetime:
        """The database's clock at the claim, plus what has passed since."""
        return self._begun.now + timedelta(seconds=time.monotonic() - self._asked_at)

    def check(self) -> None:
        """LostOwnership unless the owner's lock is held and enough of the lease is left for an effect."""
        if not owner().is_alive(self._begun.owner):
            raise self._lost("the process's lock is gone")
        if self.now() > self._begun.lease_until - conf().LEASE_MARGIN:
            raise self._lost("its lease is nearly over")

    def left(self) -> timedelta:
        """How long the effect may take if its record is to be written before the lease is over."""
        to_record = conf().LEASE_MARGIN - conf().CALL_TIME
        return self._begun.lease_until - self.now() - to_record

    def record(self, data: Mapping[str, Any], calls: Mapping[str, Any]) -> None:
        """Write under the fence; LostOwnership when somebody else has the job."""
        if transitions.record(self._job, self._begun, data, calls) is None:
            raise self._lost("its fence was raised")
        for slot in calls:
            crashpoints.reached(self._job.step, self._job.verb, f"{slot.partition('.')[2]}_stored")

    def secret(self, name: str) -> str:
        """Decrypt the secret; PipelineError when it was erased or never given."""
        try:
            return decrypt(self._view.secrets[name])
        except KeyError:
            raise PipelineError(f"Pipeline {self._view.id} has no secret {name!r} (any more).") from None

    def attachment(self, name: str) -> bytes:
        """The attachment's bytes; PipelineError when they were erased or never given."""
        found = Attachment.objects.filter(pipeline_id=self._view.id, name=name).first()
        if found is None:
            raise PipelineError(f"Pipeline {self._view.id} has no attachment {name!r} (any more).")
        return bytes(found.content)

    def _lost(self, why: str) -> LostOwnership:
        return LostOwnership(f"{self._job.verb} of {self._job.step}: {why}")
