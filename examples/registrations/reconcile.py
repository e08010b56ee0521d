"""Users at Supabase with our mark, judged by their registration."""

from collections.abc import Iterator
from datetime import datetime

from django.conf import settings

from examples.registrations.providers import supabase
from examples.registrations.providers.supabase import User
from pipeline.findings import Repair
from pipeline.reconciliation import Reconciler, Thing, Verdict
from pipeline.states import PipelineState
from pipeline.verification import Facts


class Users(Reconciler):
    """A user of a rolled-back registration is deleted; one of nobody's is a person's to decide."""

    workflows = ("register_institution",)

    def things(self, since: datetime | None) -> Iterator[Thing]:
        """All of them; none where no Supabase is set up."""
        return map(_thing, supabase.users(since) if settings.SUPABASE_URL else iter(()))

    def again(self, thing: Thing) -> Thing | None:
        """Read it by its id."""
        found = supabase.user(thing.id)
        return _thing(found) if found is not None and found.reference == thing.mark else None

    def judge(self, thing: Thing, facts: Facts | None) -> Verdict | None:
        """By the registration's state."""
        if facts is None:
            return Verdict("Its mark is no registration's here: another environment's, or the row is lost.")
        if facts.row.state == PipelineState.ROLLED_BACK:
            return Verdict("Its registration is rolled back, and the address is taken by it.", is_safe=True)
        return None

    def finals(self, since: datetime | None) -> Iterator[str]:
        """Of registrations whose director was let in."""
        listed = supabase.users(since) if settings.SUPABASE_URL else iter(())
        return (each.reference for each in listed if each.is_admitted)

    def repair(self, thing: Thing, repair: Repair) -> None:
        """Delete the user; deleting nobody is fine."""
        repair.call("delete", {"user": thing.id})
        supabase.delete(thing.id)


def _thing(user: User) -> Thing:
    return Thing("user", user.id, user.reference, user.created_at, user)
