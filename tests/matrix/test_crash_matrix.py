"""Every effect of the shop at each of its points, with every kind of trouble: all of it or nothing, each once.

The outcome is read from the sandbox's own ledger, never from the project's word alone. With workers that go on by
themselves all of it is played. With those that also run a wave's jobs in side threads, all jobs after the decision
are; with those that go on by message, every other trouble. MATRIX=full plays all three in full.
"""

import os
from collections.abc import Callable, Iterator
from enum import StrEnum

import pytest

from pipeline import parallel
from pipeline.states import Verb
from tests.matrix.play import Shop
from tests.matrix.points import EFFECTS, Effect, Kind, Trouble

IS_FULL = os.environ.get("MATRIX") == "full"


class Mode(StrEnum):
    """How a worker comes to the next job."""

    GOING_ON = "going on"
    IN_PARALLEL = "in parallel"  # and a wave's other jobs run beside, in threads of the same process
    BY_MESSAGE = "by message"


# Staging is a chain: its jobs never run side by side.
GAMES = [
    pytest.param(mode, effect, id=f"{effect.name}, {mode}")
    for mode in Mode
    for effect in EFFECTS
    if mode != Mode.IN_PARALLEL or effect.verb != Verb.STAGE or IS_FULL
]


@pytest.fixture
def play_in(shop: Shop) -> Iterator[Callable[[Mode], None]]:
    def switch(mode: Mode) -> None:
        shop.go_on(mode != Mode.BY_MESSAGE)
        parallel.switch(on=mode == Mode.IN_PARALLEL)

    yield switch
    parallel.switch(on=False)


def test_the_matrix_has_eight_points_of_more_than_twelve_effects() -> None:
    eight = {"due", "claimed", "request_lost", "answer_lost", "effect", "ack_lost", "recorded", "published"}
    assert len(EFFECTS) > 12
    assert len({effect.name for effect in EFFECTS}) == len(EFFECTS)
    assert sum(len(effect.points) for effect in EFFECTS) == 155
    for effect in EFFECTS:
        assert set(effect.points) - {"stored"} == eight


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize(("mode", "effect"), GAMES)
def test_nothing_is_lost_and_nothing_doubled(
    shop: Shop, effect: Effect, kind: Kind, mode: Mode, play_in: Callable[[Mode], None]
) -> None:
    play_in(mode)
    is_sample = mode == Mode.BY_MESSAGE and not IS_FULL
    for number, point in enumerate(effect.points, start=EFFECTS.index(effect) + list(Kind).index(kind)):
        trouble = Trouble(effect, point, kind)
        if trouble.is_possible and not (is_sample and number % 2):
            shop.play(effect.scenario, [trouble])
            assert shop.armed.struck == [trouble], f"{trouble} never happened: the run shows nothing"
    shop.verify()
