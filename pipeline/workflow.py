"""What an author of a workflow imports: Workflow, Step, Run, the outcomes and the failures.

A workflow is a named, versioned list of steps; a step is one effect with three verbs. A verb returns None or
a dict to record, `Skip` or `Wait`, or raises Refused, Unavailable or Unknown. Any other exception counts as
Unknown: it is tried again, never undone on suspicion.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from pipeline.errors import LostOwnership, Misconfigured, Refused, StepFailure, Unavailable, Unknown, UnknownWorkflow
from pipeline.run import Call, Run
from pipeline.states import Verb, Wave
from pipeline.words import Words

__all__ = [
    "Call",
    "LostOwnership",
    "Misconfigured",
    "Planned",
    "Refused",
    "Run",
    "Skip",
    "Step",
    "StepFailure",
    "Unavailable",
    "Unknown",
    "Wait",
    "Words",
    "Workflow",
]

Data = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Skip:
    """The stage verb found that this step is not needed."""

    why: str = ""


@dataclass(frozen=True, slots=True)
class Wait:
    """The stage verb needs the customer. It is called again: by a hint, at intervals, once at the deadline."""

    next_action: Data
    deadline: datetime
    data: Data = field(default_factory=dict)


Outcome = Data | Skip | Wait | None


class Step:
    """One effect. Subclass it, name it, and write the verbs side by side; a verb left out does nothing.

    Every verb may be called again after a crash at any point: it asks or replays with the recorded call
    before it acts, and it must be right twice. docs/writing-a-step.md has the contracts.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    doing: ClassVar[str] = ""  # shown while it is staged: "authorising the payment"
    pivot: ClassVar[bool] = False  # its commit may still be refused: committed first and alone
    tells: ClassVar[bool] = False  # somebody is told; it runs last and may be skipped when refused
    local: ClassVar[bool] = False  # effects in this database only: each verb shares the transaction of its record
    quick: ClassVar[bool] = False  # waits for nobody: done where it falls due, as a message would take longer
    undo_pending: ClassVar[bool] = False  # rolled back even if it was never attempted
    provider: ClassVar[str] = ""  # whose circuit its jobs wait for; empty: nobody's
    offline: ClassVar[tuple[Verb, ...]] = ()  # verbs that do not call the provider, beside those left out
    secrets: ClassVar[tuple[str, ...]] = ()  # of the pipeline, erased once this step is staged
    attachments: ClassVar[tuple[str, ...]] = ()  # likewise

    def stage(self, run: Run) -> Outcome:
        """Bring the effect about in a form that can be undone and that nobody sees."""

    def commit(self, run: Run) -> Outcome:
        """Make the staged effect final."""

    def rollback(self, run: Run) -> Outcome:
        """Remove whatever staging may have done; safe if it never ran, ran half, or ran twice."""

    def calls_provider(self, run: Run) -> bool:
        """Whether this attempt asks the provider anything. While its circuit is open, a job that does not runs at once.

        It is asked before the attempt and may only look at what is stored: it writes, sends and decrypts nothing. By
        default a rollback calls the provider if any call may have made something.
        """
        return run.verb != Verb.ROLLBACK or self.undo_pending or run.may_have_made_something()

    @classmethod
    def is_enabled(cls) -> bool:
        """Whether new pipelines get this step."""
        return True

    @classmethod
    def wave(cls) -> Wave:
        """When its job runs after the decision."""
        if cls.pivot:
            return Wave.PIVOT
        return Wave.TELLING if cls.tells else Wave.EFFECT

    @classmethod
    def does_nothing(cls, verb: str) -> bool:
        """Whether the verb was left out."""
        return getattr(cls, verb) is getattr(Step, verb)

    @classmethod
    def provider_of(cls, verb: Verb) -> str:
        """The provider that the verb calls; empty when it calls none."""
        return "" if verb in cls.offline or cls.does_nothing(verb) else cls.provider


@dataclass(frozen=True, slots=True)
class Planned:
    """One step of one pipeline, as it will be stored. `args` tells steps of one kind apart (`run.args`)."""

    kind: type[Step]
    name: str = ""
    label: str = ""
    args: Data = field(default_factory=dict)


class Workflow:
    """A definition. Subclass it in an app's `workflow.py`; a changed list of steps wants a new version."""

    name: ClassVar[str]
    version: ClassVar[int] = 1
    steps: ClassVar[Sequence[type[Step]]]
    words: ClassVar[Words] = Words()

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        from pipeline.registry import register

        register(cls)

    @classmethod
    def plan(cls, input: Data) -> Sequence[Planned]:
        """The steps of one new pipeline, in order: by default every enabled step once."""
        return [Planned(kind) for kind in cls.steps if kind.is_enabled()]

    @classmethod
    def result(cls, input: Data, steps: Mapping[str, Data]) -> Data | None:
        """What a committed pipeline answers, from the input and each step's recorded data."""
        return None

    @classmethod
    def step(cls, kind: str) -> type[Step]:
        """The step class of that name; UnknownWorkflow when this version has none."""
        for candidate in cls.steps:
            if candidate.name == kind:
                return candidate
        raise UnknownWorkflow(f"{cls.name} version {cls.version} has no step {kind!r}.")
