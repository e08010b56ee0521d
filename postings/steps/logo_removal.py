"""The logo of a posting that is taken down: nobody sees it any more, so it is not kept."""

from pipeline.workflow import Run, Step
from postings.providers import storage


class LogoRemovalStep(Step):
    """DELETE it when committed. For postings that have one.

    Like a telling step it cannot be undone and runs last: the page answers 410 by then, and a storage that is away
    keeps nobody from being told.
    """

    name = "logo"
    label = "Delete the logo"
    doing = "looking for the logo"
    tells = True
    provider = "storage"

    def commit(self, run: Run) -> None:
        """Deleting it twice is fine."""
        storage.delete(run.input["logo_key"])
