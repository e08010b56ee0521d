"""Checking the guarantee: of every pipeline's rows against themselves, and against the world outside.

`manage.py verify` runs it. The engine's own invariants need PostgreSQL alone; applications add audits
(PIPELINE["AUDITS"]) that compare with the providers. Everything here reads and nothing writes.
"""

from pipeline.verification.facts import Facts, StepFacts, read, read_all
from pipeline.verification.looks import Ids, confirmed
from pipeline.verification.marks import nobodys, pipeline_of
from pipeline.verification.rules import wrong_with
from pipeline.verification.verify import violations
from pipeline.verification.violation import Scope, Violation

__all__ = [
    "Facts",
    "Ids",
    "Scope",
    "StepFacts",
    "Violation",
    "confirmed",
    "nobodys",
    "pipeline_of",
    "read",
    "read_all",
    "violations",
    "wrong_with",
]
