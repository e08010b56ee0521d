"""Comparing registrations with Supabase (PIPELINE["AUDITS"]): a director can log in if and only if it committed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from django.conf import settings

from examples.registrations.models import Institution, InstitutionState
from examples.registrations.providers import supabase
from examples.registrations.providers.supabase import User
from pipeline.states import OPEN, PipelineState
from pipeline.verification import Facts, Ids, Scope, Violation, confirmed, nobodys, pipeline_of, read_all

WORKFLOW: Final = "register_institution"
_RECONCILE: Final = "run `manage.py reconcile`"
_LOOK: Final = "look the user up in Supabase's dashboard"

Users = dict[str, dict[str, User]]  # by their mark, then by their id: a page may repeat one


@dataclass(frozen=True, slots=True)
class Registration:
    """One pipeline with the state of the institution that it made, None without one."""

    facts: Facts
    institution: str | None


def audit(scope: Scope) -> Iterator[Violation]:
    """Every violation in the scope; none where no Supabase is set up. Raises the provider's failures."""
    if settings.SUPABASE_URL:
        yield from confirmed(partial(_outside, scope), partial(_here, scope), partial(_compare, scope))


def _outside(scope: Scope) -> Users:
    users: Users = {}
    for user in supabase.users(scope.since):
        users.setdefault(user.reference, {})[user.id] = user
    return users


def _here(scope: Scope, ids: Ids) -> Iterator[Registration]:
    for facts in read_all(scope, workflow=WORKFLOW, ids=ids):
        if facts.row.reaped_at is None:
            states = Institution.objects.filter(pipeline_id=facts.id).values_list("state", flat=True)
            yield Registration(facts, states.first())


def _compare(scope: Scope, registrations: Iterable[Registration], outside: Users) -> Iterator[Violation]:
    for registration in registrations:
        yield from _wrong(registration, list(outside.get(str(registration.facts.id), {}).values()))
    if scope.pipeline is None:
        for mark in nobodys(outside, [WORKFLOW]):
            found = f"the user {', '.join(outside[mark])}, whose mark {mark} is none's"
            ids = tuple(outside[mark])
            yield Violation("I5", pipeline_of(mark), "a pipeline for every user", found, _RECONCILE, ids)


def _wrong(registration: Registration, users: list[User]) -> Iterator[Violation]:
    facts, state = registration.facts, registration.facts.row.state
    if len(users) > 1:
        yield Violation("I4", facts.id, "at most one user", f"{len(users)}", _LOOK)
    admitted = [user.id for user in users if user.is_admitted]
    if state == PipelineState.COMMITTED:
        if not admitted:
            found = f"{users[0].id} is still banned" if users else "there is none"
            yield Violation("I2", facts.id, "a director who can log in", found, _LOOK)
        if registration.institution != InstitutionState.TRIAL:
            yield Violation("I2", facts.id, "an institution in its trial", f"it is {registration.institution}")
    elif state == PipelineState.ROLLED_BACK:
        if users:
            ids = tuple(user.id for user in users)
            yield Violation("I3", facts.id, "no user", ", ".join(ids), _RECONCILE, ids)
        if registration.institution is not None:
            yield Violation("I3", facts.id, "no institution", f"one that is {registration.institution}")
    elif state in OPEN and (admitted or registration.institution == InstitutionState.TRIAL):
        yield Violation("I2", facts.id, "nobody let in before the decision", f"{admitted} in {state}", _LOOK)
