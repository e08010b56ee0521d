"""Comparing postings with the world outside (PIPELINE["AUDITS"]): I2 to I5 and I9 of docs/guarantees.md.

With the sandbox the whole of its ledger is read; with real providers what their APIs can tell.
"""

from collections.abc import Iterator
from functools import partial

from django.conf import settings

from pipeline.verification import Scope, Violation, confirmed
from postings.audit import apis, ledger
from postings.audit.compare import compare, sold_and_ended


def audit(scope: Scope) -> Iterator[Violation]:
    """Every violation in the scope. Raises the providers' failures when they cannot be read."""
    outside = ledger.read if settings.SANDBOX_URL else partial(apis.read, scope.since)
    yield from confirmed(outside, partial(sold_and_ended, scope), partial(compare, scope))


__all__ = ["audit"]
