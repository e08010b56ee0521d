"""The institution's row: inserted pending, turned to TRIAL, deleted when not. All of it in this database."""

from examples.registrations.models import Institution, InstitutionState
from pipeline.workflow import Refused, Run, Step


class InstitutionStep(Step):
    """INSERT pending, UPDATE to TRIAL, DELETE."""

    name = "institution"
    label = "Reserve the subdomain"
    doing = "reserving the subdomain"
    local = True

    def stage(self, run: Run) -> dict[str, str]:
        """Insert it. The constraint alone tells who holds a subdomain; whoever comes second is refused."""
        made = Institution(pipeline_id=run.pipeline_id, name=run.input["name"], subdomain=run.input["subdomain"])
        Institution.objects.bulk_create([made], ignore_conflicts=True)
        if not Institution.objects.filter(pk=made.pk).exists():
            raise Refused(
                "subdomain_taken",
                "another institution holds the subdomain",
                title="Subdomain taken",
                message="Another institution has just taken this subdomain: choose another one.",
                field="subdomain",
            )
        return {"institution": str(made.pk)}

    def commit(self, run: Run) -> None:
        """The trial begins."""
        Institution.objects.filter(pipeline_id=run.pipeline_id).update(state=InstitutionState.TRIAL)

    def rollback(self, run: Run) -> None:
        """Give the subdomain back; there may be none."""
        Institution.objects.filter(pipeline_id=run.pipeline_id).delete()
