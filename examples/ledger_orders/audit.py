"""Comparing orders with the ledger (PIPELINE["AUDITS"]): an item is posted once if and only if the order committed."""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Final

from django.conf import settings

from examples.ledger_orders.providers import modern_treasury
from examples.ledger_orders.providers.modern_treasury import Marked
from pipeline.states import OPEN, PipelineState
from pipeline.verification import Facts, Ids, Scope, StepFacts, Violation, confirmed, nobodys, pipeline_of, read_all

WORKFLOW: Final = "place_order"
_RECONCILE: Final = "run `manage.py reconcile`"
_MONEY: Final = "a person decides: look the transaction up in the ledger's dashboard"

Transactions = dict[str, list[Marked]]  # by their mark


def audit(scope: Scope) -> Iterator[Violation]:
    """Every violation in the scope; none where no ledger is set up. Raises the provider's failures."""
    if settings.MODERN_TREASURY_API_KEY:
        yield from confirmed(partial(_outside, scope), partial(_here, scope), partial(_compare, scope))


def _outside(scope: Scope) -> Transactions:
    found: Transactions = {}
    for each in modern_treasury.transactions(scope.since):
        found.setdefault(each.reference, []).append(each)
    return found


def _here(scope: Scope, ids: Ids) -> Iterator[Facts]:
    return (facts for facts in read_all(scope, workflow=WORKFLOW, ids=ids) if facts.row.reaped_at is None)


def _compare(scope: Scope, orders: Iterable[Facts], outside: Transactions) -> Iterator[Violation]:
    for facts in orders:
        yield from _wrong(facts, [each for each in outside.get(str(facts.id), []) if each.status != "archived"])
    if scope.pipeline is None:
        for mark in nobodys(outside, [WORKFLOW]):
            ids = tuple(each.id for each in outside[mark])
            found = f"{', '.join(ids)} under the mark {mark}, which is none's"
            yield Violation("I5", pipeline_of(mark), "a pipeline for every transaction", found, _RECONCILE, ids)


def _wrong(facts: Facts, live: list[Marked]) -> Iterator[Violation]:
    state, posted = facts.row.state, [each for each in live if each.status == "posted"]
    for step in facts.steps:
        own = [each for each in live if each.external_id == f"{facts.id}:{step.name}"]
        if len(own) > 1:
            yield Violation("I4", facts.id, f"at most one transaction for {step.name}", f"{len(own)}", _MONEY)
        if state == PipelineState.COMMITTED:
            yield from _wrong_item(facts, step, own)
    if state == PipelineState.ROLLED_BACK and live:
        found = ", ".join(f"{each.id} is {each.status}" for each in live)
        ids = tuple(each.id for each in live)
        yield Violation("I3", facts.id, "every transaction archived", found, _MONEY if posted else _RECONCILE, ids)
    elif state in OPEN and posted:
        found = f"{', '.join(each.id for each in posted)} in a pipeline {state}"
        yield Violation("I2", facts.id, "nothing posted before the decision", found, _MONEY)


def _wrong_item(facts: Facts, step: StepFacts, own: list[Marked]) -> Iterator[Violation]:
    """I2 and I9: posted, with exactly the item's amount."""
    amount = step.args.get("amount")
    if [(each.status, each.amount) for each in own] != [("posted", amount)]:
        found = ", ".join(f"{each.id} {each.status} {each.amount}" for each in own) or "nothing"
        yield Violation("I2", facts.id, f"{amount} posted once for {step.name}", found, _MONEY)
