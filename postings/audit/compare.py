"""All postings' pipelines of a scope against the world outside; and what is outside against the pipelines."""

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from itertools import islice
from typing import Final

from django.db.models import QuerySet

from pipeline.models import Pipeline
from pipeline.states import PipelineState
from pipeline.verification import Facts, Ids, Scope, Violation, nobodys, pipeline_of, read_all
from postings.audit.ending import ENDS_AS, Ending, wrong_ending
from postings.audit.publication import Purchase, paid_by, wrong_purchase
from postings.audit.traces import Money, Outside, Traces
from postings.models import Posting

SOLD: Final = "publish_posting"
WORKFLOWS: Final = (SOLD, *ENDS_AS)
_BATCH: Final = 200  # pipelines whose postings are read by one statement
_NOTHING: Final = Traces()

Pair = Purchase | Ending


def sold_and_ended(scope: Scope, ids: Ids) -> Iterator[Pair]:
    """The pipelines of the scope, or these of it, with their postings. What was erased is left out."""
    for workflow in WORKFLOWS:
        facts = (each for each in read_all(scope, workflow=workflow, ids=ids) if each.row.input)
        while batch := list(islice(facts, _BATCH)):
            yield from _purchases(batch) if workflow == SOLD else _endings(batch)


def compare(scope: Scope, pairs: Iterable[Pair], outside: Outside) -> Iterator[Violation]:
    """Every violation of them; then what is outside without them, and the money as a whole."""
    net: Counter[str] = Counter()
    sold: set[str | None] = set()
    for pair in pairs:
        if isinstance(pair, Ending):
            yield from wrong_ending(pair, outside)
            continue
        traces = outside.of.get(str(pair.facts.id), _NOTHING)
        told = outside.knows_what_was_told
        yield from wrong_purchase(pair, traces, refunded=outside.refunded, counts_told=told)
        if pair.facts.row.state == PipelineState.COMMITTED:
            plan = pair.facts.row.input["plan"]
            intent = paid_by(pair.facts)
            net[plan["currency"].lower()] += plan["amount"] - (outside.refunded[intent] if intent else 0)
            sold.add(intent)
    if scope.pipeline is None:
        yield from _orphans(outside)
    if scope.settled and scope.is_whole and outside.net is not None and not _reaped().exists():
        yield from _wrong_sum(net, outside.net, _kept_beside(outside, sold))


def _purchases(batch: list[Facts]) -> Iterator[Purchase]:
    rows = Posting.objects.filter(pipeline_id__in=[facts.id for facts in batch])
    postings = {row.pipeline_id: row for row in rows.only("pipeline_id", "state", "ended_by")}
    ending = [row.ended_by for row in postings.values() if row.ended_by]
    withdrawals = set(Pipeline.objects.filter(pk__in=ending, workflow="withdraw_posting").values_list("pk", flat=True))
    for facts in batch:
        row = postings.get(facts.id)
        if row is None:
            yield Purchase(facts, None, is_withdrawn=False)
        else:
            yield Purchase(facts, row.state, is_withdrawn=row.ended_by in withdrawals)


def _endings(batch: list[Facts]) -> Iterator[Ending]:
    rows = Posting.objects.filter(ended_by__in=[facts.id for facts in batch])
    states = dict(rows.values_list("ended_by", "state"))
    return (Ending(facts, states.get(facts.id)) for facts in batch)


def _orphans(outside: Outside) -> Iterator[Violation]:
    """I5: whatever carries our mark belongs to a pipeline of ours."""
    marks = [mark for mark, traces in outside.of.items() if any(traces.things())]
    for mark in nobodys(marks, WORKFLOWS):
        traces, expected = outside.of[mark], "a pipeline for everything outside"
        found = f"{', '.join(traces.things())} under the mark {mark}, which is none's"
        yield Violation("I5", pipeline_of(mark), expected, found, "run `manage.py reconcile`", traces.everything())


def _reaped() -> QuerySet[Pipeline]:
    """Sales whose price is not known any more."""
    return Pipeline.objects.filter(workflow=SOLD, reaped_at__isnull=False)


def _kept_beside(outside: Outside, sold: Container[str | None]) -> dict[str, Money]:
    """What is kept under our marks and paid for nothing, by intent."""
    captured = [each for traces in outside.of.values() for each in traces.captured]
    left = {intent: (amount - outside.refunded[intent], currency) for intent, (amount, currency) in captured}
    return {intent: (amount, currency) for intent, (amount, currency) in left.items() if intent not in sold and amount}


def _wrong_sum(expected: Counter[str], found: Counter[str], beside: Mapping[str, Money]) -> Iterator[Violation]:
    """I9: what was captured and kept is the price of what was sold and kept. `beside` may be all that differs."""
    for currency in sorted(expected.keys() | found.keys()):
        if expected[currency] != found[currency]:
            asked = f"{expected[currency]} {currency} for all that was sold and not refunded"
            kept = f"{found[currency]} {currency} kept at Stripe"
            more = {intent: amount for intent, (amount, of) in beside.items() if of == currency}
            objects = tuple(more) if sum(more.values()) == found[currency] - expected[currency] else ()
            next_step = "compare the captures in Stripe's dashboard with the pipelines"
            yield Violation("I9", None, asked, kept, next_step, objects)
