"""Workflows whose steps do nothing, so that the engine's own cost is left, or call a provider that waits."""

from benchmarks import provider
from pipeline.run import Run
from pipeline.workflow import Step, Workflow


class _Empty(Step):
    """Its verbs are there and empty: they run as jobs of their own, and nobody is waited for."""

    quick = True

    def stage(self, run: Run) -> None:
        """Nothing."""

    def commit(self, run: Run) -> None:
        """Nothing."""

    def rollback(self, run: Run) -> None:
        """Nothing."""


class FirstStep(_Empty):
    """An effect."""

    name = "first"
    label = "First"


class SecondStep(_Empty):
    """Another effect."""

    name = "second"
    label = "Second"


class PivotStep(_Empty):
    """The one whose commit may be refused."""

    name = "third"
    label = "Third"
    pivot = True


class TellingStep(_Empty):
    """Somebody is told."""

    name = "fourth"
    label = "Fourth"
    tells = True


class Nothing(Workflow):
    """Four steps, as the posting's: two effects, a pivot and a telling step."""

    name, version = "benchmark_nothing", 1
    steps = [FirstStep, SecondStep, PivotStep, TellingStep]


class _Calling(Step):
    """Stage and commit are a call to a provider each."""

    def stage(self, run: Run) -> None:
        """Call."""
        provider.call()

    def commit(self, run: Run) -> None:
        """Call."""
        provider.call()

    def rollback(self, run: Run) -> None:
        """Nothing."""


class FirstCall(_Calling):
    """An effect."""

    name = "first"
    label = "First"


class SecondCall(_Calling):
    """Another effect."""

    name = "second"
    label = "Second"


class PivotCall(_Calling):
    """The one whose commit may be refused."""

    name = "third"
    label = "Third"
    pivot = True


class FourthCall(_Calling):
    """A third effect."""

    name = "fourth"
    label = "Fourth"


class Calling(Workflow):
    """Eight calls: four staged one after another, the pivot's commit, and three commits in parallel."""

    name, version = "benchmark_calling", 1
    steps = [FirstCall, SecondCall, PivotCall, FourthCall]
