"""Finding what should not be outside: what slipped through after a rollback, and money without its posting.

An application names Reconcilers, which list what carries our marks and judge it by its pipeline. What is safe to
remove is removed under a stored key; the rest is listed for a person (Finding). Nothing young is touched.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, ClassVar, Final

from django.utils.module_loading import import_string

from pipeline import db, findings
from pipeline.conf import conf
from pipeline.errors import Refused, StepFailure
from pipeline.findings import Repair
from pipeline.models import Finding, FindingState
from pipeline.verification.facts import Facts, read_all
from pipeline.verification.marks import pipeline_of
from pipeline.verification.violation import Scope

log = logging.getLogger(__name__)

_BATCH: Final = 200  # things whose pipelines are read by one statement


@dataclass(frozen=True, slots=True)
class Thing:
    """Something outside that carries a mark of ours. `made_at` is its provider's time, `what` its provider's own."""

    kind: str
    id: str
    mark: str
    made_at: datetime
    what: Any


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a thing should not be there; `is_safe`: it may be removed without asking anybody."""

    why: str
    is_safe: bool = False


@dataclass(frozen=True, slots=True)
class Dealt:
    """What was done about a thing, or would be."""

    thing: Thing
    verdict: Verdict
    done: str


class Reconciler(ABC):
    """One kind of things outside. `workflows` are those whose pipelines make them."""

    workflows: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def things(self, since: datetime | None) -> Iterable[Thing]:
        """All that carry a mark and were made since; raises the provider's failures."""

    @abstractmethod
    def again(self, thing: Thing) -> Thing | None:
        """The same as it is now; None when it is gone."""

    @abstractmethod
    def judge(self, thing: Thing, facts: Facts | None) -> Verdict | None:
        """None when it may be there. `facts` is its pipeline, None when no pipeline of `workflows` has the mark."""

    def finals(self, since: datetime | None) -> Iterable[str]:
        """Our marks on things made since `since` that only a commit can have made; by default none.

        After a restore from a backup they show which pipelines have to go on, even if their rows say otherwise.
        """
        return ()

    @abstractmethod
    def repair(self, thing: Thing, repair: Repair) -> None:
        """Remove it, by calls that `repair` stores before they are sent. Refused: a person decides after all."""


def reconcile_recent() -> None:
    """The chore: what was made lately. Raises the first provider's failure, after the others were seen to."""
    failures: list[StepFailure] = []
    for dealt in reconcile(since=db.now() - conf().RECONCILE_WINDOW, failures=failures):
        log.warning("%s %s: %s; %s", dealt.thing.kind, dealt.thing.id, dealt.verdict.why, dealt.done)
    if failures:
        raise failures[0]


def reconcile(
    *, since: datetime | None = None, dry_run: bool = False, failures: list[StepFailure] | None = None
) -> Iterator[Dealt]:
    """Look at everything made since, and deal with what should not be there. `dry_run` changes nothing at all.

    A provider that cannot be read is passed over, and its failure appended to `failures`.
    """
    for path in conf().RECONCILERS:
        try:
            yield from _Pass(path, since, dry_run=dry_run).deal()
        except StepFailure as failure:
            log.warning("%s cannot be reconciled now: %s", path, failure)
            if failures is not None:
                failures.append(failure)


class _Pass:
    """One run of one reconciler."""

    def __init__(self, path: str, since: datetime | None, *, dry_run: bool) -> None:
        self.path, self.since, self.dry_run = path, since, dry_run
        self.reconciler: Reconciler = import_string(path)()
        self.standing: set[tuple[str, str]] = set()

    def deal(self) -> Iterator[Dealt]:
        old_enough = db.now() - conf().RECONCILE_AFTER
        things = iter(self.reconciler.things(self.since))
        while batch := list(islice(things, _BATCH)):
            for thing in self._suspected(batch):
                if thing.made_at > old_enough:
                    self.standing.add((thing.kind, thing.id))  # not looked at, so not gone either
                elif (dealt := self._deal_with(thing)) is not None:
                    yield dealt
        if not self.dry_run:
            findings.close_gone(self.path, self.since, self.standing)

    def _suspected(self, things: list[Thing]) -> list[Thing]:
        pipelines = self._facts(things)
        return [thing for thing in things if self.reconciler.judge(thing, pipelines.get(thing.mark))]

    def _facts(self, things: list[Thing]) -> dict[str, Facts]:
        ids = {found for found in (pipeline_of(thing.mark) for thing in things) if found is not None}
        workflows = self.reconciler.workflows
        return {str(facts.id): facts for facts in read_all(Scope(), ids=list(ids)) if facts.row.workflow in workflows}

    def _deal_with(self, suspected: Thing) -> Dealt | None:
        # Its pipeline first, then the thing: whatever the pipeline had done by then shows in the thing.
        facts = self._facts([suspected]).get(suspected.mark)
        thing = self.reconciler.again(suspected)
        verdict = self.reconciler.judge(thing, facts) if thing is not None else None
        if thing is None or verdict is None:
            return None
        self.standing.add((thing.kind, thing.id))
        if self.dry_run:
            return Dealt(thing, verdict, "would be removed" if verdict.is_safe else "a person must decide")
        return Dealt(thing, verdict, self._act(thing, verdict))

    def _act(self, thing: Thing, verdict: Verdict) -> str:
        finding = findings.found(self.path, thing.kind, thing.id, pipeline_of(thing.mark), thing.made_at, verdict.why)
        if finding.state == FindingState.RESOLVED:
            return f"resolved by {finding.by}: {finding.note}"
        if not verdict.is_safe:
            findings.list_for_a_person(finding)
            return "listed for a person"
        return self._repair(thing, finding)

    def _repair(self, thing: Thing, finding: Finding) -> str:
        findings.begin_repair(finding)
        try:
            self.reconciler.repair(thing, Repair(finding))
        except Refused as refused:
            findings.list_for_a_person(finding, f"{finding.why} It could not be removed: {refused}.")
            return f"refused ({refused}): listed for a person"
        except StepFailure as failure:
            return f"tried, and tried again at the next run: {failure}"
        self.standing.discard((thing.kind, thing.id))
        findings.end_repair(finding)
        return "removed"
