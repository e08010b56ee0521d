"""The three ways an effect fails, decided in a provider's module and nowhere else, and the engine's own errors."""

from datetime import datetime, timedelta


class PipelineError(Exception):
    """Root of everything that this package raises."""


class StepFailure(PipelineError):
    """An effect did not come about as asked, or we do not know whether it did.

    `code` is a short word for programs, `detail` a sentence for logs and the admin; neither holds secrets.
    `outage` is false if the provider did answer, or was not asked: then it does not count for its circuit.
    """

    kind = "failure"

    def __init__(
        self, code: str, detail: str = "", *, retry_after: timedelta | None = None, outage: bool = True
    ) -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail
        self.retry_after = retry_after
        self.outage = outage


class Refused(StepFailure):
    """It will never work: a declined payment, an address that the provider refuses.

    `title` and `message` are written for the customer; a provider's raw text never goes into them. Without a
    message the workflow's words are used.
    `field` names the input that was refused, where there is one.
    """

    kind = "refused"

    def __init__(
        self, code: str, detail: str = "", *, title: str = "Refused", message: str = "", field: str = ""
    ) -> None:
        super().__init__(code, detail, outage=False)
        self.title = title
        self.message = message
        self.field = field


class Unavailable(StepFailure):
    """It did not happen and may work later: refused connection, rate limit, maintenance.

    `until`, an aware time, says that this is as expected (a day's quota is used up): the job waits for that time,
    however far away, is not marked for a person meanwhile, and it is no outage. ValueError when it is naive.
    """

    kind = "unavailable"

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        retry_after: timedelta | None = None,
        until: datetime | None = None,
        outage: bool = True,
    ) -> None:
        if until is not None and until.tzinfo is None:
            raise ValueError("`until` has no time zone: derive it from run.now.")
        super().__init__(code, detail, retry_after=retry_after, outage=outage and until is None)
        self.until = until


class Misconfigured(Unavailable):
    """Unavailable by a fault of ours that a person has to mend: a refused key, an account that is not activated.

    `detail` names the cure. A person is told at once. It opens the provider's circuit at once, unless `outage` is
    false: then it concerns this request alone (an amount below the minimum), and others may pass.
    """


class Unknown(StepFailure):
    """We do not know whether it happened: time-out, cut connection, 5xx. The next attempt asks first."""

    kind = "unknown"


class LostOwnership(PipelineError):
    """The job is no longer this process's: its lease ended, its fence was raised or its lock is gone."""


class UnsteadyOwner(PipelineError):
    """At the owner's address a lock does not show that its process is alive: the text says what to set."""


class IllegalAction(PipelineError):
    """What a customer or an operator asked for is not possible in the pipeline's present state."""


class UnknownWorkflow(PipelineError):
    """No workflow of that name and version, or no such step in it, is registered in this process."""
