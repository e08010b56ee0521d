"""All checks: the engine's own, then every audit that an application has named."""

import uuid
from collections.abc import Callable, Iterator
from datetime import datetime

from django.utils.module_loading import import_string

from pipeline.conf import conf
from pipeline.verification.facts import read_all
from pipeline.verification.rules import overdue, wrong_with
from pipeline.verification.violation import Scope, Violation

Audit = Callable[[Scope], Iterator[Violation]]


def violations(
    *, settled: bool = False, since: datetime | None = None, pipeline: uuid.UUID | None = None
) -> list[Violation]:
    """Every violation in the scope: of the engine's own invariants, and those that the audits find outside.

    `settled`: everything is to have ended. Raises the providers' failures (StepFailure) when they cannot be read.
    """
    return list(found(Scope(settled, since, pipeline)))


def found(scope: Scope) -> Iterator[Violation]:
    """The same, one after another."""
    for facts in read_all(scope):
        yield from wrong_with(facts)
        yield from overdue(facts, settled=scope.settled)
    for path in conf().AUDITS:
        audit: Audit = import_string(path)
        yield from audit(scope)
