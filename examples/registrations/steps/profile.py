"""The director's profile, which joins the institution to its user at Supabase. Hidden while the institution is."""

import uuid

from examples.registrations.models import Institution, Profile
from pipeline.workflow import Run, Step


class ProfileStep(Step):
    """INSERT, nothing to commit, DELETE."""

    name = "profile"
    label = "Save the director's profile"
    doing = "saving the director's profile"
    local = True

    def stage(self, run: Run) -> None:
        """Insert it."""
        institution = Institution.objects.get(pipeline_id=run.pipeline_id)
        Profile.objects.create(
            institution=institution, user=uuid.UUID(run.of("user")["user"]), email=run.input["director_email"]
        )

    def rollback(self, run: Run) -> None:
        """Remove it; it may have gone with its institution."""
        Profile.objects.filter(institution__pipeline_id=run.pipeline_id).delete()
