"""Registering an institution: its row, its director's login at Supabase Auth, the director's profile."""

from collections.abc import Mapping
from typing import Any

from examples.registrations.steps.institution import InstitutionStep
from examples.registrations.steps.profile import ProfileStep
from examples.registrations.steps.user import UserStep
from pipeline.workflow import Words, Workflow


class RegisterInstitution(Workflow):
    """An institution starts its trial.

    step         stage                              commit                 rollback
    institution  INSERT it pending                  state TRIAL            delete it
    user         create with an id of ours, banned  lift the ban           delete by that id
    profile      INSERT                             -                      delete it

    There is no pivot: once everything is staged, nothing can be refused any more.
    """

    name, version = "register_institution", 1
    steps = [InstitutionStep, UserStep, ProfileStep]
    words = Words(
        staging="We are preparing your institution",
        committing="We are opening your institution",
        committed="Your institution is registered",
        rolled_back="Not registered",
        unharmed="Nothing was registered.",
        cancel="Cancel this registration",
    )

    @classmethod
    def result(cls, input: Mapping[str, Any], steps: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
        """The institution: its id and where it lives."""
        return {"institution": {"id": steps["institution"]["institution"], "subdomain": input["subdomain"]}}
